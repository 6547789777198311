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
from gpucnn.errors import DataError, DtypeError, ShapeError, UsageError

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
    "abs": (F.abs, lambda v: v if v > 0 else -v, X),
    "clip": (lambda x: F.clip(x, -0.5, 1), lambda v: -0.5 if v < -0.5 else 1 if v > 1 else v, X),
    "clip from below": (lambda x: F.clip(x, 0.25), lambda v: v if v > 0.25 else 0.25, X),
    "clip from above": (lambda x: F.clip(x, high=0.25), lambda v: v if v < 0.25 else 0.25, X),
    "maximum": (lambda x: F.maximum(x, 0.5), lambda v: v if v > 0.5 else 0.5, X),
    "minimum": (lambda x: F.minimum(-0.5, x), lambda v: v if v < -0.5 else -0.5, X),
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
        (F.min(a, axis=(0, 2)), X.min(axis=(0, 2))),
        (F.maximum(a, b), np.where(X > POSITIVE, X, POSITIVE)),
        (F.minimum(a, b[0]), np.where(POSITIVE[0] > X, X, POSITIVE[0])),
        (F.concat([a, b], axis=1), np.block([[[X], [POSITIVE]]]).reshape(3, 8, 5)),
        (F.stack([a, b], axis=1)[:, 1], POSITIVE),
        (F.stack([a, b, a], axis=-1)[..., 2], X),
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


def test_equal_operands_share_the_gradient(backend):
    a, b = (
        Tensor(backend.asarray(np.array(v)), requires_grad=True)
        for v in ([1.0, 2.0, 3.0, np.nan], [2.0, 2.0, 1.0, 1.0])
    )
    for function, larger in ((F.maximum, [0, 0.5, 1, 0]), (F.minimum, [1, 0.5, 0, 0])):
        a.zero_grad()
        b.zero_grad()
        y = function(a, b)
        y.backward(backend.asarray(np.array([1.0, 1, 1, 1])))
        np.testing.assert_array_equal(backend.to_numpy(a.grad), larger)
        np.testing.assert_array_equal(
            backend.to_numpy(b.grad), [1 - larger[0], 0.5, 1 - larger[2], 0]
        )
        assert np.isnan(y.numpy()).tolist() == [False, False, False, True]


