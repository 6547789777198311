"""Calls in the spelling of PyTorch or Keras: the error shows the same call in ours.

Python checks the arguments of a call; nothing here runs unless it refuses them. Then the call is
read as one of the other library's (`FOREIGN`), and its arguments are translated by name.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from gpucnn.errors import GpucnnError, UsageError

#: Our layer -> the same layer elsewhere -> its parameters, in their order.
FOREIGN: dict[str, dict[str, str]] = {
    "Conv2d": {
        "PyTorch's Conv2d": "in_channels out_channels kernel_size stride padding dilation groups"
        " bias padding_mode device dtype",
        "Keras's Conv2D": "filters kernel_size strides padding data_format dilation_rate groups"
        " activation use_bias kernel_initializer bias_initializer kernel_regularizer"
        " bias_regularizer activity_regularizer kernel_constraint bias_constraint trainable dtype",
    },
    "Dense": {
        "PyTorch's Linear": "in_features out_features bias device dtype",
        "Keras's Dense": "units activation use_bias kernel_initializer bias_initializer"
        " kernel_regularizer bias_regularizer activity_regularizer kernel_constraint"
        " bias_constraint input_dim trainable dtype",
    },
    "Linear": {
        "PyTorch's Linear": "in_features out_features bias device dtype",
    },
    "MaxPool2d": {
        "PyTorch's MaxPool2d": "kernel_size stride padding dilation return_indices ceil_mode",
        "Keras's MaxPooling2D": "pool_size strides padding data_format",
    },
    "AvgPool2d": {
        "PyTorch's AvgPool2d": "kernel_size stride padding ceil_mode count_include_pad"
        " divisor_override",
        "Keras's AveragePooling2D": "pool_size strides padding data_format",
    },
    "GlobalAvgPool2d": {
        "PyTorch's AdaptiveAvgPool2d": "output_size",
        "Keras's GlobalAveragePooling2D": "data_format keepdims",
    },
    "BatchNorm2d": {
        "PyTorch's BatchNorm2d": "num_features eps momentum affine track_running_stats device"
        " dtype",
        "Keras's BatchNormalization": "axis momentum epsilon center scale beta_initializer"
        " gamma_initializer moving_mean_initializer moving_variance_initializer trainable dtype",
    },
    "LayerNorm": {
        "PyTorch's LayerNorm": "normalized_shape eps elementwise_affine bias device dtype",
        "Keras's LayerNormalization": "axis epsilon center scale trainable dtype",
    },
    "Dropout": {
        "PyTorch's Dropout": "p inplace",
        "Keras's Dropout": "rate noise_shape seed dtype",
    },
    "Flatten": {
        "PyTorch's Flatten": "start_dim end_dim",
        "Keras's Flatten": "data_format",
    },
    "ReLU": {
        "PyTorch's ReLU": "inplace",
        "Keras's ReLU": "max_value negative_slope threshold",
    },
    "LeakyReLU": {
        "PyTorch's LeakyReLU": "negative_slope inplace",
        "Keras's LeakyReLU": "alpha",
    },
    "GELU": {"PyTorch's GELU": "approximate"},
    "Softmax": {"PyTorch's Softmax": "dim", "Keras's Softmax": "axis"},
    "LogSoftmax": {"PyTorch's LogSoftmax": "dim"},
}

#: Their parameter -> ours; the first that the layer has.
_RENAMED: dict[str, tuple[str, ...]] = {
    "strides": ("stride",),
    "pool_size": ("kernel_size",),
    "out_channels": ("filters",),
    "out_features": ("units",),
    "units": ("out_features",),
    "input_dim": ("in_features",),
    "bias": ("use_bias",),
    "dilation_rate": ("dilation",),
    "epsilon": ("eps",),
    "p": ("rate",),
    "negative_slope": ("slope",),
    "alpha": ("slope",),
}

#: Their parameter -> what stands for it here, where no parameter does.
_INSTEAD: dict[str, str] = {
    "in_channels": "the number of input channels is inferred",
    "in_features": "the number of input features is inferred",
    "num_features": "the number of channels is inferred",
    "normalized_shape": "it normalizes over the last axis, whose size is inferred",
    "input_dim": "the number of input features is inferred, or input_shape=(784,) says it",
    "output_size": "the result is one number a channel, (N, C)",
    "bias": "there always is one",
    "data_format": "arrays are (N, C, H, W), and x.transpose(0, 3, 1, 2) makes them so",
    "padding_mode": "the padding is zeros",
    "ceil_mode": "sizes are rounded down; padding takes ((top, bottom), (left, right))",
    "return_indices": "gpucnn.ops.max_pool2d_forward gives the indices",
    "divisor_override": "the sum is divided by the pixels of the window",
    "dilation": "windows of a pool are dense",
    "keepdims": "the result is (N, C)",
    "kernel_regularizer": "weight_decay of the optimizer shrinks weights",
    "bias_regularizer": "weight_decay of the optimizer shrinks weights",
    "activity_regularizer": "add its term to the loss in a training loop of your own",
    "kernel_constraint": "change the weights after optimizer.step() in a loop of your own",
    "bias_constraint": "change the weights after optimizer.step() in a loop of your own",
    "beta_initializer": "beta starts from 0; load_state_dict sets it",
    "gamma_initializer": "gamma starts from 1; load_state_dict sets it",
    "moving_mean_initializer": "it starts from 0; load_state_dict sets it",
    "moving_variance_initializer": "it starts from 1; load_state_dict sets it",
    "affine": "gamma and beta are always there",
    "elementwise_affine": "gamma and beta are always there",
    "center": "gamma and beta are always there",
    "scale": "gamma and beta are always there",
    "track_running_stats": "running statistics are always kept",
    "trainable": "freeze() holds a layer's parameters",
    "dtype": "parameters are float32",
    "device": "build(..., device=) and to(device) say where parameters lie",
    "inplace": "leave it out: an activation that follows a layer is folded into it",
    "noise_shape": "each element is dropped by itself",
    "seed": "build(..., seed=) is the seed of weights and dropout",
    "start_dim": "all axes but the batch are flattened",
    "end_dim": "all axes but the batch are flattened",
    "negative_slope": "LeakyReLU(slope) has one",
    "max_value": "there is no upper limit",
    "threshold": "it is 0",
    "approximate": "it is the tanh form",
    "dim": "it is over the last axis",
    "axis": "the axis is fixed: channels for BatchNorm2d, else the last",
}

#: Values that mean something else there: Keras's momentum is the weight of the old statistics.
_CONVERTED: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("Keras's BatchNormalization", "momentum"): lambda value: round(1 - value, 10),
}

_SHOWN = 40  # characters of an argument that an error shows


class _Call(NamedTuple):
    """A call as it would be written, and the arguments that have no place in it, with reasons."""

    text: str
    without: list[str]


def explained(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; a call that does not fit its signature raises a `UsageError`.

    Args:
        function: one that makes a layer, or the `__init__` of a class of this library.
    """

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            called, given = function, args
            if function.__name__ == "__init__":  # `self` says which class was called
                called, given = _own_class(type(args[0])), args[1:]
            signature = inspect.signature(called)
            if _binds(signature, given, kwargs):
                raise  # the error comes from inside
            raise _explanation(called, signature, given, kwargs) from None

    return checked


