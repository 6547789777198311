"""A directional gradient check of every function, in float64; dtypes; empty batches."""

from __future__ import annotations

import inspect
from functools import partial

import numpy as np
import pytest
from checks import check_gradient, graph_functions
from function_cases import CASES

from gpucnn import functions
from gpucnn.autograd import Function, Tensor

PARAMETERS = [
    pytest.param(function, inputs, id=f"{name}-{i}")
    for name, cases in CASES.items()
    for i, (function, inputs) in enumerate(cases)
]


@pytest.mark.parametrize(("function", "inputs"), PARAMETERS)
def test_gradient(backend, function, inputs):
    check_gradient(backend, partial(function, backend.asarray), *inputs)


def test_every_exported_function_has_a_check():
    exported = {
        name
        for name, value in vars(functions).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert exported == set(functions.__all__) == set(CASES)


def test_every_function_class_has_a_check(backend):
    def subclasses(cls):
        return {cls}.union(*map(subclasses, cls.__subclasses__()))

    checked = set()
    for cases in CASES.values():
        for function, inputs in cases:
            leaves = [Tensor(backend.asarray(x), requires_grad=True) for x in inputs]
            checked |= graph_functions(function(backend.asarray, *leaves))
    defined = {
        cls
        for cls in subclasses(Function)
        if cls.__module__.startswith("gpucnn.functions") and not cls.__name__.startswith("_")
    }
    assert len(defined) > 20
    assert defined <= checked, f"no gradient check reaches {defined - checked}"


def test_every_function_class_has_its_formula():
    for cls in Function.__subclasses__():
        if cls.__module__.startswith("gpucnn.functions") and not cls.__name__.startswith("_"):
            assert inspect.getdoc(cls), cls


@pytest.mark.parametrize(("function", "inputs"), PARAMETERS)
def test_float32_stays_float32(backend, function, inputs):
    def at(array):
        return backend.asarray(array.astype("float32") if array.dtype.kind == "f" else array)

    leaves = [Tensor(at(x), requires_grad=True) for x in inputs]
    output = function(at, *leaves)
    assert output.dtype == np.float32
    output.backward(backend.xp.ones_like(output.data))
    assert [leaf.grad.dtype for leaf in leaves] == [np.float32] * len(leaves)
    exact = [Tensor(backend.asarray(x), requires_grad=True) for x in inputs]
    reference = function(backend.asarray, *exact)
    reference.backward(backend.xp.ones_like(reference.data))
    np.testing.assert_allclose(output.numpy(), reference.numpy(), rtol=1e-3, atol=1e-4)
    for leaf, other in zip(leaves, exact, strict=True):
        got, want = backend.to_numpy(leaf.grad), backend.to_numpy(other.grad)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


EMPTY = {
    "conv2d": lambda x: functions.conv2d(x, np.ones((3, 2, 3, 3), dtype=np.float32), padding=1),
    "max_pool2d": lambda x: functions.max_pool2d(x, 2),
    "avg_pool2d": lambda x: functions.avg_pool2d(x, 2, count_include_pad=False),
    "global_avg_pool2d": functions.global_avg_pool2d,
    "relu": functions.relu,
    "dropout": lambda x: functions.dropout(x, 0.5, key=(0, 0), step=0),
    "flatten": functions.flatten,
    "linear": lambda x: functions.linear(
        functions.flatten(x), np.ones((32, 3), dtype=np.float32), np.ones(3, dtype=np.float32)
    ),
    "softmax": functions.softmax,
    "log_softmax": functions.log_softmax,
    "layer_norm": lambda x: functions.layer_norm(x, *[np.ones(4, dtype=np.float32)] * 2),
    "softmax_cross_entropy": lambda x: functions.softmax_cross_entropy(
        functions.flatten(x), np.zeros(0, dtype=np.int32), reduction="sum"
    ),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_batch(name):
    x = Tensor(np.zeros((0, 2, 4, 4), dtype=np.float32), requires_grad=True)
    y = EMPTY[name](x)
    assert y.shape[:1] in ((0,), ())
    y.backward(np.zeros(y.shape, dtype=np.float32))
    assert x.grad.shape == x.shape
