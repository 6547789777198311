"""Measuring: what is timed is checked against float64, and set beside a peer and the roofline.

`Bench` is one call of `gpucnn bench`, `Record` what it found.
"""
