"""The demo's own visitor: plays the scenario against a running console from outside, and compares everything."""
