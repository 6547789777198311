"""Layers by Keras's names, with its arguments and defaults; each call gives a layer of `gpucnn.nn`.

Images are (N, C, H, W): `data_format="channels_last"` is an error. Weights have the layout of
`gpucnn.nn`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from gpucnn import nn
from gpucnn.errors import UsageError
from gpucnn.keras import spelling
from gpucnn.nn import arguments, foreign
from gpucnn.shapes import PairArg
from gpucnn.spelling import explain_names

__all__ = [
    "Activation", "AveragePooling2D", "AvgPool2D", "BatchNormalization", "Conv2D", "Convolution2D",
    "Dense", "Dropout", "Flatten", "GlobalAveragePooling2D", "GlobalAvgPool2D", "Input",
    "InputLayer", "LayerNormalization", "LeakyReLU", "MaxPool2D", "MaxPooling2D", "ReLU", "Softmax",
]  # fmt: skip

Shape = Sequence[int]
Called = TypeVar("Called", bound=Callable[..., Any])


class InputLayer(nn.Module):
    """The shape of the input of a `Sequential`, in which it is no layer.

    Args:
        shape: that of one input, without the batch axis; images are (C, H, W).
    """

    def __init__(
        self,
        shape: Shape | None = None,
        *,
        input_shape: Shape | None = None,
        name: str | None = None,
    ) -> None:
        given = [each for each in (shape, input_shape) if each is not None]
        if not given:
            raise UsageError("the input has no shape", fix="write Input(shape=(1, 28, 28))")
        if len(given) > 1:
            raise UsageError("the input has a shape and an input_shape", fix="give shape alone")
        super().__init__(name, given[0])

    def forward(self, x: Any) -> Any:
        return x


@spelling.layer
def Input(shape: Shape, *, name: str | None = None) -> InputLayer:
    """`InputLayer`, as `Sequential([Input(shape=(1, 28, 28)), ...])` has it."""
    return InputLayer(shape, name=name)


def _one_meaning(layer: Called) -> Called:
    """A decorator: `Conv2D(32, 3, 3)` is an error; with `padding` the last is the stride."""

    @functools.wraps(layer)
    def checked(*args: Any, **options: Any) -> Any:
        if len(args) == 3 and all(map(arguments.is_whole, args)) and "padding" not in options:
            filters, size, last = args
            raise UsageError(
                f"Conv2D({filters}, {size}, {last}) has two meanings",
                cause=f"{last} is the width of the kernel in Keras 1 and 2, later the stride",
                fix=f"write Conv2D({filters}, ({size}, {last})) for the first, "
                f"Conv2D({filters}, {size}, strides={last}) for the second",
            )
        return layer(*args, **options)

    return cast(Called, checked)


@_one_meaning
@spelling.layer
def Conv2D(
    filters: int,
    kernel_size: PairArg,
    strides: PairArg = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: PairArg = (1, 1),
    groups: int = 1,
    activation: str | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = "glorot_uniform",
    bias_initializer: Any = "zeros",
    *,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.Conv2d:
    """`gpucnn.nn.Conv2d`: x (N, C, H, W) -> (N, filters, OH, OW)."""
    spelling.channels_first(data_format, input_shape)
    return nn.Conv2d(
        filters,
        kernel_size,
        stride=strides,
        padding=spelling.padding(padding),
        dilation=dilation_rate,
        groups=groups,
        activation=spelling.activation(activation),
        use_bias=use_bias,
        kernel_initializer=spelling.initializer(kernel_initializer),
        bias_initializer=spelling.initializer(bias_initializer),
        input_shape=input_shape,
        name=name,
    )


@spelling.layer
def Convolution2D(
    filters: int, nb_row: PairArg, nb_col: int | None = None, **options: Any
) -> nn.Conv2d:
    """`Conv2D` as Keras 1 has it, with the sides of the window one by one: (32, 3, 3).

    Convolution2D(32, (3, 3)) is the same. `options` are those of `Conv2D`.
    """
    kernel_size: Any = nb_row if nb_col is None else (nb_row, nb_col)
    return Conv2D(filters, kernel_size, **options)


@spelling.layer
def Dense(
    units: int,
    activation: str | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = "glorot_uniform",
    bias_initializer: Any = "zeros",
    *,
    input_dim: int | None = None,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.Dense:
    """`gpucnn.nn.Dense`: x (N, features) -> (N, units)."""
    if input_dim is not None:
        if input_shape is not None:
            raise UsageError("Dense is given input_shape and input_dim", fix="leave input_dim out")
        input_shape = (input_dim,)
    return nn.Dense(
        units,
        spelling.activation(activation),
        use_bias=use_bias,
        kernel_initializer=spelling.initializer(kernel_initializer),
        bias_initializer=spelling.initializer(bias_initializer),
        input_shape=input_shape,
        name=name,
    )


@spelling.layer
def MaxPooling2D(
    pool_size: PairArg = (2, 2),
    strides: PairArg | None = None,
    padding: str = "valid",
    data_format: str | None = None,
    *,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.MaxPool2d:
    """`gpucnn.nn.MaxPool2d`: the maximum of each window."""
    spelling.channels_first(data_format, input_shape)
    return nn.MaxPool2d(
        pool_size, strides, spelling.padding(padding), input_shape=input_shape, name=name
    )


@spelling.layer
def AveragePooling2D(
    pool_size: PairArg = (2, 2),
    strides: PairArg | None = None,
    padding: str = "valid",
    data_format: str | None = None,
    *,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.AvgPool2d:
    """`gpucnn.nn.AvgPool2d`: the mean of each window, without the padding."""
    spelling.channels_first(data_format, input_shape)
    return nn.AvgPool2d(
        pool_size,
        strides,
        spelling.padding(padding),
        count_include_pad=False,
        input_shape=input_shape,
        name=name,
    )


@spelling.layer
def GlobalAveragePooling2D(
    data_format: str | None = None,
    *,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.GlobalAvgPool2d:
    """`gpucnn.nn.GlobalAvgPool2d`: x (N, C, H, W) -> (N, C)."""
    spelling.channels_first(data_format, input_shape)
    return nn.GlobalAvgPool2d(input_shape=input_shape, name=name)


MaxPool2D, AvgPool2D, GlobalAvgPool2D = MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D


@spelling.layer
def BatchNormalization(
    axis: int | None = None,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    *,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.BatchNorm2d:
    """`gpucnn.nn.BatchNorm2d`, by channel, with 1 - `momentum` as its momentum."""
    if axis not in (None, 1):
        raise UsageError(
            f"BatchNormalization over axis {axis}",
            cause="images are (N, C, H, W): the channels are axis 1",
            fix="leave axis out",
        )
    spelling.check_channels(input_shape)
    momentum = arguments.number(momentum, "momentum", "from 0 to 1", 0.99, least=0, most=1)
    # Decimal digits stay what they are: 1 - 0.99 is 0.010000000000000009.
    ours = round(1 - momentum, 12)
    return nn.BatchNorm2d(momentum=ours, eps=epsilon, input_shape=input_shape, name=name)


@spelling.layer
def LayerNormalization(
    axis: int = -1,
    epsilon: float = 1e-3,
    *,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.LayerNorm:
    """`gpucnn.nn.LayerNorm`, over the last axis; images are refused when the model is built."""
    if axis != -1:
        raise UsageError(f"LayerNormalization over axis {axis}", fix="only the last, -1, is there")
    return nn.LayerNorm(eps=epsilon, input_shape=input_shape, name=name)


@spelling.layer
def Flatten(
    data_format: str | None = None,
    *,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.Flatten:
    """`gpucnn.nn.Flatten`: x (N, C, H, W) -> (N, C * H * W), channel by channel."""
    spelling.channels_first(data_format)
    return nn.Flatten(input_shape=input_shape, name=name)


@spelling.layer
def Activation(
    activation: str, *, input_shape: Shape | None = None, name: str | None = None
) -> nn.Activation:
    """`gpucnn.nn.Activation`; "leaky_relu" is a `gpucnn.nn.LeakyReLU` with Keras's slope."""
    if spelling.is_leaky(activation):
        return nn.LeakyReLU(spelling.LEAKY_SLOPE, input_shape=input_shape, name=name)
    return nn.Activation(
        spelling.activation(activation) or "linear", input_shape=input_shape, name=name
    )


