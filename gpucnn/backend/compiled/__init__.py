"""The CPU's float32 primitives compiled by Numba: what the extra `fast` is for.

`tile.py` holds the inner loops in registers, `convolution.py`, `pooling.py` and `elementwise.py`
the primitives, `plan.py` how a convolution is cut; `backend.py` says which primitives are replaced.
"""
