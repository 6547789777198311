"""Differentiable functions on Tensors; plain arrays are taken as constants."""

from typing import TYPE_CHECKING

from gpucnn import errors as _errors
from gpucnn.functions import comparison as comparison  # what Tensors compare by
from gpucnn.functions.activation import (
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    tanh,
)
from gpucnn.functions.arithmetic import (
    abs,
    add,
    clip,
    cos,
    div,
    exp,
    log,
    matmul,
    maximum,
    minimum,
    mul,
    neg,
    power,
    sin,
    sqrt,
    sub,
)
from gpucnn.functions.convolution import conv2d, linear
from gpucnn.functions.loss import (
    binary_cross_entropy_with_logits,
    mean_squared_error,
    softmax_cross_entropy,
)
from gpucnn.functions.normalization import (
    batch_norm,
    batch_norm_inference,
    dropout,
    flatten,
    layer_norm,
)
from gpucnn.functions.pooling import avg_pool2d, global_avg_pool2d, max_pool2d
from gpucnn.functions.reduction import max, mean, min, sum
from gpucnn.functions.shaping import concat, getitem, reshape, stack, transpose

__all__ = [
    "abs",
    "add",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_inference",
    "binary_cross_entropy_with_logits",
    "clip",
    "concat",
    "conv2d",
    "cos",
    "div",
    "dropout",
    "exp",
    "flatten",
    "gelu",
    "getitem",
    "global_avg_pool2d",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "max_pool2d",
    "maximum",
    "mean",
    "mean_squared_error",
    "min",
    "minimum",
    "mul",
    "neg",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "sin",
    "softmax",
    "softmax_cross_entropy",
    "sqrt",
    "stack",
    "sub",
    "sum",
    "tanh",
    "transpose",
]

if not TYPE_CHECKING:
    __getattr__ = _errors.foreign_names(
        __name__,
        {
            "adaptive_avg_pool2d": "use global_avg_pool2d, the mean of each channel",
            "argmax": "use x.argmax(axis)",
            "avg_pool1d": "use avg_pool2d with a height of 1: x[:, :, None], kernel (1, k)",
            "binary_cross_entropy": "use binary_cross_entropy_with_logits, without the sigmoid",
            "cat": "use concat",
            "clamp": "use clip",
            "concatenate": "use concat",
            "conv1d": "use conv2d with a height of 1: x[:, :, None] and w[:, :, None]",
            "conv_transpose2d": "use gpucnn.ops.conv2d_transpose, on plain arrays",
            "cross_entropy": "use softmax_cross_entropy",
            "dropout2d": "use dropout",
            "elu": "use leaky_relu or gelu",
            "l1_loss": "use abs(x - target).mean()",
            "max_pool1d": "use max_pool2d with a height of 1: x[:, :, None], kernel (1, k)",
            "mse_loss": "use mean_squared_error",
            "nll_loss": "use softmax_cross_entropy of the logits, without the log_softmax",
            "one_hot": "use gpucnn.data.one_hot; softmax_cross_entropy takes class ids as they are",
            "pad": "use the padding of conv2d and of the pools",
            "permute": "use transpose",
            "pow": "use power, or x ** 2",
            "relu6": "use clip(x, 0, 6)",
            "silu": "use x * sigmoid(x)",
            "softplus": "use log(1 + exp(x))",
            "squeeze": "use reshape",
            "unsqueeze": "use reshape, or x[:, None]",
            "view": "use reshape",
            "where": "use maximum, minimum or clip, or multiply by a mask",
        },
    )
