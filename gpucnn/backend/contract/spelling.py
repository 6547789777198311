"""The arguments of other libraries, and ours, of the functions that are built on the primitives."""

from __future__ import annotations

from gpucnn.spelling import Spellings, explained

#: A decorator: a call in the words of another library raises an error that shows ours.
names_of_windows = explained(
    Spellings(
        renamed={
            "bias": ("b",),
            "dilation_rate": ("dilation",),
            "dilations": ("dilation",),
            "dim": ("axis",),
            "input": ("x",),
            "kernel_size": ("kernel",),
            "pool_size": ("kernel",),
            "strides": ("stride",),
            "weight": ("w",),
        },
        instead={
            "ceil_mode": 'padding="same" rounds the output size up',
            "data_format": "arrays are (N, C, H, W): pass x.transpose(0, 3, 1, 2)",
        },
    )
)
