"""The CPU's float32 primitives, compiled by Numba (the extra `fast`): see README.md beside this.

A reader may skip this folder: the same operations are in `gpucnn.backend.cpu`, in NumPy.
"""