def test_equal_minima_share_the_gradient(backend):
    x = Tensor(backend.asarray(np.array([[1.0, 3.0, 1.0], [2.0, 2.0, 2.0]])), requires_grad=True)
    F.min(x, axis=1).backward(backend.asarray(np.array([1.0, 1.0])))
    np.testing.assert_allclose(
        backend.to_numpy(x.grad), [[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15
    )


def test_slopes_at_the_kinks(backend):
    x = Tensor(backend.asarray(np.array([-1.0, 0.0, 1.0, 2.0])), requires_grad=True)
    F.abs(x).sum().backward()
    np.testing.assert_array_equal(backend.to_numpy(x.grad), [-1, 0, 1, 1])
    x.zero_grad()
    F.clip(x, 0, 1).sum().backward()
    np.testing.assert_array_equal(backend.to_numpy(x.grad), [0, 1, 1, 0])


@pytest.mark.parametrize("shapes", [((3, 4), (4,)), ((3,), (3, 4)), ((4,), (4,)), ((1, 4), (4,))])
def test_products_with_vectors(backend, dtype, rng, shapes):
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    there = [Tensor(backend.asarray(v), requires_grad=True) for v in (a, b)]
    y = there[0] @ there[1]
    want = np.einsum({1: "k", 2: "mk"}[a.ndim] + "," + {1: "k", 2: "kn"}[b.ndim], a, b)
    assert_close(y.numpy(), want.astype(np.float64), terms=4)
    assert y.dtype == dtype
    y.backward(backend.asarray(np.ones(y.shape, dtype)))
    assert [t.grad.shape for t in there] == list(shapes)
    assert_close(backend.to_numpy(there[0].grad), np.broadcast_to(
        b if b.ndim == 1 else b.sum(axis=1), a.shape).astype(np.float64), terms=4)  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x @ np.ones(2),
        lambda x: np.ones(3) @ x,
        lambda x: x @ 2.0,
        lambda x: x[0] @ np.ones(4),
        lambda x: x @ np.ones((2, 3, 4)),
    ],
)
def test_products_that_do_not_fit(call):
    with pytest.raises(ShapeError, match="matmul of") as caught:
        call(Tensor(np.zeros((2, 3))))
    assert caught.value.fix


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: F.concat([x, x[:1]], axis=1), ShapeError),
        (lambda x: F.concat([x, x[0]]), ShapeError),
        (lambda x: F.concat([x, x], axis=2), ShapeError),
        (lambda x: F.concat([x, x], axis="0"), ShapeError),
        (lambda x: F.concat([x, x], axis=None), ShapeError),
        (lambda x: F.concat([x[0][0]]), ShapeError),
        (lambda x: F.concat([]), UsageError),
        (lambda x: F.concat(x), UsageError),
        (lambda x: F.concat(x, x), UsageError),
        (lambda x: F.concat([x, np.zeros((2, 3), np.float32)]), DtypeError),
        (lambda x: F.concat([x, "x"]), DtypeError),
        (lambda x: F.concat([x, x], dim=1), UsageError),
        (lambda x: F.stack([x, x[0]]), ShapeError),
        (lambda x: F.stack([x, x], axis=3), ShapeError),
        (lambda x: F.stack([x, x.numpy().astype(int)]), DtypeError),
        (lambda x: F.stack(()), UsageError),
        (lambda x: F.clip(x), UsageError),
        (lambda x: F.clip(x, 2, 1), UsageError),
        (lambda x: F.clip(x, float("nan"), 1), UsageError),
        (lambda x: F.maximum(x, np.zeros(2)), ShapeError),
        (lambda x: F.maximum(x, np.zeros(3, np.float32)), DtypeError),
        (lambda x: F.min(x[:0]), ShapeError),
        (lambda x: F.max(x[:0], axis=0), ShapeError),
        (lambda x: F.sum(x, axis="rows"), ShapeError),
        (lambda x: F.softmax(x, dim=1), UsageError),
        (lambda x: F.max(x, dim=1), UsageError),
    ],
)
def test_what_new_and_old_functions_refuse(call, error):
    with pytest.raises(error) as caught:
        call(Tensor(np.zeros((2, 3))))
    assert caught.value.fix


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint8", "float16"])
def test_an_input_that_has_not_the_dtype_of_the_weight(dtype):
    images, rows = np.ones((2, 1, 5, 5), dtype), np.ones((2, 4), dtype)
    w, single = np.ones((1, 1, 3, 3), np.float32), np.ones((4, 4), np.float32)
    for call in (
        lambda: F.conv2d(images, w),
        lambda: F.linear(rows, single, single[0]),
        lambda: F.layer_norm(rows, single[0], single[0]),
        lambda: F.batch_norm(rows, single[0], single[0]),
    ):
        with pytest.raises(
            DtypeError, match=f"the input is {dtype}, the weights are float32"
        ) as caught:
            call()
        assert "x.astype(numpy.float32)" in caught.value.fix
        assert caught.value.fix.endswith(" / 255") == (dtype == "uint8")


def test_weights_of_a_type_that_no_input_should_have():
    x, w = np.ones((2, 1, 5, 5), np.float32), np.ones((1, 1, 3, 3), np.int64)
    for arrays in ((x, w), (w, w)):
        with pytest.raises(DtypeError, match="dtypes do not fit") as caught:
            F.conv2d(*arrays)
        assert "numpy.float32" in caught.value.fix


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


# --- labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label", [3, -1, 255, -100, 1000])
@pytest.mark.parametrize("make", [np.int64, np.int32, list])
def test_a_label_out_of_range_raises_on_the_host(label, reduction, make):
    labels = [0, label, 2]
    labels = labels if make is list else np.array(labels, dtype=make)
    logits = Tensor(np.zeros((3, 3), np.float32), requires_grad=True)
    with pytest.raises(DataError, match=f"label {label} is out of range") as caught:
        F.softmax_cross_entropy(logits, labels, reduction=reduction)
    assert "0 to 2" in caught.value.cause
    assert ("PyTorch" in caught.value.cause) == (label == -100)
    assert ("y != -100" in caught.value.fix) == (label == -100)


