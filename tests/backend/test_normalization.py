"""Batch normalization, dropout and the gather of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from checks import LAYOUTS, arrange, assert_close, assert_same_bits

from gpucnn import random
from gpucnn.errors import DtypeError, GpucnnError, ShapeError

SHAPES = [(4, 3, 5, 6), (8, 3), (1, 2, 4, 4), (6, 1, 1, 1), (5, 3, 1, 1), (130, 2, 3, 3)]


def operands(rng, shape, dtype):
    x = (1 + 2 * rng.standard_normal(shape)).astype(dtype)
    gamma, beta = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    return x, gamma, beta, rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(backend, dtype, rng, shape):
    x, gamma, beta, g = operands(rng, shape, dtype)
    there = [backend.asarray(a) for a in (x, gamma, beta, g)]
    results = backend.batch_norm_forward(*there[:3])
    terms = x[:, 0].size
    for name, got, want in zip(
        ("y", "mean", "var"),
        results,
        reference.batch_norm_forward(x, gamma, beta),
        strict=True,
    ):
        assert got.dtype == dtype
        assert_close(backend.to_numpy(got), want, terms, name)
    _, mean, var = results
    grads = backend.batch_norm_backward(there[3], there[0], there[1], mean, var)
    for name, got, want in zip(
        ("grad_x", "grad_gamma", "grad_beta"),
        grads,
        reference.batch_norm_backward(g, x, gamma),
        strict=True,
    ):
        assert got.dtype == dtype
        assert_close(backend.to_numpy(got), want, terms, name)


def test_eps_is_inside_the_root(backend, rng):
    x, gamma, beta, g = operands(rng, (4, 2, 3, 3), "float64")
    there = [backend.asarray(a) for a in (x, gamma, beta, g)]
    y, mean, var = backend.batch_norm_forward(*there[:3], eps=0.5)
    assert_close(backend.to_numpy(y), reference.batch_norm_forward(x, gamma, beta, eps=0.5)[0], 36)
    grad_x = backend.batch_norm_backward(there[3], there[0], there[1], mean, var, eps=0.5)[0]
    assert_close(
        backend.to_numpy(grad_x), reference.batch_norm_backward(g, x, gamma, eps=0.5)[0], 36
    )


def test_a_variance_of_zero_without_eps_gives_no_warning(backend):
    x, per_channel = np.ones((2, 3, 2, 2), np.float32), np.ones(3, np.float32)
    there = [backend.asarray(a) for a in (x, per_channel, per_channel)]
    y, mean, var = backend.batch_norm_forward(*there, eps=0)
    grads = backend.batch_norm_backward(there[0], there[0], there[1], mean, var, eps=0)
    for result in (y, grads[0], grads[1]):
        assert np.isnan(backend.to_numpy(result)).all()
    np.testing.assert_array_equal(backend.to_numpy(grads[2]), 8)


def test_the_variance_of_numbers_far_from_zero(backend, rng):
    """E[x^2] - E[x]^2 in float32 is off by 10 % here."""
    x = (1000 + rng.standard_normal((16, 2, 8, 8))).astype(np.float32)
    one = np.ones(2, dtype=np.float32)
    _, _, var = backend.batch_norm_forward(*(backend.asarray(a) for a in (x, one, one)))
    want = reference.batch_norm_forward(x, one, one)[2]
    np.testing.assert_allclose(backend.to_numpy(var), want, rtol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batch_norm_of_layouts(backend, rng, layout):
    x, gamma, beta, g = operands(rng, (3, 4, 5, 2), "float32")
    there = [arrange(backend, a, layout) for a in (x, gamma, beta, g)]
    y, mean, var = backend.batch_norm_forward(*there[:3])
    assert_close(backend.to_numpy(y), reference.batch_norm_forward(x, gamma, beta)[0], 30)
    grad_x = backend.batch_norm_backward(there[3], there[0], there[1], mean, var)[0]
    assert_close(backend.to_numpy(grad_x), reference.batch_norm_backward(g, x, gamma)[0], 30)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (0, 3)])
def test_batch_norm_of_an_empty_batch(backend, shape):
    """It has no mean: an error, rather than NaN in the running statistics."""
    x, one = np.zeros(shape, dtype=np.float32), np.ones(3, dtype=np.float32)
    there = backend.asarray(x), backend.asarray(one), backend.asarray(one)
    with pytest.raises(ShapeError) as caught:
        backend.batch_norm_forward(*there)
    assert str(shape) in caught.value.message
    assert caught.value.fix


def test_batch_norm_that_does_not_fit(backend):
    x, wrong = backend.asarray(np.zeros((2, 3, 4, 4))), backend.asarray(np.zeros(4))
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        backend.batch_norm_forward(x, wrong, wrong)
    half = backend.asarray(np.zeros((2, 4), dtype="float16"))
    with pytest.raises(DtypeError):
        backend.batch_norm_forward(half, wrong, wrong)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(3, 4, 5, 7), (2, 9), (0, 5), (70_001,)])
def test_dropout(backend, dtype, rng, rate, shape):
    key = random.stream_key(4, "dropout/dropout1")
    x = rng.standard_normal(shape).astype(dtype)
    y, mask = backend.dropout_forward(backend.asarray(x), rate, key=key, step=11)
    assert y.dtype == dtype
    kept = backend.to_numpy(mask)
    assert_same_bits(kept, random.dropout_mask(shape, rate, key, 11), "mask")
    assert_close(backend.to_numpy(y), x.astype(np.float64) * kept / (1 - rate))
    g = rng.standard_normal(shape).astype(dtype)
    grad_x = backend.dropout_backward(backend.asarray(g), mask, rate)
    assert grad_x.dtype == dtype
    assert_close(backend.to_numpy(grad_x), g.astype(np.float64) * kept / (1 - rate))


def test_dropout_reads_its_step_from_the_device(backend):
    x = backend.asarray(np.ones((3, 50), dtype=np.float32))
    step = backend.asarray(np.array([5], dtype=np.uint32))
    by_array = backend.to_numpy(backend.dropout_forward(x, 0.5, key=(1, 2), step=step)[1])
    by_int = backend.to_numpy(backend.dropout_forward(x, 0.5, key=(1, 2), step=5)[1])
    another = backend.to_numpy(backend.dropout_forward(x, 0.5, key=(1, 2), step=6)[1])
    assert_same_bits(by_array, by_int)
    assert (by_array != another).any()
    assert int(backend.to_numpy(step)[0]) == 5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_mask_belongs_to_the_index_not_to_the_memory(backend, rng, layout):
    x = rng.standard_normal((4, 5, 6)).astype(np.float32)
    y, mask = backend.dropout_forward(arrange(backend, x, layout), 0.5, key=(3, 4), step=0)
    kept = random.dropout_mask(x.shape, 0.5, (3, 4), 0)
    np.testing.assert_array_equal(backend.to_numpy(mask), kept)
    np.testing.assert_array_equal(backend.to_numpy(y), x * kept * 2)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_out_of_range(backend, rate):
    x = backend.asarray(np.ones((2, 2), dtype=np.float32))
    with pytest.raises(GpucnnError, match="rate"):
        backend.dropout_forward(x, rate, key=(0, 0), step=0)


@pytest.mark.parametrize("index_type", ["int32", "int64"])
@pytest.mark.parametrize("shape", [(9, 1, 4, 5), (9, 7), (9, 3, 2, 2)])
def test_gather(backend, rng, shape, index_type):
    dataset = rng.integers(0, 256, shape).astype(np.uint8)
    indices = np.array([8, 0, 3, 3, 5], dtype=index_type)
    there = backend.asarray(dataset), backend.asarray(indices)
    got = backend.gather(*there)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(backend.to_numpy(got), dataset[indices].astype(np.float32))
    got = backend.gather(*there, scale=1 / 255)
    want = reference.gather(dataset, indices, scale=1 / 255)
    assert_close(backend.to_numpy(got), want)
    assert float(backend.to_numpy(got).max()) <= 1
    got = backend.gather(*there, scale=1 / 78.5, offset=-0.42)
    assert_close(
        backend.to_numpy(got), reference.gather(dataset, indices, scale=1 / 78.5, offset=-0.42), 2
    )


def test_gather_by_a_wrong_index(backend):
    dataset = backend.asarray(np.arange(6, dtype=np.uint8).reshape(3, 2))
    got = backend.to_numpy(backend.gather(dataset, backend.asarray(np.array([2, -1, 3]))))
    np.testing.assert_array_equal(got, [[4, 5], [np.nan, np.nan], [np.nan, np.nan]])
    with pytest.raises(ShapeError, match="flatten"):
        backend.gather(dataset, backend.asarray(np.array([[1]])))
    with pytest.raises(DtypeError, match="float64"):
        backend.gather(dataset, backend.asarray(np.array([1.0])))


def test_dropout_backward_takes_its_own_mask_only(backend):
    grad = backend.asarray(np.ones(3, dtype=np.float32))
    for dtype in (np.float32, np.bool_, np.int64):
        with pytest.raises(DtypeError, match="uint8"):
            backend.dropout_backward(grad, backend.asarray(np.ones(3, dtype=dtype)), 0.5)


def test_gather_of_nothing_and_of_many(backend, rng):
    dataset = rng.integers(0, 256, (1000, 1, 3, 3)).astype(np.uint8)
    there = backend.asarray(dataset)
    none = backend.gather(there, backend.asarray(np.zeros(0, dtype=np.int64)))
    assert none.shape == (0, 1, 3, 3)
    assert none.dtype == np.float32
    order = rng.permutation(1000)
    got = backend.gather(there, backend.asarray(order))
    np.testing.assert_array_equal(backend.to_numpy(got), dataset[order])


def test_gather_takes_pixels_and_ids(backend):
    floats = backend.asarray(np.zeros((3, 4), dtype=np.float32))
    pixels = backend.asarray(np.zeros((3, 4), dtype=np.uint8))
    ids = backend.asarray(np.array([0, 1]))
    with pytest.raises(DtypeError):
        backend.gather(floats, ids)
    with pytest.raises(DtypeError):
        backend.gather(pixels, floats[0])
