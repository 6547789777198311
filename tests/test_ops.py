"""`gpucnn.ops` as a user meets it: plain arrays in, plain arrays out, errors that say the fix."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from checks import assert_close

from gpucnn import ops
from gpucnn.errors import DataError, DtypeError, ShapeError, SignatureError, UsageError


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


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda x, w: ops.conv2d_forward(x, w, strides=2), "did you mean stride?"),
        (lambda x, w: ops.conv2d_forward(x, w, bias=None), "did you mean b?"),
        (lambda x, w: ops.conv2d_transpose(x, w, data_format="NHWC"), "x.transpose(0, 3, 1, 2)"),
        (lambda x, w: ops.max_pool2d_forward(x, 2, ceil_mode=True), 'padding="same"'),
        (lambda x, w: ops.avg_pool2d_forward(x, pool_size=2), "did you mean kernel?"),
        (lambda x, w: ops.conv2d_forward(x, w, None, 2), "*, stride, "),
        (lambda x, w: ops.matmul(x), "does not match matmul(a, b,"),
    ],
)
def test_a_wrong_call_shows_ours(call, hint):
    with pytest.raises(SignatureError) as caught:
        call(np.zeros((1, 1, 5, 5)), np.zeros((1, 1, 3, 3)))
    assert hint in str(caught.value)


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


# --- channels last --------------------------------------------------------------------------------


def test_channels_last_arrays_are_told_the_transposition(rng):
    x, w = rng.standard_normal((2, 9, 8, 3)), rng.standard_normal((3, 3, 3, 5))  # NHWC and HWIO
    with pytest.raises(ShapeError) as caught:
        ops.conv2d_forward(x, w)
    assert "x.transpose(0, 3, 1, 2)" in caught.value.fix
    assert "w.transpose(3, 2, 0, 1)" in caught.value.fix
    y = ops.conv2d_forward(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1))
    by_hand = np.array([
        [[np.sum(x[n, h : h + 3, v : v + 3, :, None] * w, (0, 1, 2)) for v in range(6)]
         for h in range(7)] for n in range(2)
    ])  # fmt: skip
    np.testing.assert_allclose(y.transpose(0, 2, 3, 1), by_hand)
    with pytest.raises(ShapeError) as caught:
        ops.max_pool2d_forward(x, 4)
    assert "x.transpose(0, 3, 1, 2)" in caught.value.fix


# --- what is made of the primitives ---------------------------------------------------------------

TRANSPOSED = [
    ((2, 3, 4, 5), (3, 2, 3, 3), {}),
    ((2, 3, 4, 5), (3, 2, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((2, 4, 3, 4), (4, 3, 2, 3), {"stride": (3, 2), "groups": 2, "output_padding": (2, 0)}),
    ((1, 2, 5, 4), (2, 2, 3, 2), {"dilation": (2, 3), "padding": (1, 2)}),
    ((2, 2, 3, 3), (2, 1, 4, 4), {"stride": 2, "padding": ((1, 2), (0, 1))}),
    ((1, 6, 2, 2), (6, 1, 2, 2), {"stride": 3, "groups": 6}),  # the images do not touch
    ((2, 5, 1, 1), (5, 3, 4, 4), {"padding": "valid"}),
    ((0, 3, 4, 5), (3, 2, 3, 3), {"stride": 2}),
]


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), TRANSPOSED)
@pytest.mark.parametrize("bias", [False, True])
def test_transposed_convolution(backend, dtype, rng, x_shape, w_shape, options, bias):
    x, w = (rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape))
    filters = w_shape[1] * options.get("groups", 1)
    b = rng.standard_normal(filters).astype(dtype) if bias else None
    want = reference.conv2d_transpose(x, w, b, **options)
    there = [None if array is None else backend.asarray(array) for array in (x, w, b)]
    y = backend.to_numpy(ops.conv2d_transpose(*there, **options))
    assert y.dtype == dtype
    assert_close(y, want, terms=1 + x_shape[1] * w_shape[2] * w_shape[3])


def test_transposed_convolution_is_the_gradient_of_one(rng):
    x, w = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((4, 3, 3, 2))
    options = {"stride": (2, 1), "padding": "same"}
    y = ops.conv2d_transpose(x, w, **options)
    assert y.shape == (2, 3, 10, 6)  # Keras: the size times the stride
    image = rng.standard_normal(y.shape)
    left, right = np.vdot(ops.conv2d_forward(image, w, **options), x), np.vdot(image, y)
    assert abs(left - right) < 1e-10 * abs(right)


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), TRANSPOSED[:4])
def test_transposed_convolution_is_pytorchs(rng, x_shape, w_shape, options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    there = torch.nn.functional.conv_transpose2d(torch.tensor(x), torch.tensor(w), **options)
    np.testing.assert_allclose(ops.conv2d_transpose(x, w, **options), there.numpy(), atol=1e-12)


def test_transposed_convolution_refuses_what_does_not_fit():
    x, w = np.ones((1, 2, 3, 3), np.float32), np.ones((2, 1, 2, 2), np.float32)
    with pytest.raises(DtypeError, match="w is None"):
        ops.conv2d_transpose(x, None)
    with pytest.raises(DtypeError, match="the input is float32, the weights are float64"):
        ops.conv2d_transpose(x, w.astype(np.float64))
    with pytest.raises(DtypeError, match="int64"):
        ops.conv2d_transpose(x.astype(np.int64), w.astype(np.int64))
    for b in (np.ones(2, np.float32), np.ones(1, np.float64), np.ones((1, 1), np.float32)):
        with pytest.raises(ShapeError, match="the bias is"):
            ops.conv2d_transpose(x, w, b)
    with pytest.raises(ShapeError, match="the weight takes 2 channels, the input has 1"):
        ops.conv2d_transpose(x[:, :1], w)


def test_relu_forward(backend, dtype):
    x = np.array([[-1.0, 0.0, 2.0], [np.nan, -np.inf, np.inf]], dtype)
    y = backend.to_numpy(ops.relu_forward(backend.asarray(x)))
    np.testing.assert_array_equal(y, reference.relu(x))
    assert y.dtype == dtype
    assert np.shares_memory(x, y) is False


@pytest.mark.parametrize("axis", [-1, 0, 1, -3])
def test_softmax(backend, dtype, rng, axis):
    x = (100 * rng.standard_normal((3, 4, 5))).astype(dtype)
    y = backend.to_numpy(ops.softmax(backend.asarray(x), axis))
    assert y.dtype == dtype
    assert_close(y, np.exp(reference.log_softmax(x, axis)), terms=100**2)
    row = backend.to_numpy(ops.softmax(backend.asarray(np.array([1e4, 0.0, 1e4], dtype))))
    np.testing.assert_array_equal(row, [0.5, 0, 0.5])


@pytest.mark.parametrize(("shape", "axis"), [((2, 3), 2), ((2, 3), -3), ((2, 0), 1), ((), -1)])
def test_softmax_over_no_axis(shape, axis):
    with pytest.raises(ShapeError, match="softmax over axis"):
        ops.softmax(np.zeros(shape), axis)


def test_labels_that_are_no_class_ids_say_what_to_pass():
    logits, loss = np.zeros((2, 3), np.float32), ops.softmax_cross_entropy_forward
    for labels, error, fix in (
        (np.array([[0], [1]]), ShapeError, "labels[:, 0]"),
        (np.eye(3, dtype=int)[:2], ShapeError, "labels.argmax(axis=1)"),
        (np.array([0, 1, 2]), ShapeError, "(2,)"),
        (np.array([0.0, 1.0]), DtypeError, ".astype(numpy.int32)"),
        (np.array(["a", "b"]), DtypeError, "numpy.unique(labels, return_inverse=True)[1]"),
        (np.array(["a", "b"], object), DtypeError, "numpy.unique"),
        (np.array([0, 3]), DataError, "more units"),
        (np.array([0, -100]), DataError, "y != -100"),
    ):
        with pytest.raises(error) as caught:
            loss(logits, labels)
        assert fix in caught.value.fix, labels
