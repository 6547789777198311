"""The operations of ONNX that can be read: one table, from each to what adds it to a network."""

from __future__ import annotations

from collections.abc import Callable

from gpucnn import nn
from gpucnn.onnx import array_operations as arrays
from gpucnn.onnx import composed_operations as composed
from gpucnn.onnx import layer_operations as layers
from gpucnn.onnx.building import Known

#: The operations that depend on the images.
OPERATIONS: dict[str, Callable[..., Known | list[Known]]] = {
    "Abs": arrays.elementwise("abs"),
    "Add": arrays.binary("add"),
    "AveragePool": layers.average_pool,
    "BatchNormalization": layers.batch_norm,
    "Cast": arrays.cast,
    "Clip": layers.clip,
    "Concat": arrays.concat,
    "Conv": layers.conv,
    "Cos": arrays.elementwise("cos"),
    "Div": arrays.binary("div"),
    "Dropout": layers.dropout,
    "Elu": composed.elu,
    "Exp": arrays.elementwise("exp"),
    "Flatten": arrays.flatten,
    "Gather": arrays.gather,
    "Gelu": layers.gelu,
    "Gemm": layers.gemm,
    "GlobalAveragePool": layers.over_images("mean"),
    "GlobalMaxPool": layers.over_images("max"),
    "HardSigmoid": composed.hard_sigmoid,
    "HardSwish": composed.hard_swish,
    "Identity": lambda b, x: x,
    "LayerNormalization": layers.layer_norm,
    "LeakyRelu": layers.leaky_relu,
    "Log": arrays.elementwise("log"),
    "LogSoftmax": layers.softmax(nn.LogSoftmax, "log_softmax"),
    "MatMul": layers.matmul,
    "Max": arrays.binary("maximum"),
    "MaxPool": layers.max_pool,
    "Min": arrays.binary("minimum"),
    "Mul": arrays.binary("mul"),
    "Neg": arrays.elementwise("neg"),
    "PRelu": composed.prelu,
    "Pad": composed.pad,
    "Pow": arrays.power,
    "ReduceMax": arrays.reduction("max"),
    "ReduceMean": arrays.reduction("mean"),
    "ReduceMin": arrays.reduction("min"),
    "ReduceSum": arrays.reduction("sum"),
    "Relu": layers.activation(nn.ReLU),
    "Reshape": arrays.reshape,
    "Shape": arrays.shape_of,
    "Sigmoid": layers.activation(nn.Sigmoid),
    "Sin": arrays.elementwise("sin"),
    "Slice": arrays.cut,
    "Softmax": layers.softmax(nn.Softmax, "softmax"),
    "Softplus": composed.softplus,
    "Split": composed.split,
    "Sqrt": arrays.elementwise("sqrt"),
    "Squeeze": arrays.squeeze,
    "Sub": arrays.binary("sub"),
    "Sum": arrays.binary("add"),
    "Tanh": layers.activation(nn.Tanh),
    "Transpose": arrays.transpose,
    "Unsqueeze": arrays.unsqueeze,
}