def test_a_list_of_labels_is_checked_before_it_is_moved(backend):
    logits = Tensor(backend.asarray(np.zeros((2, 3))))
    with pytest.raises(DataError, match="label 3"):
        F.softmax_cross_entropy(logits, [0, 3])
    assert F.softmax_cross_entropy(logits, [0, 2]).item() == pytest.approx(math.log(3))


def test_labels_on_a_device_are_not_waited_for(gpu):
    logits, labels = (gpu.asarray(np.array(v)) for v in ([[0.0, 0.0], [0.0, 0.0]], [0, 2]))
    losses = F.softmax_cross_entropy(logits, labels, reduction="none")
    np.testing.assert_array_equal(np.isnan(losses.numpy()), [False, True])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_loss_that_is_nan_for_another_reason_is_a_loss(reduction):
    logits = np.array([[0.0, np.nan], [1.0, 2.0]])
    loss = F.softmax_cross_entropy(logits, np.array([0, 1]), reduction=reduction)
    assert np.isnan(loss.numpy()).any()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("targets", [2, [2], np.array(2), np.array([2]), np.array([0, 0.25, 0.75])])
def test_logits_of_one_example(backend, rng, reduction, targets):
    row = rng.standard_normal(3)
    x = Tensor(backend.asarray(row), requires_grad=True)
    there = backend.asarray(targets) if isinstance(targets, np.ndarray) else targets
    loss = F.softmax_cross_entropy(x, there, reduction=reduction)
    batch = np.asarray(targets).reshape(-1)
    batch = batch[None] if batch.dtype.kind == "f" else batch
    want = reference.softmax_cross_entropy_forward(row[None], batch)[0]
    assert_close(np.asarray(loss.numpy()), np.asarray(want[0]), terms=3)
    loss.backward()
    one_hot = np.eye(3)[2] if batch.ndim == 1 else batch[0]
    probabilities = np.exp(reference.log_softmax(row))
    assert_close(backend.to_numpy(x.grad), probabilities - one_hot, terms=9)


@pytest.mark.parametrize(
    ("targets", "error", "fix"),
    [
        (np.array([[0], [1]]), ShapeError, "labels[:, 0]"),
        (np.array([[0.0], [1.0]]), DtypeError, ".astype(numpy.int32)[:, 0]"),
        (np.array([0.0, 1.0]), DtypeError, ".astype(numpy.int32)"),
        ([0.0, 1.0], DtypeError, ".astype(numpy.int32)"),
        (np.array([True, False]), DtypeError, ".astype(numpy.int32)"),
        (np.eye(4, dtype=np.float32)[:2], ShapeError, "columns"),
        (np.eye(3, dtype=np.float32), ShapeError, "class ids (N,)"),
        (np.eye(3, dtype=np.int64)[:2], ShapeError, "labels.argmax(axis=1)"),
        (np.array([0, 1, 2]), ShapeError, "(2,)"),
        (np.array(1), ShapeError, "(2,)"),
        (np.array(["cat", "dog"]), DtypeError, "return_inverse=True)[1]"),
        (["cat", "dog"], DtypeError, "return_inverse=True)[1]"),
        (np.array([b"a", b"b"]), DtypeError, "return_inverse=True)[1]"),
        (np.array(["cat", None], dtype=object), DtypeError, "return_inverse=True)[1]"),
        (None, DtypeError, "list of numbers"),
        ([[0], [1, 2]], DtypeError, "list of numbers"),
    ],
)
def test_targets_of_another_form_say_what_to_pass(targets, error, fix):
    with pytest.raises(error) as caught:
        F.softmax_cross_entropy(np.zeros((2, 3), np.float32), targets)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        (np.zeros(3), np.array([0, 1, 0])),  # a score an example, yes or no
        (np.zeros(3), np.array([0.0, 1.0])),
        (np.array(1.0), np.array(0)),
        (np.zeros((2, 2, 2)), np.array([0, 1])),
    ],
)
def test_logits_that_are_no_rows(logits, targets):
    with pytest.raises(ShapeError, match="logits have shape") as caught:
        F.softmax_cross_entropy(logits, targets)
    assert caught.value.fix


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
