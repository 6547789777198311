"""Layers that multiply, pool and flatten. The mathematics is in `gpucnn.functions`.

N images or rows, C channels, H x W pixels, F filters, KH x KW kernel, OH x OW output pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.backend.contract import PoolArg
from gpucnn.errors import ShapeError, UsageError
from gpucnn.functions import convolution
from gpucnn.nn import activations, arguments, initializers
from gpucnn.nn.activations import ACTIVATIONS
from gpucnn.nn.module import Module, Parameter, Shape
from gpucnn.nn.room import check_result
from gpucnn.shapes import PaddingArg, PairArg, conv2d_geometry, pair

_FLATTEN = "put Flatten() before it"


class WeightedLayer(Module):
    """The base of Dense and Conv2d: y = activation(product of x and weight + bias).

    Args:
        activation: a name of `gpucnn.nn.activations`, or None.
        use_bias: whether a bias is added, one number an output channel.
        kernel_initializer, bias_initializer: names or objects of `gpucnn.nn.initializers`.
        input_shape: shape of one input without the batch axis; by default it is inferred.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        activation: str | None,
        use_bias: bool,
        kernel_initializer: str | initializers.Initializer,
        bias_initializer: str | initializers.Initializer,
        input_shape: Sequence[int] | None,
        name: str | None,
    ) -> None:
        super().__init__(name, input_shape)
        self.activation = None if activation is None else activations.check(activation)
        self.use_bias = arguments.flag(use_bias, "use_bias")
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def product(self, x: Tensor, activation: str | None) -> Tensor:
        """The product plus bias; `activation` is None or "relu", which is fused into it."""
        raise NotImplementedError

    def forward(self, x: Tensor, activation: str | None = None) -> Tensor:
        """The output.

        Args:
            activation: replaces the layer's own: one that follows it and is folded into it, or
                "linear" for none.
        """
        activation = activation or self.activation
        if activation in (None, "relu"):
            return self.product(x, activation)
        return ACTIVATIONS[activation](self.product(x, None))

    @property
    def _operands(self) -> tuple[Parameter, ...]:
        """The weight, and the bias if there is one."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def new_bias(self, size: int) -> Parameter | None:
        return self.new_parameter("bias", (size,), self.bias_initializer) if self.use_bias else None


class Dense(WeightedLayer):
    """x (N, in) -> activation(x @ weight + bias) (N, units); weight (in, units), bias (units,)."""

    torch_transposed = ("weight",)

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        *,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        input_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        if arguments.is_whole(activation):
            raise UsageError(
                f"Dense({units}, {activation}): the activation is a number",
                cause="the second argument is a name; the number of input features is inferred",
                fix=f"write Dense({activation}), or Linear({units}, {activation})",
            )
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer, input_shape, name
        )
        self.units = arguments.size(units, "units")

    @property
    def kind(self) -> str:
        return "dense"

    def create(self, x_shape: Shape) -> None:
        _check_axes(x_shape, "(N, features)", _FLATTEN)
        size = (x_shape[1], self.units)
        self.weight = self.new_parameter("weight", size, self.kernel_initializer, *size)
        self.bias = self.new_bias(self.units)

    def product(self, x: Tensor, activation: str | None) -> Tensor:
        features = self.weight.shape[0]
        if x.shape[1:] != (features,):
            _check_axes(x.shape, "(N, features)", _FLATTEN)
            raise ShapeError(
                f"the input is {x.shape}, the weight {self.weight.shape}",
                cause=f"the layer was built for {features} features",
                fix=f"give an input of shape {(x.shape[0], features)}, or build a new model",
            )
        return convolution.Linear(activation)(x, *self._operands)

    def flops(self, x_shape: Shape, y_shape: Shape) -> int:
        return 2 * x_shape[1] * math.prod(y_shape)


class Linear(Dense):
    """A `Dense` made by both of its sizes, as in PyTorch: (N, in_features) -> (N, out_features).

    It adds this constructor and nothing else: `isinstance(layer, Dense)` is true.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        name: str | None = None,
    ) -> None:
        self.in_features = arguments.size(in_features, "in_features")
        self.out_features = arguments.size(out_features, "out_features")
        super().__init__(
            out_features,
            activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            input_shape=(in_features,),
            name=name,
        )


