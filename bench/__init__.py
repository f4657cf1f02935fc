"""What is fast, as ratios measured in one run. See bench/README.md."""
