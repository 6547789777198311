"""Keras's names and verbs: a script for Keras runs here once its imports are changed.

Layers, optimizers, losses and callbacks are where Keras has them, also by the module names and
arguments of Keras 1 and 2. docs/keras.md lists the differences. Images are (N, C, H, W), not
(N, H, W, C).
"""

from __future__ import annotations

from gpucnn import __version__ as __version__
from gpucnn.keras import (
    backend,
    callbacks,
    datasets,
    layers,
    losses,
    metrics,
    models,
    modules,
    optimizers,
    utils,
)
from gpucnn.keras.layers import *  # noqa: F403  # each layer by its name, as in Keras
from gpucnn.keras.models import FitHistory, Score, Sequential, load_model
from gpucnn.keras.utils import set_random_seed, to_categorical
from gpucnn.spelling import explain_names

__all__ = [
    "FitHistory", "Score", "Sequential", "backend", "callbacks", "datasets", "layers", "load_model",
    "losses", "metrics", "models", "optimizers", "set_random_seed", "to_categorical", "utils",
]  # fmt: skip
__all__ += layers.__all__

modules.register(__name__)
explain_names(
    __name__,
    {
        "Layer": "subclass gpucnn.nn.Module, see the head of gpucnn/nn/module.py",
        "Model": "use Sequential([...]), or a gpucnn.nn.Module with a forward of your own",
        **{name: fix for name, fix in modules.MISSING.items() if "." not in name},
    },
)
