"""The stand-in Taiga 6.10."""
