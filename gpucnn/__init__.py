"""gpucnn: convolutional networks that can be read from ``gpucnn train`` down to the CUDA.

Public names are loaded when first used, so importing the package loads neither
NumPy nor CuPy nor any part of the command line.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# Installed, `gpucnn.kernels` and `gpucnn.cli` lie inside this folder. In a checkout they stand
# beside it, and Python started there finds this folder first: look one level up as well.
_checkout = Path(__file__).resolve().parent.parent
if (_checkout / "pyproject.toml").is_file() and (_checkout / "kernels").is_dir():
    __path__.append(str(_checkout))

_modules = (
    "autograd",
    "backend",
    "data",
    "errors",
    "explain",
    "functions",
    "graph",
    "keras",
    "models",
    "nn",
    "onnx",
    "ops",
    "optim",
    "plots",
    "random",
    "schedules",
    "shapes",
    "training",
)
_names = {
    "Tensor": "autograd",
    "no_grad": "autograd",
    "GpucnnError": "errors",
}

__all__ = ["__version__", *_modules, *_names]


def __getattr__(name: str) -> Any:
    if name in _modules:
        return importlib.import_module(f"gpucnn.{name}")
    if name in _names:
        return getattr(importlib.import_module(f"gpucnn.{_names[name]}"), name)
    # Not before: importing the package loads nothing.
    from gpucnn.foreign import CAUSES, NAMES
    from gpucnn.spelling import missing_name

    raise missing_name(__name__, name, NAMES, CAUSES.get(name))


def __dir__() -> list[str]:
    return sorted(__all__)
