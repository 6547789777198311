"""The primitives on plain arrays, forward and backward, without Tensors.

    y = gpucnn.ops.conv2d_forward(x, w, b, padding="same")
    grad_w = gpucnn.ops.conv2d_backward_weight(grad_y, x, w.shape, padding="same")

Arrays are NumPy's or CuPy's; each function computes on the device on which its arrays lie. For all:

- activations are (N, C, H, W), convolution weights (F, C/groups, KH, KW), dense weights (in, out);
- arrays are float32, or all float64 where the backend has it, and so is the result;
- inputs may have any strides; a result is C-contiguous and shares no memory with an input;
- the batch may be empty (N = 0); inf and NaN propagate without a warning.

Shapes that do not fit raise `ShapeError`, dtypes `DtypeError`, options `UsageError` (see
`gpucnn.errors`). These functions check class ids, which waits for the device. A backend has methods
of the same names, which do not check them: they run inside a training step.

`conv2d_transpose`, `relu_forward` and `softmax` are no primitives: they are composed of them.
"""

from __future__ import annotations

from gpucnn.ops.activation import relu_backward, relu_forward, softmax
from gpucnn.ops.convolution import (
    bias_grad,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    conv2d_relu_pool_backward,
    conv2d_relu_pool_forward,
)
from gpucnn.ops.data import gather, gather_rows
from gpucnn.ops.dense import matmul
from gpucnn.ops.dropout import dropout_backward, dropout_forward
from gpucnn.ops.loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from gpucnn.ops.metrics import accumulate_metrics
from gpucnn.ops.normalization import batch_norm_backward, batch_norm_forward
from gpucnn.ops.optimizers import adam_update, clip_grad_norm, rmsprop_update, sgd_update
from gpucnn.ops.pooling import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
)
from gpucnn.ops.steps import begin_step, increment
from gpucnn.ops.transposed_convolution import conv2d_transpose

__all__ = [
    "accumulate_metrics",
    "adam_update",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "begin_step",
    "bias_grad",
    "clip_grad_norm",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "conv2d_relu_pool_backward",
    "conv2d_relu_pool_forward",
    "conv2d_transpose",
    "dropout_backward",
    "dropout_forward",
    "gather",
    "gather_rows",
    "increment",
    "matmul",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "relu_backward",
    "relu_forward",
    "rmsprop_update",
    "sgd_update",
    "softmax",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
]
