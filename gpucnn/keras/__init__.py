"""Keras's names and verbs: a script for Keras runs here once its imports are changed.

Layers, optimizers, losses and callbacks are where Keras has them. docs/keras.md lists the
differences. Images are (N, C, H, W), not (N, H, W, C).
"""

from __future__ import annotations

from gpucnn.keras import callbacks, datasets, layers, losses, metrics, models, optimizers, utils
from gpucnn.keras.layers import *  # noqa: F403  # each layer by its name, as in Keras
from gpucnn.keras.models import FitHistory, Score, Sequential, load_model
from gpucnn.keras.utils import set_random_seed, to_categorical
from gpucnn.spelling import explain_names

__all__ = [
    "FitHistory",
    "Score",
    "Sequential",
    "callbacks",
    "datasets",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "set_random_seed",
    "to_categorical",
    "utils",
]
__all__ += layers.__all__

explain_names(
    __name__,
    {
        "Model": "use Sequential([...]), or a gpucnn.nn.Module with a forward of your own",
        "activations": 'write the name of an activation, as in activation="relu"',
        "applications": "there are no trained networks; gpucnn.models has small ones",
        "backend": "use NumPy, and gpucnn.functions on Tensors",
        "constraints": "there are none",
        "initializers": 'write the name, as in kernel_initializer="he_normal"',
        "ops": "use gpucnn.functions on Tensors, gpucnn.ops on arrays",
        "preprocessing": "gpucnn.data.load reads folders of images",
        "random": "use numpy.random",
        "regularizers": "use weight_decay of the optimizer",
        "saving": "use model.save and load_model",
        "wrappers": "there are none",
    },
)