# The arguments of these are Keras's.
Dropout = spelling.layer(nn.Dropout)
"""`gpucnn.nn.Dropout`: drops a fraction `rate` of the elements in training."""

ReLU = spelling.layer(nn.ReLU)
"""`gpucnn.nn.ReLU`."""


@spelling.layer
def LeakyReLU(
    negative_slope: float = 0.3,
    *,
    input_shape: Shape | None = None,
    name: str | None = None,
) -> nn.LeakyReLU:
    """`gpucnn.nn.LeakyReLU`."""
    return nn.LeakyReLU(negative_slope, input_shape=input_shape, name=name)


@spelling.layer
def Softmax(
    axis: int = -1, *, input_shape: Shape | None = None, name: str | None = None
) -> nn.Softmax:
    """`gpucnn.nn.Softmax`, over the last axis."""
    if axis != -1:
        raise UsageError(f"Softmax over axis {axis}", fix="only the last, -1, is there")
    return nn.Softmax(input_shape=input_shape, name=name)


explain_names(
    __name__,
    {name: fix for name, fix in foreign.NAMES.items() if name not in __all__}
    | {"experimental": "layers are in gpucnn.keras.layers itself"}
    | {"Layer": "subclass gpucnn.nn.Module, see the head of gpucnn/nn/module.py"},
)
