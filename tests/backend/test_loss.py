"""Softmax cross-entropy: values, gradients, extreme logits, labels out of range."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
from checks import LAYOUTS, arrange, assert_close

from gpucnn import ops
from gpucnn.errors import DataError, DtypeError, ShapeError


@pytest.mark.parametrize("label_type", ["int32", "int64", "uint8"])
@pytest.mark.parametrize(("n", "k"), [(1, 10), (7, 3), (0, 10), (130, 5), (4, 1)])
def test_forward_and_backward(backend, dtype, rng, n, k, label_type):
    logits = (3 * rng.standard_normal((n, k))).astype(dtype)
    labels = rng.integers(0, k, n).astype(label_type)
    there, ids = backend.asarray(logits), backend.asarray(labels)
    losses, probabilities = backend.softmax_cross_entropy_forward(there, ids)
    assert losses.dtype == probabilities.dtype == dtype
    want_losses, want_probabilities = reference.softmax_cross_entropy_forward(logits, labels)
    assert_close(backend.to_numpy(losses), want_losses, terms=k, what="losses")
    assert_close(backend.to_numpy(probabilities), want_probabilities, terms=k)
    grad = rng.standard_normal(n).astype(dtype)
    got = backend.softmax_cross_entropy_backward(probabilities, ids, backend.asarray(grad))
    assert got.dtype == dtype
    want = reference.softmax_cross_entropy_backward(want_probabilities, labels, grad)
    assert_close(backend.to_numpy(got), want, terms=k, what="gradient")


@pytest.mark.parametrize(
    ("row", "label", "loss"),
    [
        ([1e4, 0, -1e4], 0, 0.0),
        ([1e4, 0, -1e4], 1, 1e4),
        ([1e4, 0, -1e4], 2, 2e4),
        ([1e4, 1e4, 1e4], 1, math.log(3)),
        ([-1e4, -1e4, -1e4], 2, math.log(3)),
        ([-1e4, -1e4 + 1, -1e4], 1, math.log(1 + 2 / math.e)),
    ],
)
def test_extreme_logits(backend, dtype, row, label, loss):
    logits = np.array([row], dtype=dtype)
    losses, probabilities = backend.softmax_cross_entropy_forward(
        backend.asarray(logits), backend.asarray(np.array([label]))
    )
    assert_close(backend.to_numpy(losses), np.array([loss]), terms=3)
    _, want = reference.softmax_cross_entropy_forward(logits, [label])
    assert_close(backend.to_numpy(probabilities), want, terms=3)


def test_nan_logits_give_a_nan_loss(backend):
    logits = np.array([[1.0, np.nan], [1.0, 2.0]])
    losses, _ = backend.softmax_cross_entropy_forward(
        backend.asarray(logits), backend.asarray(np.array([0, 1]))
    )
    np.testing.assert_array_equal(np.isnan(backend.to_numpy(losses)), [True, False])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(backend, rng, layout):
    logits = rng.standard_normal((5, 4)).astype("float32")
    labels, grad = rng.integers(0, 4, 5), rng.standard_normal(5).astype("float32")
    ids = arrange(backend, labels, layout)
    losses, probabilities = backend.softmax_cross_entropy_forward(
        arrange(backend, logits, layout), ids
    )
    want_losses, want_probabilities = reference.softmax_cross_entropy_forward(logits, labels)
    assert_close(backend.to_numpy(losses), want_losses, terms=4)
    got = backend.softmax_cross_entropy_backward(probabilities, ids, arrange(backend, grad, layout))
    want = reference.softmax_cross_entropy_backward(want_probabilities, labels, grad)
    assert_close(backend.to_numpy(got), want, terms=4)


@pytest.mark.parametrize("label", [-1, 3, 255, 2**31 - 1, -(2**31)])
def test_a_label_out_of_range_raises_from_ops(label):
    logits, labels = np.zeros((2, 3), dtype=np.float32), np.array([0, label])
    with pytest.raises(DataError) as caught:
        ops.softmax_cross_entropy_forward(logits, labels)
    assert str(label) in str(caught.value)
    assert "3" in str(caught.value)
    with pytest.raises(DataError):
        ops.softmax_cross_entropy_backward(logits, labels, np.ones(2, dtype=np.float32))


@pytest.mark.parametrize("label", [-1, 3, 1000, 2**31 - 1, -(2**31)])
def test_a_primitive_gives_nan_for_a_label_out_of_range(backend, label):
    """Inside a training step the host does not look; the loss says it, and nothing is indexed."""
    logits = backend.asarray(np.zeros((2, 3)))
    labels = backend.asarray(np.array([1, label]))
    losses, probabilities = backend.softmax_cross_entropy_forward(logits, labels)
    np.testing.assert_array_equal(np.isnan(backend.to_numpy(losses)), [False, True])
    grad = backend.softmax_cross_entropy_backward(
        probabilities, labels, backend.asarray(np.ones(2))
    )
    nan = np.isnan(backend.to_numpy(grad))
    np.testing.assert_array_equal(nan, [[False] * 3, [True] * 3])


def test_keywords_are_checked_too():
    logits, labels = np.zeros((2, 3), dtype=np.float32), np.array([0, 3])
    with pytest.raises(DataError, match="3"):
        ops.softmax_cross_entropy_forward(logits=logits, labels=labels)
    losses, _ = ops.softmax_cross_entropy_forward(logits=logits, labels=labels % 3)
    assert_close(losses, np.full(2, math.log(3)), terms=3)


def test_what_does_not_fit_is_an_error(backend):
    logits, labels = backend.asarray(np.zeros((4, 3))), backend.asarray(np.zeros(3, dtype=int))
    with pytest.raises(ShapeError) as caught:
        backend.softmax_cross_entropy_forward(logits, labels)
    assert "(3,)" in str(caught.value)
    assert "(4,)" in str(caught.value)
    for wrong in (np.zeros(4), np.zeros((4, 3))):
        with pytest.raises((DtypeError, ShapeError)):
            backend.softmax_cross_entropy_forward(logits, backend.asarray(wrong))
    half = backend.asarray(np.zeros((3, 3), dtype="float16"))
    with pytest.raises(DtypeError, match="float16"):
        backend.softmax_cross_entropy_forward(half, labels)
