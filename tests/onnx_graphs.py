"""Small ONNX files, made node by node: those that can be read, and those that are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

packaged = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
helper = packaged.helper


def file(
    path: Path,
    nodes: Sequence[Any],
    shape: Sequence[Any] = ("n", 2, 6, 5),
    opset: int = 20,
    dtype: int = 1,
    **arrays: Any,
) -> Path:
    """Write a network from "x" to "y"; the arrays are its weights, float32 or int64."""
    kept = []
    for name, values in arrays.items():
        array = np.asarray(values)
        kept.append(
            packaged.numpy_helper.from_array(
                array if array.dtype.kind in "ib" else array.astype(np.float32),
                name.replace("__", "."),
            )
        )
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", dtype, list(shape))],
        [helper.make_tensor_value_info("y", 1, None)],
        kept,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def node(operation: str, *inputs: str, to: str = "y", **attributes: Any) -> Any:
    return helper.make_node(operation, inputs, [to], **attributes)


def chain(*operations: Any) -> list[Any]:
    """Operations of one input, one after the other: (name, attributes) each."""
    names = ["x", *(f"v{k}" for k in range(1, len(operations))), "y"]
    return [
        node(operation, names[k], *more, to=names[k + 1], **attributes)
        for k, (operation, more, attributes) in enumerate(operations)
    ]


R = np.random.default_rng(8)
W, DENSE = R.normal(size=(4, 2, 3, 2)), R.normal(size=(6, 3))
FOUR = R.uniform(0.5, 1.5, size=(4, 2))
ROWS = {"shape": ("n", 6)}
POOL = {"kernel_shape": [3, 2], "strides": [2, 2]}
CHANNELS = {name: FOUR[k] for k, name in enumerate("gbmv")}

#: Small networks: nodes, then the arguments of `file`.
FILES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "conv, same upper": ([node("Conv", "x", "w", auto_pad="SAME_UPPER", strides=[2, 2])], {"w": W}),
    "conv, same lower": (
        [node("Conv", "x", "w", "b", auto_pad="SAME_LOWER")],
        {"w": W, "b": np.arange(4.0)},
    ),
    "conv, valid": ([node("Conv", "x", "w", auto_pad="VALID", dilations=[2, 3])], {"w": W}),
    "conv, groups": ([node("Conv", "x", "w", group=2, pads=[1, 0, 2, 1])], {"w": W[:, :1]}),
    "conv, double": ([node("Conv", "x", "w64", to="y")], {"w64": W}),
    "gemm": (
        [node("Gemm", "x", "w", "b", transB=1, alpha=0.5, beta=2.0)],
        {"w": DENSE.T, "b": [1.0, 2.0, 3.0], **ROWS},
    ),
    "gemm, a scalar bias": ([node("Gemm", "x", "w", "b")], {"w": DENSE, "b": 3.0, **ROWS}),
    "matmul, add": (
        [node("MatMul", "x", "w", to="p"), node("Add", "b", "p")],
        {"w": DENSE, "b": [1.0, 2.0, 3.0], **ROWS},
    ),
    "matmul, add of a constant": (
        [
            node("MatMul", "x", "w", to="p"),
            node("Constant", to="b", value_floats=[1.0, 2.0, 3.0]),
            node("Add", "p", "b"),
        ],
        {"w": DENSE, **ROWS},
    ),
    "weights of several gemms": (
        [
            node("Gemm", "x", "w", "b", to="t1"),
            node("Gemm", "t1", "w", "b", to="t2", transB=1),
            node("Gemm", "t2", "w", "b", to="t3", alpha=0.5),
            node("Gemm", "t3", "w", "b", to="t4", beta=0.5),
            node("MatMul", "t4", "w"),
        ],
        {"w": R.normal(size=(3, 3)), "b": [1.0, 2.0, 3.0], "shape": ("n", 3)},
    ),
    "matmul, used twice": (
        [node("MatMul", "x", "w", to="p"), node("Add", "p", "b", to="q"), node("Mul", "p", "q")],
        {"w": DENSE, "b": [1.0, 2.0, 3.0], **ROWS},
    ),
    "matmul of weights": (
        [node("Transpose", "w", to="t", perm=[1, 0]), node("MatMul", "x", "t")],
        {"w": DENSE.T, **ROWS},
    ),
    "matmul of results": (
        [
            node("Transpose", "x", to="t", perm=[1, 0]),
            node("MatMul", "x", "t", to="p"),
            node("MatMul", "p", "x"),
        ],
        ROWS,
    ),
    "matmul of images": ([node("MatMul", "x", "w")], {"w": R.normal(size=(5, 3))}),
    "matmul of sequences, add": (
        [node("MatMul", "x", "w", to="p"), node("Add", "p", "b")],
        {"w": DENSE, "b": [1.0, 2.0, 3.0], "shape": ("n", 4, 6)},
    ),
    "batch norm": ([node("BatchNormalization", "x", *"gbmv", epsilon=0.1)], CHANNELS),
    "batch norm of rows": (
        [node("BatchNormalization", "x", *"gbmv", epsilon=0.1)],
        {**CHANNELS, "shape": ("n", 2)},
    ),
    "layer norm": (
        [node("LayerNormalization", "x", "g", "b", axis=3)],
        {"g": np.arange(5.0), "b": np.ones(5)},
    ),
    "layer norm without bias": (
        [node("LayerNormalization", "x", "g", epsilon=0.1)],
        {"g": np.arange(5.0)},
    ),
    "max pool": ([node("MaxPool", "x", **POOL, pads=[1, 0, 2, 1])], {}),
    "max pool, ceil": ([node("MaxPool", "x", **POOL, ceil_mode=1)], {}),
    "max pool, ceil and pads": ([node("MaxPool", "x", **POOL, ceil_mode=1, pads=[1, 1, 1, 1])], {}),
    "max pool, same lower": ([node("MaxPool", "x", **POOL, auto_pad="SAME_LOWER")], {}),
    "average pool": ([node("AveragePool", "x", **POOL, pads=[1, 0, 1, 1])], {}),
    "average pool, pads counted": (
        [node("AveragePool", "x", **POOL, pads=[1, 0, 1, 1], count_include_pad=1)],
        {},
    ),
    "average pool, ceil": ([node("AveragePool", "x", **POOL, ceil_mode=1)], {}),
    "global pools": (
        [
            node("GlobalAveragePool", "x", to="a"),
            node("GlobalMaxPool", "x", to="m"),
            node("Sub", "a", "m"),
        ],
        {},
    ),
    "global mean": ([node("ReduceMean", "x", "axes", keepdims=0)], {"axes": [-1, 2]}),
    "reductions": (
        [
            node("ReduceMean", "x", to="a", axes=[1]),
            node("ReduceMax", "x", to="b", axes=[3, 1]),
            node("ReduceMin", "x", to="c", axes=[-1]),
            node("Sum", "a", "b", "c"),
        ],
        {"opset": 13},
    ),
    "sums": ([node("ReduceSum", "x", "axes", keepdims=0)], {"axes": [2]}),
    "activations": (
        chain(
            ("LeakyRelu", (), {"alpha": 0.3}),
            ("Tanh", (), {}),
            ("Sigmoid", (), {}),
            ("Relu", (), {}),
            ("Gelu", (), {"approximate": "tanh"}),
            ("Identity", (), {}),
            ("Softmax", (), {"axis": 1}),
        ),
        {},
    ),
    "softmax of old": (chain(("Relu", (), {}), ("Softmax", (), {})), {**ROWS, "opset": 11}),
    "log softmax": (chain(("LogSoftmax", (), {"axis": -3})), {}),
    "arithmetic": (
        chain(
            ("Abs", (), {}),
            ("Add", ("one",), {}),
            ("Log", (), {}),
            ("Sqrt", (), {}),
            ("Neg", (), {}),
            ("Exp", (), {}),
            ("Sin", (), {}),
            ("Cos", (), {}),
            ("Mul", ("channels",), {}),
            ("Div", ("one",), {}),
            ("Pow", ("two",), {}),
            ("Max", ("half", "quarter"), {}),
            ("Min", ("one",), {}),
        ),
        {"one": 1.0, "two": [2.0], "half": 0.5, "quarter": 0.25, "channels": [[[1]], [[2.0]]]},
    ),
    "clip": (
        chain(("Clip", ("low", "high"), {}), ("Clip", ("", "low"), {})),
        {"low": [-0.5], "high": 0.75},
    ),
    "clip of old": (
        chain(("Clip", (), {"min": 0.0, "max": 6.0}), ("Clip", (), {"min": 0.1})),
        {"opset": 9},
    ),
    "dropout": (chain(("Dropout", ("ratio",), {}), ("Neg", (), {})), {"ratio": 0.3}),
    "dropout of old": (chain(("Dropout", (), {"ratio": 0.3}), ("Neg", (), {})), {"opset": 9}),
    "flatten": (chain(("Flatten", (), {"axis": -3}), ("Neg", (), {})), {}),
    "flatten twice the batch": (
        chain(
            ("Reshape", ("a",), {}),
            ("Flatten", (), {}),
            ("ReduceMax", ("b",), {}),
            ("Reshape", ("c",), {}),
        ),
        {"a": [-1, 3, 10], "b": [1], "c": [-1, 2]},
    ),
    "reshapes": (
        chain(
            ("Reshape", ("a",), {}),
            ("Reshape", ("b",), {}),
            ("Reshape", ("c",), {}),
            ("Reshape", ("d",), {}),
        ),
        {"a": [-1, 3, 20], "b": [0, 0, 4, -1], "c": [-1, 12], "d": [-1, 60]},
    ),
    "a batch of one": (chain(("Reshape", ("a",), {})), {"shape": (1, 2, 6, 5), "a": [1, 60]}),
    "squeeze": (
        chain(("Unsqueeze", ("a",), {}), ("Neg", (), {}), ("Squeeze", ("b",), {})),
        {"a": [1, 3], "b": [-3, 1]},
    ),
    "squeeze of old": (
        chain(("Unsqueeze", (), {"axes": [2]}), ("Squeeze", (), {"axes": [-3]}), ("Neg", (), {})),
        {"opset": 11},
    ),
    "transpose": (chain(("Transpose", (), {"perm": [0, 2, 3, 1]}), ("Neg", (), {})), {}),
    "concat": ([node("Neg", "x", to="n"), node("Concat", "x", "n", axis=-3)], {}),
    "slice": (
        chain(("Slice", ("starts", "ends", "axes", "steps"), {})),
        {
            "starts": [0, 4, 1],
            "ends": [2**63 - 1, -(2**63) + 1, 4],
            "axes": [0, 2, 3],
            "steps": [1, -2, 2],
        },
    ),
    "slice of old": (
        chain(("Slice", (), {"starts": [0, 1], "ends": [9999999999, 2], "axes": [0, 1]})),
        {"opset": 9},
    ),
    "gather": (
        chain(("Gather", ("many",), {"axis": 2}), ("Gather", ("one",), {"axis": 1})),
        {"many": [5, -1, 0], "one": -1},
    ),
    "the size of the batch": (
        [
            node("Shape", "x", to="s"),
            node("Constant", to="zero", value_ints=[0]),
            node("Gather", "s", "zero", to="n"),
            node("Constant", to="rest", value=packaged.numpy_helper.from_array(np.array([-1]))),
            node("Concat", "n", "rest", to="shape", axis=0),
            node("Reshape", "x", "shape"),
        ],
        {},
    ),
    "the size of the batch as int32": (
        [
            node("Shape", "x", to="s"),
            node("Gather", "s", "zero", to="n"),
            helper.make_node("Cast", ["n"], ["n32"], to=6),
            helper.make_node("Cast", ["n32"], ["n64"], to=7),
            node("Concat", "sixty", "n64", to="shape", axis=0),
            node("Transpose", "x", to="t", perm=[1, 2, 3, 0]),
            node("Reshape", "t", "shape", to="r"),
            node("Transpose", "r", perm=[1, 0]),
        ],
        {"zero": [0], "sixty": [60]},
    ),
    "sizes that are computed": (
        [
            node("Shape", "x", to="s"),
            node("Slice", "s", "two", "four", to="hw"),
            node("Gather", "hw", "zero", to="h0"),
            node("Gather", "hw", "one", to="w0"),
            node("Mul", "h0", "w0", to="m"),
            node("Add", "m", "two", to="m2"),
            node("Sub", "m2", "two", to="m3"),
            node("Div", "m3", "one", to="m4"),
            node("Unsqueeze", "m4", "axis", to="m5"),
            node("Squeeze", "m5", "axis", to="m6"),
            node("Reshape", "m6", "one1", to="m7"),
            node("Identity", "m7", to="m8"),
            node("Shape", "s", to="rank"),
            node("ConstantOfShape", "rank", to="filled"),
            node("Slice", "filled", "zero1", "one1", to="f1"),
            helper.make_node("Cast", ["f1"], ["f2"], to=7),
            node("Concat", "f2", "two", "m8", to="shape", axis=0),
            node("Reshape", "x", "shape"),
        ],
        {"two": [2], "four": [4], "zero": 0, "one": 1, "axis": [0], "one1": [1], "zero1": [0]},
    ),
    "hard sigmoid": (chain(("HardSigmoid", (), {}), ("HardSigmoid", (), {"alpha": 0.5})), {}),
    "hard swish": (chain(("HardSwish", (), {})), {}),
    "elu": (chain(("Elu", (), {}), ("Elu", (), {"alpha": 0.3})), {}),
    "softplus": (chain(("Mul", ("a",), {}), ("Softplus", (), {})), {"a": 100.0}),
    "prelu": (
        chain(("PRelu", ("a",), {}), ("PRelu", ("b",), {})),
        {"a": [[[0.2]], [[-1]]], "b": 0.1},
    ),
    "split": (
        [
            helper.make_node("Split", ["x", "a"], ["s1", "s2", "s3"], axis=-1),
            helper.make_node("Split", ["x"], ["t1", "t2", "t3"], axis=2, num_outputs=3),
            node("Concat", "s3", "s1", "s2", to="s", axis=3),
            node("Concat", "t2", "t3", "t1", to="t", axis=2),
            node("Sub", "s", "t"),
        ],
        {"a": [1, 2, 2]},
    ),
    "split of old": (
        [
            helper.make_node("Split", ["x"], ["s1", "s2"], axis=1),
            helper.make_node("Split", ["s1"], ["t1", "t2"], axis=3, split=[1, 4]),
            node("Sub", "t1", "t2"),
        ],
        {"opset": 11},
    ),
    "pad": (chain(("Pad", ("a", "f"), {})), {"a": [0, 1, 0, 2, 0, 0, 3, 9], "f": 0.5}),
    "pad with zeros": (chain(("Pad", ("a", "", "b"), {})), {"a": [1, 0, 1, 2], "b": [-1, 2]}),
    "pad of old": (
        chain(("Pad", (), {"pads": [0, 0, 1, 0, 0, 0, 0, 1], "value": -2.0})),
        {"opset": 10},
    ),
    "pixels": (
        [
            helper.make_node("Cast", ["x"], ["f"], to=1),
            node("Mul", "f", "scale", to="g"),
            node("Relu", "g"),
        ],
        {"scale": 1 / 255, "dtype": 2},
    ),
    "pixels, the channels last": (
        [
            node("Transpose", "x", to="t", perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["t"], ["f"], to=1),
            node("Div", "f", "scale", to="g"),
            node("Conv", "g", "w"),
        ],
        {"scale": 255.0, "dtype": 2, "shape": ("n", 6, 5, 2), "w": W},
    ),
}


NESTED = helper.make_graph(
    [node("Neg", "x")], "inner", [], [helper.make_tensor_value_info("y", 1, None)]
)

#: Nodes that cannot be read: what the error says, and the arguments of `file`.
REFUSED: list[tuple[list[Any], str, dict[str, Any]]] = [
    (
        [node("ConvTranspose", "x", "w")],
        r"node y of .*, ConvTranspose, cannot be imported",
        {"w": W},
    ),
    (
        [node("Relu", "x", to="a"), helper.make_node("Erf", ["a"], ["y"], name="/gelu/Erf")],
        "node /gelu/Erf of",
        {},
    ),
    ([node("Gelu", "x")], "tanh form", {}),
    ([node("Pad", "x", "a", mode="reflect")], "its mode is reflect", {"a": [0, 0, 1, 1] * 2}),
    ([node("Pad", "x", "a")], "negative", {"a": [0, 0, -1, 0] * 2}),
    ([node("Pad", "x", "a")], "pads the batch", {"a": [1, 0, 0, 0] * 2}),
    ([node("Pad", "x", "a")], "numbers for one image", {"a": [0, 0, 2**40, 0] * 2}),
    ([node("Pad", "x", "a", "f")], "a finite number", {"a": [0, 0, 1, 0] * 2, "f": -np.inf}),
    ([node("Split", "x", "a", axis=1)], "it cuts axis 1", {"a": [1]}),
    ([node("Split", "x", axis=0)], "cuts the batch", {}),
    ([node("PRelu", "x", "a")], "its slope is", {"a": np.ones((2, 1, 2, 6, 5))}),
    ([node("Conv", "x", "x")], "its weight is computed from the images", {}),
    ([node("Conv", "x", "w", kernel_shape=[5, 5])], "must be", {"w": W}),
    ([node("Conv", "x", "w")], r"must be \(F, C, KH, KW\)", {"w": W[0]}),
    ([node("Conv", "x", "w")], "5 channels a group", {"w": R.normal(size=(4, 5, 1, 1))}),
    ([node("Conv", "x", "w", pads=[-1, 0, 0, 0])], "padding is negative", {"w": W}),
    ([node("Conv", "x", "w", pads=[10**9] * 4)], "numbers for one image", {"w": W}),
    ([node("Conv", "x", "w", strides=[0, 0])], "stride", {"w": W}),
    ([node("Conv", "x", "w", strides=[1, 1, 1])], "two axes", {"w": W}),
    ([node("Conv", "x", "w", "b")], r"bias is \(3,\)", {"w": W, "b": np.ones(3)}),
    (
        [node("Gemm", "x", "w", "b")],
        r"bias is \(3, 1\)",
        {"w": DENSE, "b": np.ones((3, 1)), **ROWS},
    ),
    ([node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])], "dilated", {}),
    ([node("MaxPool", "x", kernel_shape=[2, 2], pads=[2, 2, 2, 2])], "smaller than the kernel", {}),
    (
        [node("AveragePool", "x", **POOL, ceil_mode=1, pads=[1] * 4, count_include_pad=1)],
        "rounds sizes up",
        {},
    ),
    ([node("Gemm", "x", "w", transA=1)], "its input is transposed", {"w": DENSE, **ROWS}),
    ([node("Gemm", "x", "w")], "a dense layer takes rows", {"w": DENSE}),
    (
        [node("BatchNormalization", "x", *"gbmv", training_mode=1)],
        "statistics of the batch",
        CHANNELS,
    ),
    (
        [node("BatchNormalization", "x", *"gbmv")],
        "one number for each of 3 channels",
        {**CHANNELS, "shape": ("n", 3, 6, 5)},
    ),
    (
        [node("LayerNormalization", "x", "g", axis=2)],
        "more than the last axis",
        {"g": np.arange(5.0)},
    ),
    ([node("Softmax", "x")], "over several axes", {"opset": 11}),
    ([node("Pow", "x", "x")], "its exponent is computed", {}),
    ([node("Add", "x", "a")], "do not fit together", {"a": np.ones(4)}),
    ([node("Add", "x", "a")], "int64", {"a": np.arange(5)}),
    ([node("Reshape", "x", "a")], "reshape of", {"a": [0, 61]}),
    ([node("Reshape", "x", "a")], "reshape of", {"a": [-1, -1]}),
    ([node("Flatten", "x", axis=2)], "the axis of the batch", {}),
    (
        [node("Transpose", "x", to="t", perm=[1, 0, 2, 3]), node("Flatten", "t")],
        "the axis of the batch",
        {},
    ),
    ([node("Transpose", "x", perm=[0, 0, 1, 2])], "perm", {}),
    ([node("Concat", "x", "x", axis=0)], "along axis 0", {}),
    ([node("Slice", "x", "a", "b")], "cuts the batch", {"a": [1], "b": [3]}),
    ([node("Gather", "x", "a")], "single images", {"a": 0}),
    ([node("Gather", "x", "a", axis=1)], "outside", {"a": 2}),
    ([helper.make_node("Cast", ["x"], ["y"], to=11)], "another type", {}),
    ([node("Relu", "z")], "no node before it gives its input z", {}),
    ([node("Relu", "x", to="z")], "no node gives its output 'y'", {}),
    ([node("Relu")], "Relu, cannot be imported", {}),
    ([node("Relu", "x", "x", "x")], "Relu, cannot be imported", {}),
    ([node("Conv", "x", "w", strides=2)], "Conv, cannot be imported", {"w": W}),
    ([node("Conv", "x", "w", auto_pad=3)], "Conv, cannot be imported", {"w": W}),
    ([node("Identity", "x")], "nothing is computed", {}),
    ([node("Clip", "x", "a", "b")], "its min is 2, and its max 1", {"a": 2.0, "b": 1.0}),
    ([node("Clip", "x", min=0.5, max=-0.5)], "its max -0.5", {"opset": 10}),
    ([node("ReduceMean", "x", axes=[0])], r"its output is \(1, 2, 6, 5\)", {"opset": 13}),
    ([node("Transpose", "x")], r"its output is \(5, 6, 2, N\)", {}),
    ([node("ReduceSum", "x", keepdims=0)], r"its output is \(\)", {}),
    ([node("Unsqueeze", "x", "a", "a")], "Unsqueeze, cannot be imported", {"a": [9]}),
    ([node("Neg", "w")], "no layer or function", {"w": W}),
    (
        [helper.make_node("If", ["x"], ["y"], then_branch=NESTED, else_branch=NESTED)],
        "loops and conditions",
        {},
    ),
    ([helper.make_node("Relu", ["x"], ["y"], domain="com.example")], "Relu of com.example", {}),
    ([node("Relu", "x")], "of opset 6", {"opset": 6}),
    ([node("Relu", "x")], "of the type int64", {"dtype": 7}),
    ([node("Relu", "x")], "must be known", {"shape": ("n", 2, "h", "w")}),
    ([node("Relu", "x")], "must be", {"shape": ("n",)}),
    ([node("Relu", "x")], "must be", {"shape": ("n", 10**6, 10**6)}),
    (
        [node("Shape", "x", to="s"), node("Mul", "s", "s", to="t"), node("Reshape", "x", "t")],
        "computed from the batch size",
        {},
    ),
    (
        [
            node("Shape", "x", to="s"),
            helper.make_node("Cast", ["s"], ["f"], to=1),
            node("Gather", "f", "a", to="n"),
            node("Div", "x", "n"),
        ],
        "converts the batch size to float32",
        {"a": 0},
    ),
    (
        [node("Shape", "x", to="s"), node("Slice", "x", "a", "s")],
        "its ends is computed from the batch size",
        {"a": [0, 0, 0, 0]},
    ),
    (
        [node("Shape", "x", to="s"), node("Slice", "a", "a", "s", to="b"), node("Add", "x", "b")],
        "computed from the batch size",
        {"a": [0, 0, 0, 0]},
    ),
    (
        [node("ConstantOfShape", "a", to="b"), node("Add", "x", "b")],
        "more than",
        {"a": [10**5, 10**5]},
    ),
]
