"""The primitives as launches of the kernels in kernels/: a file for each family.

They are written once over a `Launcher`, for a GPU (`cupy_launcher.py`) and for the simulator.
"""
