"""A stand-in Invoice Ninja 5.10.17: same answers, same traps, as observed on a running server."""
