"""`gpucnn.ops` as a user meets it: plain arrays in, plain arrays out, errors that say the fix."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from checks import assert_close

from gpucnn import ops
from gpucnn.errors import DtypeError, ShapeError, UsageError


def test_convolution_forward_and_backward_on_plain_arrays(rng):
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    w = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    b = rng.standard_normal(4).astype(np.float32)
    y = ops.conv2d_forward(x, w, b, padding="same")
    assert type(y) is np.ndarray
    assert_close(y, reference.conv2d_forward(x, w, b, padding="same"), 28)
    grad_x = ops.conv2d_backward_input(y, w, x.shape, padding="same")
    assert_close(grad_x, reference.conv2d_backward_input(y, w, x.shape, padding="same"), 36)
    grad_w = ops.conv2d_backward_weight(y, x, w.shape, padding="same")
    assert_close(grad_w, reference.conv2d_backward_weight(y, x, w.shape, padding="same"), 128)
    assert_close(ops.bias_grad(y), reference.bias_grad(y), 128)


def test_arguments_by_keyword(rng):
    x, w = rng.standard_normal((1, 1, 5, 5)), rng.standard_normal((1, 1, 3, 3))
    by_name = ops.conv2d_forward(w=w, x=x, b=None, stride=2)
    np.testing.assert_array_equal(by_name, ops.conv2d_forward(x, w, stride=2))


def test_an_unknown_argument_is_a_type_error():
    x, w = np.zeros((1, 1, 5, 5)), np.zeros((1, 1, 3, 3))
    with pytest.raises(TypeError, match="strides"):
        ops.conv2d_forward(x, w, strides=2)
    with pytest.raises(TypeError):
        ops.conv2d_forward(x, w, None, 2)


@pytest.mark.parametrize("other", [[[1.0]], 3.0, "w", memoryview(b"1234")])
def test_what_is_no_array_is_named(other):
    with pytest.raises(DtypeError) as caught:
        ops.matmul(np.ones((1, 1)), other)
    assert type(other).__name__ in str(caught.value)
    assert caught.value.fix


def test_arrays_of_two_backends_do_not_mix():
    class Foreign:
        """What an array of another library looks like from outside."""

        shape, dtype, ndim = (1, 1), np.dtype("float64"), 2

    with pytest.raises(DtypeError) as caught:
        ops.matmul(np.ones((1, 1)), Foreign())
    assert "Foreign" in str(caught.value)
    with pytest.raises(DtypeError):
        ops.matmul(Foreign(), np.ones((1, 1)))


def test_the_bias_counts_too():
    x, w = np.zeros((1, 1, 5, 5)), np.zeros((1, 1, 3, 3))
    with pytest.raises(DtypeError, match="list"):
        ops.conv2d_forward(x, w, [0.0])
    with pytest.raises(DtypeError, match="list"):
        ops.conv2d_forward(x, w, b=[0.0])


def test_an_error_names_both_shapes_and_the_fix():
    with pytest.raises(ShapeError) as caught:
        ops.conv2d_forward(np.zeros((1, 3, 8, 8)), np.zeros((4, 2, 3, 3)))
    text = str(caught.value)
    assert "(1, 3, 8, 8)" in text
    assert "(4, 2, 3, 3)" in text
    assert "fix: " in text


def test_a_primitive_has_its_documentation():
    assert "(N, C, H, W)" in (ops.conv2d_forward.__doc__ or "")
    assert ops.conv2d_forward.__name__ == "conv2d_forward"


def test_what_is_missing_or_of_a_wrong_kind_is_named():
    x, w = np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 2, 2), np.float32)
    with pytest.raises(DtypeError, match="w is None"):
        ops.conv2d_forward(x, None)
    for shape in (3, np.array([1, 1, 3, 3]), (1.0, 1, 3, 3), None):
        with pytest.raises(ShapeError, match="a tuple of integers"):
            ops.conv2d_backward_input(x[:, :, :2, :2], w, shape)
    with pytest.raises(DtypeError):
        ops.softmax_cross_entropy_forward(np.ones((2, 3)), np.array(["a", "b"]))
    with pytest.raises(ShapeError):
        ops.softmax_cross_entropy_forward(np.array(1.0), np.array(1))
    with pytest.raises(UsageError, match="counted from 1"):
        ops.adam_update(x, x, x.copy(), x.copy(), learning_rate=0.1, step=0)
    rows = ops.gather(np.zeros((0, 2), np.uint8), np.array([0]))
    assert np.isnan(rows).all()
