"""The CPU's float32 primitives compiled by Numba: what the extra `fast` is for.

`backend.py` says which primitives are replaced; `convolution.py`, `pooling.py`, `elementwise.py`
compute them; `plan.py` cuts a convolution into pieces; `tile.py` keeps its sums in registers.
"""
