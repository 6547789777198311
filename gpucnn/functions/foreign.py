"""The names and arguments of functions in PyTorch and NumPy, and ours for them."""

from __future__ import annotations

from gpucnn.spelling import Spellings

#: Names in torch.nn.functional, torch and numpy -> what to use here.
NAMES = {
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
}

#: The calls of functions in PyTorch and NumPy.
CALLS = Spellings(
    renamed={
        "a": ("x",),
        "a_max": ("high",),
        "a_min": ("low",),
        "alpha": ("slope",),
        "bias": ("b",),
        "dim": ("axis",),
        "dilation_rate": ("dilation",),
        "input": ("x", "logits", "prediction"),
        "keepdim": ("keepdims",),
        "kernel_size": ("kernel",),
        "max": ("high",),
        "min": ("low",),
        "negative_slope": ("slope",),
        "p": ("rate",),
        "pool_size": ("kernel",),
        "strides": ("stride",),
        "target": ("targets",),
        "weight": ("w", "gamma"),
    },
    instead={
        "approximate": "it is the tanh form",
        "ceil_mode": 'padding="same" rounds the output size up',
        "data_format": "arrays are (N, C, H, W): x.transpose(0, 3, 1, 2)",
        "dilation": "the windows of a pool are dense",
        "divisor_override": "the sum is divided by the pixels of the window",
        "dtype": "convert the array first",
        "end_dim": "all axes but the batch are flattened",
        "ignore_index": 'leave the others out of the mean yourself: reduction="none"',
        "inplace": "a function never changes its input",
        "label_smoothing": "give soft targets (N, K)",
        "pos_weight": 'multiply the losses of reduction="none" by weights',
        "reduce": 'use reduction="none"',
        "return_indices": "gpucnn.ops.max_pool2d_forward gives the indices",
        "running_mean": "batch_norm_inference takes statistics",
        "running_var": "batch_norm_inference takes statistics",
        "size_average": 'use reduction="mean" or "sum"',
        "start_dim": "all axes but the batch are flattened",
        "training": "every call drops; nn.Dropout does so in training alone, and has key and step",
        "weight": 'multiply the losses of reduction="none" by weights',
    },
    signatures={
        "avg_pool2d": {
            "PyTorch's avg_pool2d": "input kernel_size stride padding ceil_mode count_include_pad"
            " divisor_override"
        },
        "binary_cross_entropy_with_logits": {
            "PyTorch's binary_cross_entropy_with_logits": "input target weight size_average reduce"
            " reduction pos_weight"
        },
        "clip": {"PyTorch's clip": "input min max", "NumPy's clip": "a a_min a_max"},
        "concat": {"PyTorch's cat": "tensors dim"},
        "conv2d": {"PyTorch's conv2d": "input weight bias stride padding dilation groups"},
        "flatten": {"PyTorch's flatten": "input start_dim end_dim"},
        "gelu": {"PyTorch's gelu": "input approximate"},
        "leaky_relu": {"PyTorch's leaky_relu": "input negative_slope inplace"},
        "log_softmax": {"PyTorch's log_softmax": "input dim dtype"},
        "max_pool2d": {
            "PyTorch's max_pool2d": "input kernel_size stride padding dilation ceil_mode"
            " return_indices"
        },
        "mean": {"PyTorch's mean": "input dim keepdim dtype"},
        "mean_squared_error": {
            "PyTorch's mse_loss": "input target size_average reduce reduction weight"
        },
        "relu": {"PyTorch's relu": "input inplace"},
        "sigmoid": {"PyTorch's sigmoid": "input"},
        "softmax": {"PyTorch's softmax": "input dim dtype"},
        "softmax_cross_entropy": {
            "PyTorch's cross_entropy": "input target weight size_average ignore_index reduce"
            " reduction label_smoothing"
        },
        "stack": {"PyTorch's stack": "tensors dim"},
        "sum": {"PyTorch's sum": "input dim keepdim dtype"},
        "tanh": {"PyTorch's tanh": "input"},
    },
)
