"""Keras's words: how they are read here, and what to write in place of those that are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from gpucnn.errors import ShapeError, UsageError
from gpucnn.nn import foreign, initializers
from gpucnn.shapes import is_channels_last
from gpucnn.spelling import Spellings, explained

Called = TypeVar("Called", bound=Callable[..., Any])

#: Keras's name of an initializer -> ours, where they differ; the last two are Keras 1's.
_INITIALIZERS = {
    "random_normal": "normal", "random_uniform": "uniform", "zero": "zeros", "one": "ones",
}  # fmt: skip
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
    "W_regularizer": "weight_decay of the optimizer shrinks weights",
    "b_regularizer": "weight_decay of the optimizer shrinks weights",
    "W_constraint": "change the weights after optimizer.step() in a loop of your own",
    "b_constraint": "change the weights after optimizer.step() in a loop of your own",
    **dict.fromkeys(
        ("beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint"),
        "beta and gamma are trained as they are",
    ),
    "beta_init": "beta starts from 0",
    "gamma_init": "gamma starts from 1",
    "mode": "it normalizes by channel",
    "nb_row": "write kernel_size=(nb_row, nb_col)",
    "nb_col": "write kernel_size=(nb_row, nb_col)",
}

_PART_INSTEAD = {
    "decay": "leave it out, or change the rate with callbacks.LearningRateScheduler",
    "clipnorm": "global_clipnorm=1.0 scales all gradients together; to scale those of each variable"
    f" by themselves, {_LOOP}",
    "clipvalue": f"to clip gradients, {_LOOP}; global_clipnorm=1.0 scales them all together",
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
    "period": "the model is saved after every epoch",
    "top_k": "each output is compared with the threshold",
    "num_thresholds": "they are 200",
    "curve": "it is ROC",
    "summation_method": "it is interpolation",
    "multi_label": "the outputs of all classes are taken together",
    "beta": "it is 1",
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
    "samples_per_epoch": "give steps_per_epoch=samples_per_epoch // batch_size",
    "nb_val_samples": "give validation_steps=nb_val_samples // batch_size",
    "show_accuracy": 'compile with metrics=["accuracy"]',
    "class_mode": "the outputs of the model say how many classes there are: leave it out",
    "sample_weight_mode": "a weight is for a whole example: leave it out",
    "target_tensors": "fit takes the labels: leave it out",
    "safe_mode": "files hold no code: leave it out",
    "overwrite": "an existing file is replaced: leave it out",
    "save_format": "files are safetensors: leave it out",
    "include_optimizer": "each fit makes a new optimizer: leave it out",
    "expand_nested": "every layer has its line: leave it out",
    "line_length": "the table is as wide as its text: leave it out",
}

#: Older names of parameters, of Keras 1 and 2 -> ours, which mean the same.
_LAYER_NAMES = {
    "output_dim": "units",
    "nb_filter": "filters",
    "kernel_size": "nb_row",  # of Convolution2D
    "subsample": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "init": "kernel_initializer",
    "bias": "use_bias",
    "p": "rate",
    "alpha": "negative_slope",
}
_PART_NAMES = {"lr": "learning_rate", "nb_classes": "num_classes", "y": "x", "epsilon": "min_delta"}
_VERB_NAMES = {"nb_epoch": "epochs", "X": "x"}

#: Parameters that only Keras has -> the values that change nothing, beside None.
_LAYER_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "trainable": (True,),
    "dtype": ("float32",),
    "sparse": (False,),
    "center": (True,),
    "scale": (True,),
    "keepdims": (False,),
    "mode": (0,),
    "beta_init": ("zero",),
    "gamma_init": ("one",),
    "beta_initializer": ("zeros",),
    "gamma_initializer": ("ones",),
    "moving_mean_initializer": ("zeros",),
    "moving_variance_initializer": ("ones",),
    "negative_slope": (0,),
    "threshold": (0,),
}
_PART_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "decay": (0,),
    "amsgrad": (False,),
    "use_ema": (False,),
    "label_smoothing": (0,),
    "axis": (-1,),
    "reduction": ("auto", "sum_over_batch_size"),
    "threshold": (0.5,),
    "dtype": ("float32",),
    "period": (1,),
    "num_thresholds": (200,),
    "curve": ("ROC",),
    "summation_method": ("interpolation",),
    "multi_label": (False,),
    "beta": (1,),
}
_VERB_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "class_mode": ("categorical", "binary"),
    "show_accuracy": (False,),
    "run_eagerly": (False,),
    "jit_compile": ("auto", False),
    "steps_per_execution": (1,),
    "auto_scale_loss": (True,),
    "validation_freq": (1,),
    "workers": (1,),
    "use_multiprocessing": (False,),
    "max_queue_size": (10,),
    "safe_mode": (True,),
    "overwrite": (True,),
    "include_optimizer": (True,),
    "expand_nested": (False,),
}


def _explained(
    spellings: Spellings,
    instead: Mapping[str, str],
    older: Mapping[str, str],
    defaults: Mapping[str, tuple[Any, ...]],
) -> Callable[[Called], Called]:
    """A decorator for the calls of Keras: None changes nothing for a parameter of the tables."""
    with_none = {key: (None, *defaults.get(key, ())) for key in (*instead, *defaults)}
    return explained(replace(spellings, instead=instead, older=older, defaults=with_none))


# Decorators, which take and explain Keras's arguments: of a function that makes a layer, of one
# that makes an argument of `compile` or `fit`, and of a method of a model.
layer = _explained(foreign.LAYERS, _LAYER_INSTEAD, _LAYER_NAMES, _LAYER_DEFAULTS)
part = _explained(Spellings(renamed=foreign.RENAMED), _PART_INSTEAD, _PART_NAMES, _PART_DEFAULTS)
verb = _explained(Spellings(), _VERB_INSTEAD, _VERB_NAMES, _VERB_DEFAULTS)


def check_called(value: Any, what: str, module: str) -> None:
    """`UsageError` if a function of a module is given in place of its result: Adam for Adam()."""
    if callable(value) and getattr(value, "__module__", None) == module:
        name = getattr(value, "__name__", None)
        raise UsageError(f"the {what} is {name}, which was not called", fix=f"call it: {name}()")


def channels_first(data_format: str | None, input_shape: Any = None) -> None:
    """`UsageError` or `ShapeError` unless images are (N, C, H, W), which Keras 1 calls "th"."""
    if data_format not in (None, "channels_first", "th", "default"):
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
