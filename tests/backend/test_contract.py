"""Every backend has the contract's primitives: names, parameters, defaults; `ops` mirrors them."""

from __future__ import annotations

import importlib.util
import inspect
import pydoc
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from calls import Calls
from checks import assert_same_bits

from gpucnn import ops
from gpucnn.backend import contract
from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.errors import DtypeError

# The signatures that are promised to users, letter by letter.
CONTRACT = {
    "conv2d_forward": (
        "(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None)"
    ),
    "conv2d_backward_input": "(grad_y, w, x_shape, *, stride=1, padding=0, dilation=1, groups=1)",
    "conv2d_backward_weight": "(grad_y, x, w_shape, *, stride=1, padding=0, dilation=1, groups=1)",
    "bias_grad": "(grad_y)",
    "conv2d_relu_pool_forward": (
        "(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None, pool=None)"
    ),
    "conv2d_relu_pool_backward": (
        "(grad_y, x, w, y=None, argmax=None, *, stride=1, padding=0, dilation=1, groups=1, "
        "pool=None, needs=(True, True, True))"
    ),
    "max_pool2d_forward": "(x, kernel, *, stride=None, padding=0)",
    "max_pool2d_backward": "(grad_y, argmax, x_shape, kernel, *, stride=None, padding=0)",
    "avg_pool2d_forward": "(x, kernel, *, stride=None, padding=0, count_include_pad=None)",
    "avg_pool2d_backward": (
        "(grad_y, x_shape, kernel, *, stride=None, padding=0, count_include_pad=None)"
    ),
    "matmul": "(a, b, *, transpose_a=False, transpose_b=False, bias=None, activation=None)",
    "relu_backward": "(grad_y, y)",
    "softmax_cross_entropy_forward": "(logits, labels)",
    "softmax_cross_entropy_backward": "(probabilities, labels, grad)",
    "batch_norm_forward": "(x, gamma, beta, *, eps=1e-05)",
    "batch_norm_backward": "(grad_y, x, gamma, mean, var, *, eps=1e-05)",
    "dropout_forward": "(x, rate, *, key, step)",
    "dropout_backward": "(grad_y, mask, rate)",
    "gather_rows": "(rows, indices)",
    "begin_step": "(place, order, indices, *, rates=None, step=None, learning_rate=None)",
    "increment": "(counter)",
    "gather": "(dataset, indices, *, scale=1.0, offset=0.0)",
    "accumulate_metrics": (
        "(totals, losses, outputs, labels, *, threshold=0.0, step=None, found_inf=None)"
    ),
    "clip_grad_norm": "(grads, max_norm, *, halted=None, step=None, found_inf=None)",
    "sgd_update": (
        "(param, grad, velocity, *, learning_rate, momentum=0.0, nesterov=False, "
        "weight_decay=0.0, found_inf=None)"
    ),
    "rmsprop_update": (
        "(param, grad, square_avg, *, learning_rate, rho=0.9, eps=1e-07, weight_decay=0.0, "
        "found_inf=None)"
    ),
    "adam_update": (
        "(param, grad, m, v, *, learning_rate, step, beta1=0.9, beta2=0.999, eps=1e-08, "
        "weight_decay=0.0, decoupled=False, found_inf=None)"
    ),
}
SERVICES = {
    "preparation", "asarray", "to_numpy", "write", "owns", "describe", "quiet_device",
    "capture", "compile_ahead", "shapes_only",
}  # fmt: skip


