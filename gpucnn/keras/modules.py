"""The modules of Keras 1, 2 and 3 that are no modules here: where their names are instead."""

from __future__ import annotations

import sys

from gpucnn.keras import layers, losses, utils
from gpucnn.spelling import explain_module

#: A module of Keras -> ours that has its names.
MOVED = {
    **dict.fromkeys(
        (
            "layers.advanced_activations", "layers.convolutional", "layers.core",
            "layers.embeddings", "layers.local", "layers.merge", "layers.noise",
            "layers.normalization", "layers.pooling", "layers.recurrent", "layers.wrappers",
        ),
        layers,
    ),
    **dict.fromkeys(
        ("utils.data_utils", "utils.np_utils", "utils.vis_utils", "utils.visualize_util"), utils
    ),
    "objectives": losses,
}  # fmt: skip

_INITIALIZERS = 'write the name, as in kernel_initializer="he_normal"'
_PREPROCESSING = "gpucnn.data.load reads folders of images"
_MODEL = "use Sequential([...]), or a gpucnn.nn.Module with a forward of your own"

#: A module of Keras that has no counterpart -> what to write.
MISSING = {
    "activations": 'write the name of an activation, as in activation="relu"',
    **dict.fromkeys(
        (
            "applications", "applications.densenet", "applications.imagenet_utils",
            "applications.inception_v3", "applications.mobilenet", "applications.resnet50",
            "applications.vgg16", "applications.vgg19", "applications.xception",
        ),
        "there are no trained networks; gpucnn.models has small ones",
    ),
    "constraints": "there are none",
    "engine": _MODEL,
    "engine.topology": _MODEL,
    "engine.training": _MODEL,
    "initializations": _INITIALIZERS,
    "initializers": _INITIALIZERS,
    "ops": "use gpucnn.functions on Tensors, gpucnn.ops on arrays",
    "preprocessing": _PREPROCESSING,
    "preprocessing.image": _PREPROCESSING,
    "preprocessing.sequence": _PREPROCESSING,
    "preprocessing.text": _PREPROCESSING,
    "random": "use numpy.random",
    "regularizers": "use weight_decay of the optimizer",
    "saving": "use model.save and load_model",
    "wrappers": "there are none",
    "wrappers.scikit_learn": "there is none",
}  # fmt: skip


def register(package: str) -> None:
    """Let the imports of these modules find the others, or an error that says what to write.

    Python looks for a module in `sys.modules` before it looks for a file.

    Args:
        package: the name of the package that they are in.
    """
    for name, module in MOVED.items():
        sys.modules[f"{package}.{name}"] = module
        parent, _, last = f"{package}.{name}".rpartition(".")
        setattr(sys.modules[parent], last, module)
    for name, fix in MISSING.items():
        explain_module(f"{package}.{name}", fix)
