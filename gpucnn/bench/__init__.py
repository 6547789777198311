"""Benchmarks: a result is verified in float64, timed, and compared with PyTorch and the roofline.

`Bench` is one call of `gpucnn bench`; a `Record` keeps its rows.
"""
