"""Keras's words: how they are read here, and what to write in place of those that are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gpucnn.errors import ShapeError, UsageError
from gpucnn.nn import foreign, initializers
from gpucnn.shapes import is_channels_last
from gpucnn.spelling import Spellings, explained

#: Keras's name of an initializer -> ours, where they differ.
_INITIALIZERS = {"random_normal": "normal", "random_uniform": "uniform"}
LEAKY_SLOPE = 0.2  # of Keras's activation "leaky_relu"
_LOOP = "write a training loop of your own, as in README.md"

#: Parameters that only Keras has -> what stands for them here: of layers, of the arguments of
#: `compile`, and of the methods of a model.
_LAYER_INSTEAD = {
    **foreign.INSTEAD,
    "seed": "compile(seed=) is the seed of weights and dropout",
    "trainable": "set it afterwards: layer.trainable = False",
    "batch_input_shape": "input_shape=(1, 28, 28) is without the batch axis",
    "batch_shape": "shape=(1, 28, 28) is without the batch axis",
    "batch_size": "the batch may be of any size",
    "sparse": "arrays are dense",
    "weights": "layer.set_weights sets them, once the model is built",
}

_PART_INSTEAD = {
    "lr": "it is called learning_rate",
    "decay": "change the rate with callbacks.LearningRateScheduler",
    "clipnorm": f"to scale gradients, {_LOOP}",
    "clipvalue": f"to clip gradients, {_LOOP}",
    "global_clipnorm": f"to scale gradients, {_LOOP}",
    "amsgrad": "it is Adam without it",
    "use_ema": "there is no moving average of weights",
    "loss_scale_factor": "everything is float32",
    "label_smoothing": "give smoothed targets: y * (1 - a) + a / classes",
    "axis": "classes are axis 1 of the outputs (N, K)",
    "reduction": "it is the mean over the batch",
    "threshold": "it is 0.5",
    "ignore_class": "give sample_weight 0 to those examples",
    "name": "it has none",
    "dtype": "it is float32",
}

_VERB_INSTEAD = {
    "callbacks": "they are called in fit alone: leave it out",
    "lr": "it is called learning_rate",
    "loss_weights": "a model has one output",
    "weighted_metrics": "metrics count every example once",
    "run_eagerly": "every step runs eagerly: leave it out",
    "jit_compile": "nothing is compiled: leave it out",
    "steps_per_execution": "steps are run one by one: leave it out",
    "auto_scale_loss": "everything is float32: leave it out",
    "validation_freq": "every epoch is validated: leave it out",
    "workers": "batches are made in this process: leave it out",
    "use_multiprocessing": "batches are made in this process: leave it out",
    "max_queue_size": "batches are made when they are needed: leave it out",
    "nb_epoch": "it is called epochs",
    "custom_objects": "only layers of gpucnn.nn are in files: leave it out",
    "safe_mode": "files hold no code: leave it out",
    "overwrite": "an existing file is replaced: leave it out",
    "save_format": "files are safetensors: leave it out",
    "include_optimizer": "each fit makes a new optimizer: leave it out",
    "expand_nested": "every layer has its line: leave it out",
    "line_length": "the table is as wide as its text: leave it out",
}

#: Names of Keras 1.
_RENAMED = {
    "output_dim": ("units",),
    "nb_filter": ("filters",),
    "subsample": ("strides",),
    "border_mode": ("padding",),
    "init": ("kernel_initializer",),
    "bias": ("use_bias",),
}

# Decorators, whose errors explain Keras's arguments: of a function that makes a layer, of one that
# makes an argument of `compile` or `fit`, and of a method of a model.
layer = explained(
    replace(foreign.LAYERS, instead=_LAYER_INSTEAD, renamed={**foreign.RENAMED, **_RENAMED})
)
part = explained(Spellings(renamed=foreign.RENAMED, instead=_PART_INSTEAD))
verb = explained(Spellings(instead=_VERB_INSTEAD))


def check_called(value: Any, what: str, module: str) -> None:
    """`UsageError` if a function of a module is given in place of its result: Adam for Adam()."""
    if callable(value) and getattr(value, "__module__", None) == module:
        name = getattr(value, "__name__", None)
        raise UsageError(f"the {what} is {name}, which was not called", fix=f"call it: {name}()")


def channels_first(data_format: str | None, input_shape: Any = None) -> None:
    """`UsageError` or `ShapeError` unless images are (N, C, H, W)."""
    if data_format not in (None, "channels_first"):
        raise UsageError(
            f"data_format is {data_format!r}",
            cause="images are (N, C, H, W)",
            fix='leave it out or write "channels_first", and give x.transpose(0, 3, 1, 2)',
        )
    check_channels(input_shape)


def check_channels(shape: Any) -> None:
    """`ShapeError` if a layer of images is to take one input of Keras's layout (H, W, C).

    A shape is of this layout if all of gpucnn takes it for that, or if it is a square whose last
    axis is shorter than its sides: (28, 28, 2) and (5, 5, 3) are, (64, 7, 7) and (5, 5, 5) are not.
    """
    if not isinstance(shape, (tuple, list)) or len(shape) != 3 or None in shape:
        return
    H, W, C = shape
    if is_channels_last(shape) or H == W > C:
        raise ShapeError(
            f"the input {(H, W, C)} looks like (H, W, C)",
            cause=f"layers take (N, C, H, W), which makes it {H} channels of {W}x{C} pixels",
            fix=f"give x.transpose(0, 3, 1, 2), and {(C, H, W)} where the shape is written; if it "
            f"is meant so, leave it out there, and call model.build({(H, W, C)}, "
            "channels_first=True) first; a model within a model needs neither",
        )


def padding(word: Any) -> Any:
    """Keras takes "SAME" as well as "same"."""
    return word.lower() if isinstance(word, str) else word


def activation(name: Any) -> str | None:
    """The name of an activation.

    Raises:
        UsageError: it is a function, or has another slope in Keras.
    """
    if callable(name):
        raise UsageError(
            f"the activation is {name!r}",
            cause="it must be the name of one",
            fix='write its name, as in activation="relu", or a Module of your own',
        )
    if is_leaky(name):
        raise UsageError(
            f"the activation of the layer is {name}",
            cause=f"only the layer LeakyReLU has Keras's slope of {LEAKY_SLOPE}",
            fix=f"leave it out, and put layers.LeakyReLU({LEAKY_SLOPE}) after the layer",
        )
    return name


def is_leaky(name: Any) -> bool:
    """Whether it is the name of the leaky ReLU, which has another slope in `gpucnn.nn`."""
    return isinstance(name, str) and name == "leaky_relu"


def initializer(name: Any) -> str | initializers.Initializer:
    """The initializer of a name: Keras takes "HeNormal" as well as "he_normal"."""
    if not isinstance(name, str):
        return name
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    return initializers.get(_INITIALIZERS.get(snake, snake))