def bare(function):
    """The signature without annotations and without self."""
    signature = inspect.signature(function)
    parameters = [
        p.replace(annotation=inspect.Parameter.empty)
        for p in signature.parameters.values()
        if p.name != "self"
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def public_methods(cls):
    return {
        name
        for name, value in inspect.getmembers(cls, callable)
        if not name.startswith("_") and inspect.isroutine(value)
    }


def test_the_contract_is_the_promised_one():
    assert public_methods(contract.Backend) == set(CONTRACT) | SERVICES
    assert {name: bare(getattr(contract.Backend, name)) for name in CONTRACT} == CONTRACT


def test_every_primitive_is_documented():
    for name in CONTRACT:
        assert inspect.getdoc(getattr(contract.Backend, name)), name


@pytest.mark.parametrize("family", contract.Backend.__bases__, ids=lambda family: family.__name__)
@pytest.mark.parametrize("wing", ["cpu", "numba", "cuda"])
def test_a_wing_has_a_file_for_each_family(wing, family):
    """Of the same name as the contract's, with a class of the same name."""
    if wing == "numba":
        pytest.importorskip("numba", reason="the extra `fast` is not installed")
    name = f"gpucnn.backend.{wing}." + family.__module__.rpartition(".")[2]
    by_numpy = contract.Gather, contract.Metrics, contract.Normalization, contract.Steps
    if wing == "numba" and family in by_numpy:
        assert importlib.util.find_spec(name) is None
        return
    implemented = getattr(importlib.import_module(name), family.__name__)
    assert implemented.__module__ == name
    assert issubclass(implemented, family)
    abstract = {
        key for key, value in vars(family).items() if hasattr(value, "__isabstractmethod__")
    }
    assert abstract
    if wing != "numba":  # which replaces what it computes faster
        assert abstract <= set(vars(implemented))


def test_a_backend_has_exactly_the_contract_s_methods(backend):
    cls = type(backend)
    assert public_methods(cls) == public_methods(contract.Backend)
    for name in public_methods(contract.Backend):
        assert bare(getattr(cls, name)) == bare(getattr(contract.Backend, name)), name


def test_a_backend_says_what_it_is(backend):
    assert isinstance(backend.name, str)
    record = backend.describe()
    assert record["device"]
    assert all(isinstance(key, str) for key in record)


def arrays_of(name):
    """The parameters of a primitive that are arrays and may not be None."""
    parameters = inspect.signature(getattr(ops, name)).parameters.values()
    return [p.name for p in parameters if p.annotation == "Array"]


NUMBERS = [
    (name, p.name)
    for name in sorted(CONTRACT)
    for p in inspect.signature(getattr(ops, name)).parameters.values()
    if p.annotation == "float" or p.name in ("nesterov", "decoupled")
]


@pytest.mark.parametrize(("name", "option"), NUMBERS)
def test_an_option_that_is_no_number(backend, name, option):
    """The same error on every device, before anything is computed."""
    primitive = getattr(backend, name)
    for bad in ("0.1", None, [0.1], (1, 2), 1j, np.ones(3), np.ones(1, complex), object()):

        def call(*args, bad=bad, **kwargs):
            bound = inspect.signature(primitive).bind(*args, **kwargs)
            bound.arguments[option] = bad
            return primitive(*bound.args, **bound.kwargs)

        with pytest.raises(DtypeError, match=f"^{option} is a "):
            Calls(backend.asarray, 1).calls[name](SimpleNamespace(**{name: call}))


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_ops_has_the_types_of_the_contract(name):
    there = inspect.signature(getattr(contract.Backend, name))
    parameters = [p for p in there.parameters.values() if p.name != "self"]
    assert inspect.signature(getattr(ops, name)) == there.replace(parameters=parameters)


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_ops_names_an_array_that_is_none(name):
    class Once:
        """`ops`, each call of which is made again with None in place of one array at a time."""

        def __getattr__(self, called):
            function = getattr(ops, called)

            def call(*args, **kwargs):
                given = inspect.signature(function).bind(*args, **kwargs).arguments
                for key in arrays_of(called):
                    with pytest.raises(DtypeError, match=f"^{called}: {key} is None"):
                        function(**{**given, key: None})
                return function(*args, **kwargs)

            return call

    assert arrays_of(name)
    Calls(np.asarray).calls[name](Once())


COMPOSED = {
    "conv2d_transpose": (
        "(x, w, b=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1)"
    ),
    "relu_forward": "(x)",
    "softmax": "(x, axis=-1)",
}


def test_ops_has_every_primitive_and_what_is_made_of_them():
    names = {
        name
        for name, value in vars(ops).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert names == set(CONTRACT) | set(COMPOSED)
    assert sorted(ops.__all__) == sorted(names)
    files = {file.stem for file in Path(ops.__file__).parent.iterdir()}
    assert not names & files, "a reader of the sources takes the file for the function"
    assert {name: bare(getattr(ops, name)) for name in names} == CONTRACT | COMPOSED


@pytest.mark.parametrize("name", ops.__all__)
def test_the_help_names_every_argument(name):
    listed = inspect.getdoc(getattr(ops, name))
    if len(inspect.signature(getattr(ops, name)).parameters) > 2:
        listed = listed.split("Args:")[1].split("Returns:")[0]
    for key in inspect.signature(getattr(ops, name)).parameters:
        assert re.search(rf"\b{key}\b", listed), key


def test_the_help_of_a_convolution_explains_its_options():
    text = pydoc.plain(pydoc.render_doc(ops.conv2d_forward))
    for words in (
        "stride: pixels from one window to the next",
        '"same" for OH = ceil(H / stride)',
        "dilation: pixels from one tap",
        "groups: channels and filters are split",
        'activation: None, or "relu"',
    ):
        assert words in text


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_ops_hands_its_arguments_to_the_backend_of_the_arrays(name):
    call = Calls(np.asarray, dtype="float64").calls[name]
    for got, want in zip(call(ops), call(CpuBackend()), strict=True):
        assert_same_bits(got, want)


def test_the_calls_of_the_tests_cover_the_contract(backend):
    assert set(Calls(backend.asarray).calls) == set(CONTRACT)