def _own_class(cls: type) -> type:
    """The class of this library that a class is or is made from."""
    return next(c for c in cls.__mro__ if c.__module__.partition(".")[0] == "gpucnn")


def _binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _explanation(
    called: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> UsageError:
    name = called.__name__
    found: dict[str, str] = {}  # our call -> the sentence about theirs, the first that gives it
    for theirs, ours in _translations(called, signature, args, kwargs):
        without = f", without {', '.join(ours.without)}" if ours.without else ""
        sentence = f"{_spelled(theirs, args, kwargs)} is {ours.text} here{without}"
        found.setdefault(ours.text, sentence)
    shown = ", ".join(_listed(signature))
    return UsageError(
        f"{_spelled(name, args, kwargs)} does not fit {name}({shown})",
        cause="; ".join(found.values() or _faults(signature, args, kwargs)) or None,
        fix=f"write {' or '.join(found)}" if found else f"give {name} the arguments shown",
    )


def _translations(
    called: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Iterator[tuple[str, _Call]]:
    """The call as one of another library's, and in our spelling, for each that it can be of."""
    for theirs, listed in FOREIGN.get(called.__name__, {}).items():
        known = listed.split()
        if len(args) > len(known):
            continue
        given = dict(zip(known, args, strict=False))
        if given.keys() & kwargs or kwargs.keys() - set(known) - signature.parameters.keys():
            continue
        words = [value for key, value in given.items() if key in ("padding", "data_format")]
        if theirs.startswith("Keras") and not all(isinstance(word, str) for word in words):
            continue
        ours: dict[str, Any] = {}
        without: list[str] = []
        for key, value in {**given, **kwargs}.items():
            target = next(
                (n for n in (key, *_RENAMED.get(key, ())) if n in signature.parameters), None
            )
            if target is None:
                without.append(f"{key}={_short(value)} ({_INSTEAD[key]})")
            else:
                ours[target] = _CONVERTED.get((theirs, key), lambda v: v)(value)
        if not _binds(signature, (), ours):
            continue
        try:
            called(**ours)  # the values tell apart what the names do not
        except GpucnnError:
            continue
        yield theirs, _Call(_written(called.__name__, signature, ours), without)


def _faults(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong with a call that is of no other library either."""
    parameters = signature.parameters
    for key in kwargs.keys() - parameters.keys():
        names = [n for n in _RENAMED.get(key, ()) if n in parameters]
        names = names or difflib.get_close_matches(key, parameters, n=1)
        if names:
            yield f"there is no {key}: did you mean {names[0]}?"
        else:
            yield f"there is no {key}" + (f": {_INSTEAD[key]}" if key in _INSTEAD else "")
    by_position = [k for k, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for key in by_position[len(args) :]:
        if key not in kwargs and parameters[key].default is inspect.Parameter.empty:
            yield f"{key} is missing"
    if len(args) > len(by_position):
        yield f"it takes {len(by_position)} arguments by position, the others by name"


def _listed(signature: inspect.Signature) -> Iterator[str]:
    """The parameters as a signature lists them, without their defaults."""
    keyword_only = False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            keyword_only = True
            yield f"*{name}"
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        yield name


def _written(name: str, signature: inspect.Signature, given: Mapping[str, Any]) -> str:
    """A call with these arguments: by position where that can be, and else by name."""
    args: list[Any] = []
    kwargs = dict(given)
    for key, parameter in signature.parameters.items():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or key not in kwargs:
            break
        args.append(kwargs.pop(key))
    return _spelled(name, tuple(args), kwargs)


def _spelled(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    parts = [_short(value) for value in args]
    parts += [f"{key}={_short(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
