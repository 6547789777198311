"""Differentiable functions on Tensors; plain arrays are taken as constants."""

from gpucnn.functions import comparison as comparison  # for the operators of Tensors
from gpucnn.functions import foreign as _foreign
from gpucnn.functions.activation import (
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    tanh,
)
from gpucnn.functions.arithmetic import add, div, matmul, maximum, minimum, mul, sub
from gpucnn.functions.convolution import conv2d, linear
from gpucnn.functions.elementwise import abs, clip, cos, exp, log, neg, power, sin, sqrt
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
from gpucnn.spelling import explain_names as _explain_names
from gpucnn.spelling import explained as _explained

__all__ = [
    "abs", "add", "avg_pool2d", "batch_norm", "batch_norm_inference",
    "binary_cross_entropy_with_logits", "clip", "concat", "conv2d", "cos", "div", "dropout", "exp",
    "flatten", "gelu", "getitem", "global_avg_pool2d", "layer_norm", "leaky_relu", "linear", "log",
    "log_softmax", "matmul", "max", "max_pool2d", "maximum", "mean", "mean_squared_error", "min",
    "minimum", "mul", "neg", "power", "relu", "reshape", "sigmoid", "sin", "softmax",
    "softmax_cross_entropy", "sqrt", "stack", "sub", "sum", "tanh", "transpose"
]  # fmt: skip

_explain_names(__name__, _foreign.NAMES)
for _name in set(__all__) - {"max", "min"}:  # these explain themselves
    globals()[_name] = _explained(_foreign.CALLS)(globals()[_name])
