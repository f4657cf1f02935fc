"""A stand-in Taiga and a stand-in Invoice Ninja over HTTP, with memory, a settable clock and the real traps.

For the demo, tests, training and benchmarks. Imports nothing from the console and no Django.
"""
