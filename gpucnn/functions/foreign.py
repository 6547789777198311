"""The names and arguments of functions in PyTorch, NumPy and TensorFlow, and ours for them."""

from __future__ import annotations

from gpucnn.spelling import Spellings

#: Names in torch.nn.functional, torch, numpy, tensorflow and tf.nn -> what to use here.
NAMES = {
    "Session": "leave it out: each line is computed when it is reached",
    "Variable": "use w = gpucnn.Tensor(array, requires_grad=True)",
    "adaptive_avg_pool2d": "use global_avg_pool2d, the mean of each channel",
    "argmax": "use x.argmax(axis)",
    "avg_pool": "use avg_pool2d(x, 2): images are (N, C, H, W)",
    "avg_pool1d": "use avg_pool2d with a height of 1: x[:, :, None], kernel (1, k)",
    "binary_cross_entropy": "use binary_cross_entropy_with_logits, without the sigmoid",
    "bias_add": "use x + b; conv2d and linear have b as an argument",
    "cast": "convert the array first: array.astype(numpy.float32)",
    "cat": "use concat",
    "clamp": "use clip",
    "concatenate": "use concat",
    "constant": "use gpucnn.Tensor([1.0, 2.0]), or the number or array itself",
    "conv1d": "use conv2d with a height of 1: x[:, :, None] and w[:, :, None]",
    "conv_transpose2d": "use gpucnn.ops.conv2d_transpose, on plain arrays",
    "cross_entropy": "use softmax_cross_entropy",
    "divide": "use div, or a / b",
    "dot": "use matmul, or a @ b",
    "dropout2d": "use dropout",
    "elu": "use leaky_relu or gelu",
    "equal": "use a == b",
    "gradients": "call loss.backward(), then read w.grad",
    "l1_loss": "use abs(x - target).mean()",
    "l2_loss": "use sum(w * w) / 2, or weight_decay of the optimizer",
    "max_pool": "use max_pool2d(x, 2): images are (N, C, H, W)",
    "max_pool1d": "use max_pool2d with a height of 1: x[:, :, None], kernel (1, k)",
    "mse_loss": "use mean_squared_error",
    "multiply": "use mul, or a * b",
    "negative": "use neg, or -a",
    "nll_loss": "use softmax_cross_entropy of the logits, without the log_softmax",
    "one_hot": "use gpucnn.data.one_hot; softmax_cross_entropy takes class ids as they are",
    "pad": "use the padding of conv2d and of the pools",
    "permute": "use transpose",
    "placeholder": "use a function of the input: def net(x): return x @ w + b",
    "pow": "use power, or x ** 2",
    "random_normal": 'use gpucnn.random.normal(shape, seed, "w", std=0.1)',
    "random_uniform": 'use gpucnn.random.uniform(shape, seed, "w")',
    **{
        f"reduce_{name}": f"use {name}(x), or {name}(x, axis=0) for one axis"
        for name in ("sum", "mean", "max", "min")
    },
    "relu6": "use clip(x, 0, 6)",
    "sigmoid_cross_entropy_with_logits": "use binary_cross_entropy_with_logits(logits, targets)",
    "silu": "use x * sigmoid(x)",
    **dict.fromkeys(
        (
            "softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_v2",
            "sparse_softmax_cross_entropy_with_logits",
        ),
        "use softmax_cross_entropy(logits, targets), the mean over the batch",
    ),
    "softplus": "use log(1 + exp(x))",
    "square": "use x * x, or power(x, 2)",
    "squeeze": "use reshape",
    "subtract": "use sub, or a - b",
    "truncated_normal": 'use gpucnn.random.truncated_normal(shape, seed, "w", std=0.1)',
    "unsqueeze": "use reshape, or x[:, None]",
    "view": "use reshape",
    "where": "use maximum, minimum or clip, or multiply by a mask",
}  # fmt: skip

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
