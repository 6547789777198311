"""What the functions give, against loops; extreme inputs; what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
from checks import assert_close

from gpucnn import functions as F
from gpucnn import random
from gpucnn.autograd import Tensor
from gpucnn.errors import DtypeError, ShapeError, UsageError

RNG = np.random.default_rng(3)
X = RNG.standard_normal((3, 4, 5))
POSITIVE = RNG.uniform(0.2, 3.0, (3, 4, 5))

ELEMENTWISE = {
    "neg": (F.neg, lambda v: -v, X),
    "exp": (F.exp, math.exp, X),
    "log": (F.log, math.log, POSITIVE),
    "sqrt": (F.sqrt, math.sqrt, POSITIVE),
    "sin": (F.sin, math.sin, X),
    "cos": (F.cos, math.cos, X),
    "tanh": (F.tanh, math.tanh, X),
    "power": (lambda x: F.power(x, 2.5), lambda v: v**2.5, POSITIVE),
    "leaky_relu": (F.leaky_relu, lambda v: v if v > 0 else 0.01 * v, X),
}
LIKE = {
    "relu": (F.relu, reference.relu),
    "sigmoid": (F.sigmoid, reference.sigmoid),
    "gelu": (F.gelu, reference.gelu_tanh),
    "log_softmax": (F.log_softmax, reference.log_softmax),
    "softmax": (F.softmax, lambda x: np.exp(reference.log_softmax(x))),
    "softmax of axis 1": (
        lambda x: F.softmax(x, axis=1),
        lambda x: np.exp(reference.log_softmax(x, 1)),
    ),
}


def tensor(backend, array):
    return Tensor(backend.asarray(np.asarray(array)))


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elementwise(backend, name, dtype):
    function, formula, x = ELEMENTWISE[name]
    x = x.astype(dtype)
    got = function(tensor(backend, x)).numpy()
    assert got.dtype == dtype
    assert_close(got, reference.each(formula, x))


@pytest.mark.parametrize("name", LIKE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations(backend, name, dtype):
    function, oracle = LIKE[name]
    x = (2 * X).astype(dtype)
    got = function(tensor(backend, x)).numpy()
    assert got.dtype == dtype
    assert_close(got, oracle(x), terms=5)


@pytest.mark.parametrize("value", [1e4, -1e4, 100.0, -100.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_of_extreme_inputs_are_finite(backend, value, dtype):
    row = np.array([[value, 0.0, -value]], dtype=dtype)
    for function in (F.sigmoid, F.tanh, F.softmax, F.log_softmax, F.gelu):
        x = Tensor(backend.asarray(row), requires_grad=True)
        y = function(x)
        assert np.isfinite(y.numpy()).all(), function
        y.sum().backward()
        assert np.isfinite(backend.to_numpy(x.grad)).all(), function
    assert_close(F.log_softmax(tensor(backend, row)).numpy(), reference.log_softmax(row), 3)


def test_the_sigmoid_keeps_small_probabilities(backend):
    """1 / (1 + e^20) is 2e-9: a formula that rounds at 1 gives 0 in float32."""
    x = np.array([-20.0, -30.0, -50.0], dtype=np.float32)
    assert_close(F.sigmoid(tensor(backend, x)).numpy(), reference.sigmoid(x), terms=50**2)


def test_arithmetic(backend):
    a, b = tensor(backend, X), tensor(backend, POSITIVE)
    for got, want in (
        (F.add(a, b), X + POSITIVE),
        (F.sub(a, b), X - POSITIVE),
        (F.mul(a, b), X * POSITIVE),
        (F.div(a, b), X / POSITIVE),
        (F.sum(a, axis=(0, 2)), X.sum(axis=(0, 2))),
        (F.mean(a, axis=1, keepdims=True), X.mean(axis=1, keepdims=True)),
        (F.max(a, axis=-1), X.max(axis=-1)),
        (F.reshape(a, 12, 5), X.reshape(12, 5)),
        (F.transpose(a, 2, 0, 1), X.transpose(2, 0, 1)),
        (F.getitem(a, (slice(1), 2)), X[:1, 2]),
    ):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-14)


@pytest.mark.parametrize(("exponent", "slope"), [(0, 0.0), (1, 1.0), (2, 0.0), (3, 0.0)])
def test_the_slope_of_a_power_at_zero(backend, exponent, slope):
    x = Tensor(backend.asarray(np.zeros(2)), requires_grad=True)
    (x**exponent).sum().backward()
    np.testing.assert_array_equal(backend.to_numpy(x.grad), [slope, slope])


def test_equal_maxima_share_the_gradient(backend):
    x = Tensor(backend.asarray(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])), requires_grad=True)
    F.max(x, axis=1).backward(backend.asarray(np.array([1.0, 1.0])))
    np.testing.assert_allclose(
        backend.to_numpy(x.grad), [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15
    )


def test_convolution_is_the_primitive(backend, rng):
    x, w, b = rng.standard_normal((2, 4, 6, 6)), rng.standard_normal((6, 2, 3, 3)), np.ones(6)
    options = {"stride": 2, "padding": ((0, 1), (1, 1)), "dilation": 1, "groups": 2}
    there = [tensor(backend, a) for a in (x, w, b)]
    got = F.conv2d(*there, **options, activation="relu").numpy()
    assert_close(got, reference.conv2d_forward(x, w, b, **options, activation="relu"), 19)
    assert_close(
        F.conv2d(*there[:2], **options).numpy(), reference.conv2d_forward(x, w, **options), 18
    )


def test_fused_relu_has_the_gradient_of_the_unfused(backend, rng):
    arrays = [rng.standard_normal(s) for s in ((2, 3, 6, 6), (4, 3, 3, 3), (4,))]
    grads = []
    for fused in (True, False):
        x, w, b = (Tensor(backend.asarray(a), requires_grad=True) for a in arrays)
        y = F.conv2d(x, w, b, activation="relu") if fused else F.relu(F.conv2d(x, w, b))
        F.sum(F.mul(y, y)).backward()
        grads.append([backend.to_numpy(t.grad) for t in (x, w, b)])
    for a, b in zip(*grads, strict=True):
        np.testing.assert_array_equal(a, b)


def test_linear(backend, rng):
    x, w, b = rng.standard_normal((5, 7)), rng.standard_normal((7, 3)), rng.standard_normal(3)
    there = [tensor(backend, a) for a in (x, w, b)]
    assert_close(F.linear(*there).numpy(), reference.matmul(x, w, bias=b), 8)
    got = F.linear(*there, activation="relu").numpy()
    assert_close(got, reference.matmul(x, w, bias=b, activation="relu"), 8)


def test_pooling_is_the_primitive(backend, rng):
    x = rng.standard_normal((2, 3, 7, 6))
    t = tensor(backend, x)
    options = {"stride": 2, "padding": 1}
    got = F.max_pool2d(t, 3, **options).numpy()
    np.testing.assert_array_equal(got, reference.max_pool2d_forward(x, 3, **options))
    got = F.avg_pool2d(t, 3, **options, count_include_pad=False).numpy()
    want = reference.avg_pool2d_forward(x, 3, **options, count_include_pad=False)
    assert_close(got, want, 9)
    assert_close(F.global_avg_pool2d(t).numpy(), x.mean(axis=(2, 3)), 42)


def test_batch_norm(backend, rng):
    x, gamma, beta = rng.standard_normal((4, 3, 2, 2)), np.array([1.0, 2, 3]), np.array([0.0, 1, 2])
    there = [tensor(backend, a) for a in (x, gamma, beta)]
    y, mean, var = F.batch_norm(*there, eps=1e-3)
    wants = reference.batch_norm_forward(x, gamma, beta, eps=1e-3)
    for got, want in zip((y.numpy(), *map(backend.to_numpy, (mean, var))), wants, strict=True):
        assert_close(got, want, 16)
    again = F.batch_norm_inference(*there, mean, var, eps=1e-3)
    assert_close(again.numpy(), wants[0], 16)


def test_layer_norm(backend, rng):
    x, gamma, beta = rng.standard_normal((2, 3, 6)), rng.standard_normal(6), rng.standard_normal(6)
    got = F.layer_norm(*(tensor(backend, a) for a in (x, gamma, beta)), eps=1e-3)
    assert_close(got.numpy(), reference.layer_norm(x, gamma, beta, eps=1e-3), 6)


def test_dropout_is_a_function_of_key_and_step(backend):
    x = np.ones((50, 40))
    key = random.stream_key(0, "dropout/dropout1")
    got = F.dropout(tensor(backend, x), 0.25, key=key, step=4).numpy()
    np.testing.assert_array_equal(got != 0, random.dropout_mask(x.shape, 0.25, key, 4) == 1)
    np.testing.assert_allclose(got[got != 0], 1 / 0.75, rtol=1e-15)


def test_flatten(backend):
    assert F.flatten(tensor(backend, np.zeros((2, 3, 4, 5)))).shape == (2, 60)
    assert F.flatten(tensor(backend, np.zeros((0, 3, 4)))).shape == (0, 12)


# --- losses -------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("soft", [False, True])
def test_softmax_cross_entropy(backend, rng, reduction, soft):
    logits = rng.standard_normal((6, 4))
    targets = rng.dirichlet(np.ones(4), 6) if soft else rng.integers(0, 4, 6)
    got = F.softmax_cross_entropy(
        tensor(backend, logits), backend.asarray(targets), reduction=reduction
    ).numpy()
    losses = reference.softmax_cross_entropy_forward(logits, targets)[0]
    want = {"mean": losses.mean(), "sum": losses.sum(), "none": losses}[reduction]
    assert_close(got, np.asarray(want), terms=24)


def test_one_hot_targets_are_class_ids(backend, rng):
    logits, ids = rng.standard_normal((6, 4)), np.array([0, 3, 2, 2, 1, 0])
    results = []
    for targets in (ids, np.eye(4)[ids]):
        x = Tensor(backend.asarray(logits), requires_grad=True)
        loss = F.softmax_cross_entropy(x, backend.asarray(targets))
        loss.backward()
        results.append((loss.item(), backend.to_numpy(x.grad)))
    assert abs(results[0][0] - results[1][0]) < 1e-15
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ["ids", "one-hot"])
def test_cross_entropy_of_huge_logits(backend, dtype, form):
    logits = np.array([[1e4, 0, -1e4], [-1e4, 1e4, 0], [1e4, 1e4, 1e4]], dtype=dtype)
    ids = np.array([0, 2, 1])
    targets = ids if form == "ids" else np.eye(3, dtype=dtype)[ids]
    x = Tensor(backend.asarray(logits), requires_grad=True)
    losses = F.softmax_cross_entropy(x, backend.asarray(targets), reduction="none")
    assert_close(losses.numpy(), np.array([0, 1e4, math.log(3)]), terms=3)
    losses.sum().backward()
    want = [[0, 0, 0], [0, 1, -1], [1 / 3, 1 / 3 - 1, 1 / 3]]
    assert_close(backend.to_numpy(x.grad), np.array(want), terms=3)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_binary_cross_entropy(backend, rng, scale):
    logits = scale * rng.standard_normal((5, 3))
    targets = rng.uniform(0, 1, (5, 3))
    targets[0] = [0, 1, 0]
    got = F.binary_cross_entropy_with_logits(
        tensor(backend, logits), backend.asarray(targets), reduction="none"
    )
    want = reference.binary_cross_entropy_with_logits(logits, targets)
    assert_close(got.numpy(), want, terms=4)
    mean = F.binary_cross_entropy_with_logits(tensor(backend, logits), backend.asarray(targets))
    assert_close(mean.numpy(), np.asarray(want.mean()), terms=16)


def test_mean_squared_error(backend, rng):
    a, b = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    ta, tb = tensor(backend, a), tensor(backend, b)
    assert_close(F.mean_squared_error(ta, tb).numpy(), np.asarray(((a - b) ** 2).mean()), 12)
    half = F.mean_squared_error(ta, tb, half=True).numpy()
    assert_close(half, np.asarray(((a - b) ** 2).mean() / 2), 12)
    total = F.mean_squared_error(ta, tb, half=True, reduction="sum").numpy()
    assert_close(total, np.asarray(((a - b) ** 2).sum() / 2), 12)


@pytest.mark.parametrize(
    "loss",
    [F.softmax_cross_entropy, F.binary_cross_entropy_with_logits, F.mean_squared_error],
)
def test_losses_do_not_broadcast(backend, loss):
    a = tensor(backend, np.zeros((4, 3)))
    for shape in ((4, 1), (3,), (4, 2), (1, 4, 3)):
        with pytest.raises((ShapeError, DtypeError)):
            loss(a, backend.asarray(np.zeros(shape)))


def test_an_unknown_reduction(backend):
    a = tensor(backend, np.zeros((4, 3)))
    with pytest.raises(UsageError, match="median"):
        F.mean_squared_error(a, a, reduction="median")


# --- what is refused ------------------------------------------------------------------------


def test_shapes_that_do_not_fit_are_named(backend):
    a, b = tensor(backend, np.zeros((2, 3))), tensor(backend, np.zeros((4, 5)))
    for function in (F.add, F.sub, F.mul, F.div, F.matmul, F.linear):
        with pytest.raises(ShapeError) as caught:
            function(a, b)
        assert "(2, 3)" in caught.value.message
        assert "(4, 5)" in caught.value.message
        assert caught.value.fix


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.reshape(x, 5, 2),
        lambda x: F.transpose(x, 0, 0),
        lambda x: F.transpose(x, 0),
        lambda x: F.sum(x, axis=2),
        lambda x: F.getitem(x, (0, 7)),
        lambda x: F.softmax(x, axis=5),
        lambda x: F.layer_norm(x, np.ones(4), np.ones(4)),
        lambda x: F.layer_norm(x, np.ones(1), np.ones(1)),
        lambda x: F.linear(x, np.ones((3, 2)), np.ones(1)),
        lambda x: F.max(x, axis=0)[9],
    ],
)
def test_shape_errors_say_the_shape_and_the_fix(call):
    with pytest.raises(ShapeError) as caught:
        call(Tensor(np.zeros((2, 3))))
    assert caught.value.fix


def test_mixed_precision_does_not_leak(backend):
    """float32 with float64 is an error."""
    losses = (F.softmax_cross_entropy, F.binary_cross_entropy_with_logits, F.mean_squared_error)
    for function in (F.add, F.mul, F.div, *losses):
        single = Tensor(backend.asarray(np.ones((2, 3), dtype=np.float32)), requires_grad=True)
        double = Tensor(backend.asarray(np.ones((2, 3))), requires_grad=True)
        with pytest.raises(DtypeError, match="float64"):
            function(single, double)


@pytest.mark.parametrize(
    "loss", [F.softmax_cross_entropy, F.binary_cross_entropy_with_logits, F.mean_squared_error]
)
@pytest.mark.parametrize("targets", [np.eye(3), np.eye(3).tolist()])
def test_constant_targets_get_the_dtype_of_the_output(backend, loss, targets):
    output = Tensor(backend.asarray(np.ones((3, 3), dtype=np.float32)), requires_grad=True)
    if isinstance(targets, np.ndarray):
        targets = backend.asarray(targets)
    value = loss(output, targets)
    value.backward()
    assert value.dtype == output.grad.dtype == np.float32


def test_a_number_beside_integers_stays_what_it_is(backend):
    pixels = Tensor(backend.asarray(np.array([0, 51, 255], dtype=np.uint8)))
    np.testing.assert_allclose((pixels * (1 / 255)).numpy(), [0, 0.2, 1])
    assert (pixels + 1).dtype == np.uint8
    single = Tensor(backend.asarray(np.ones(2, dtype=np.float32)))
    assert (single * 2.5).dtype == np.float32