class Conv2d(WeightedLayer):
    """x (N, C, H, W) -> activation(x * weight + bias) (N, F, OH, OW), a cross-correlation.

    weight is (F, C/groups, KH, KW), bias (F,); sizes by `gpucnn.shapes.conv_output_size`.

    Args:
        filters: F.
        kernel_size, stride, dilation: an int or (h, w).
        padding: an int, (h, w), ((top, bottom), (left, right)), "same" or "valid".
        groups: the number of groups of channels and filters; each filter sees one group.
    """

    kind = "conv"
    takes_images = True

    def __init__(
        self,
        filters: int,
        kernel_size: PairArg,
        *,
        stride: PairArg = 1,
        padding: PaddingArg = 0,
        dilation: PairArg = 1,
        groups: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        input_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer, input_shape, name
        )
        self.filters = arguments.size(filters, "filters")
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = pair(stride, "stride")
        self.padding = arguments.padding(padding)
        self.dilation = pair(dilation, "dilation")
        self.groups = arguments.size(groups, "groups")

    def _argument(self, name: str) -> Any:
        return _unpaired(name, super()._argument(name))

    def create(self, x_shape: Shape) -> None:
        side = math.isqrt(math.prod(x_shape[1:]))
        _check_axes(
            x_shape,
            "(N, C, H, W)",
            f"reshape rows of pixels to images, as in x.reshape(-1, 1, {side}, {side})",
        )
        size = (self.filters, x_shape[1] // self.groups, *self.kernel_size)
        found = conv2d_geometry(
            x_shape, size, self.stride, self.padding, self.dilation, self.groups
        )
        check_result(found.y_shape)
        taps = math.prod(self.kernel_size)
        fans = size[1] * taps, self.filters * taps
        self.weight = self.new_parameter("weight", size, self.kernel_initializer, *fans)
        self.bias = self.new_bias(self.filters)

    def forward(
        self, x: Tensor, activation: str | None = None, pool: PoolArg | None = None
    ) -> Tensor:
        """The output; with `pool`, which is (kernel, stride, padding), after a max pooling."""
        if pool is None:
            return super().forward(x, activation)
        return self._function(activation or self.activation, pool)(x, *self._operands)

    def product(self, x: Tensor, activation: str | None) -> Tensor:
        return self._function(activation)(x, *self._operands)

    def _function(self, activation: str | None, pool: PoolArg | None = None) -> convolution.Conv2d:
        """The convolution plus bias, with the activation and the pool that are fused into it."""
        return convolution.Conv2d(
            self.stride, self.padding, self.dilation, self.groups, activation, pool
        )

    def flops(self, x_shape: Shape, y_shape: Shape) -> int:
        return 2 * math.prod(self.weight.shape[1:]) * math.prod(y_shape)


class Pool2d(Module):
    """The base of the pools. Stride defaults to the kernel; see `gpucnn.functions.max_pool2d`."""

    kind = "pool"
    takes_images = True
    _always = ("kernel_size",)

    def __init__(
        self,
        kernel_size: PairArg = 2,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
        *,
        input_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name, input_shape)
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = self.kernel_size if stride is None else pair(stride, "stride")
        self.padding = arguments.padding(padding)

    def _argument(self, name: str) -> Any:
        if name == "stride" and self.stride == self.kernel_size:
            return None
        return _unpaired(name, super()._argument(name))


class MaxPool2d(Pool2d):
    """x (N, C, H, W) -> the maximum of each window (N, C, OH, OW)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding)


class AvgPool2d(Pool2d):
    """x (N, C, H, W) -> the mean of each window (N, C, OH, OW).

    Args:
        count_include_pad: whether pixels of the padding count as zeros, or not at all. By default
            they do not with padding="same", as in Keras, and do otherwise, as in PyTorch.
    """

    def __init__(
        self,
        kernel_size: PairArg = 2,
        stride: PairArg | None = None,
        padding: PaddingArg = 0,
        *,
        count_include_pad: bool | None = None,
        input_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, input_shape=input_shape, name=name)
        self.count_include_pad = None
        if count_include_pad is not None:
            self.count_include_pad = arguments.flag(count_include_pad, "count_include_pad")

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            count_include_pad=self.count_include_pad,
        )


class GlobalAvgPool2d(Module):
    """x (N, C, H, W) -> the mean of each channel (N, C)."""

    kind = "pool"
    takes_images = True

    def __init__(
        self, *, input_shape: Sequence[int] | None = None, name: str | None = None
    ) -> None:
        super().__init__(name, input_shape)

    def forward(self, x: Tensor) -> Tensor:
        _check_axes(x.shape, "(N, C, H, W)", "put it before Flatten()")
        return F.global_avg_pool2d(x)


class Flatten(Module):
    """x (N, ...) -> (N, product of the rest); a view, it costs no memory."""

    is_view = True

    def __init__(
        self, *, input_shape: Sequence[int] | None = None, name: str | None = None
    ) -> None:
        super().__init__(name, input_shape)

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x)


def _unpaired(name: str, value: Any) -> Any:
    """The value of an argument; of two equal numbers the one that was written for them."""
    if name in ("kernel_size", "stride", "dilation") and value[0] == value[1]:
        return value[0]
    return value


def _check_axes(x_shape: Shape, wanted: str, fix: str) -> None:
    if len(x_shape) != wanted.count(",") + 1:
        raise ShapeError(f"the input is {x_shape}", cause=f"it must be {wanted}", fix=fix)
