"""Functions called as in PyTorch, NumPy and Keras: refused, with our call in the error."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from gpucnn import functions as F
from gpucnn import ops, optim
from gpucnn.autograd import Tensor
from gpucnn.errors import ShapeError, SignatureError, UnknownImportError, UsageError

x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
image = Tensor(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4))
w = Tensor(np.ones((1, 1, 3, 3), np.float32))
one_hot = np.eye(3, dtype=np.float32)[:2]

# What people type, and what they are told to write; `x` and so on are shown by kind and shape.
CALLS = [
    ("max_pool2d(image, 2, 2)", "max_pool2d(image, 2, stride=2)"),
    ("max_pool2d(image, 3, 1, 1)", "max_pool2d(image, 3, stride=1, padding=1)"),
    ("max_pool2d(image, kernel_size=2)", "max_pool2d(image, 2)"),
    ("max_pool2d(input=image, kernel_size=2, ceil_mode=False)", "max_pool2d(image, 2)"),
    ("avg_pool2d(image, 2, 2, 0, False, True)",
     "avg_pool2d(image, 2, stride=2, padding=0, count_include_pad=True)"),
    ("conv2d(image, w, None, 1, 1)", "conv2d(image, w, None, stride=1, padding=1)"),
    ("conv2d(image, w, None, 1, 0, 1, 1)",
     "conv2d(image, w, None, stride=1, padding=0, dilation=1, groups=1)"),
    ("conv2d(image, weight=w, bias=None)", "conv2d(image, w, None)"),
    ("relu(x, inplace=True)", "relu(x)"),
    ("relu(x, True)", "relu(x)"),
    ("leaky_relu(x, negative_slope=0.2)", "leaky_relu(x, 0.2)"),
    ("gelu(x, approximate='tanh')", "gelu(x)"),
    ("softmax(x, dim=1)", "softmax(x, 1)"),
    ("log_softmax(input=x, dim=-1)", "log_softmax(x, -1)"),
    ("sum(x, dim=0, keepdim=True)", "sum(x, 0, True)"),
    ("mean(x, dim=0)", "mean(x, 0)"),
    ("clip(x, min=0, max=2)", "clip(x, 0, 2)"),
    ("clip(x, a_min=0, a_max=2)", "clip(x, 0, 2)"),
    ("flatten(x, 1)", "flatten(x)"),
    ("concat([x, x], dim=1)", "concat([x, x], 1)"),
    ("softmax_cross_entropy(x, target=one_hot)", "softmax_cross_entropy(x, one_hot)"),
    ("softmax_cross_entropy(x, one_hot, label_smoothing=0.1)", "softmax_cross_entropy(x, one_hot)"),
    ("binary_cross_entropy_with_logits(input=x, target=one_hot)",
     "binary_cross_entropy_with_logits(x, one_hot)"),
    ("mean_squared_error(input=x, target=one_hot)", "mean_squared_error(x, one_hot)"),
]  # fmt: skip


def shown(call: str) -> str:
    """A call as an error shows it: arrays by their kinds and shapes."""
    for name, text in {
        "image": "Tensor(1, 1, 4, 4)", "one_hot": "ndarray(2, 3)", "w": "Tensor(1, 1, 3, 3)",
        "x": "Tensor(2, 3)",
    }.items():  # fmt: skip
        for before in "(=[ ":
            for after in ",)]":
                call = call.replace(f"{before}{name}{after}", f"{before}{text}{after}")
    return call


@pytest.mark.parametrize(("theirs", "ours"), CALLS, ids=[theirs for theirs, _ in CALLS])
def test_the_error_shows_our_call(theirs, ours):
    with pytest.raises(SignatureError) as caught:
        eval(f"F.{theirs}")
    assert caught.value.fix == f"write {shown(ours)}"
    assert shown(theirs).partition("(")[2] in caught.value.cause
    eval(f"F.{ours}")  # what it says to write is accepted


@pytest.mark.parametrize(
    ("call", "hints"),
    [
        (lambda: F.dropout(x, 0.5, training=True), ["nn.Dropout", "key is missing"]),
        (lambda: F.linear(x, weight=x), ["there is no weight: did you mean w?"]),
        (lambda: F.exp(x, x), ["it takes 1 argument by position"]),
        (lambda: F.max(x, dim=1), ["did you mean axis?", "argmax"]),
        (lambda: x.min(dim=1), ["did you mean axis?", "argmax"]),
        (lambda: optim.clip_grad_norm([x], 1.0, norm_type=2.0), ["norm_type", "L2"]),
        (lambda: ops.softmax(x.data, dim=1), ["there is no dim: did you mean axis?"]),
        (lambda: ops.relu_forward(input=x.data), ["there is no input: did you mean x?"]),
    ],
)
def test_a_call_that_has_no_equal_says_why(call, hints):
    with pytest.raises(SignatureError) as caught:
        call()
    for hint in hints:
        assert hint in caught.value.cause


def test_arguments_of_plain_primitives():
    array = x.data
    for axis in (1.0, "rows", None, 2):
        with pytest.raises(ShapeError, match="softmax over axis"):
            ops.softmax(array, axis)
    for key in (1, None, (1, 2, 3), (1, "a"), (1.0, 2), ((1, 2), (3, 4)), (0, 2**32), array):
        with pytest.raises(UsageError, match="the key of a dropout is") as caught:
            ops.dropout_forward(array, 0.5, key=key, step=0)
        assert "stream_key" in caught.value.fix


@pytest.mark.parametrize(
    "statement",
    [
        "import gpucnn.nn.functional as F",
        "from gpucnn.nn import functional",
        "from gpucnn.nn.functional import relu",
    ],
)
def test_pytorch_s_module_of_functions_says_ours(statement):
    for _ in range(2):
        with pytest.raises(UnknownImportError, match=r"gpucnn\.nn has no functional") as caught:
            exec(statement)
        assert "gpucnn.functions" in caught.value.fix
    assert importlib.import_module("gpucnn.functions") is F
