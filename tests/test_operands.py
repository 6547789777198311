"""What functions take beside arrays: numbers, lists, integers; and options that are one number."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from gpucnn import functions as F
from gpucnn import nn, ops, optim
from gpucnn.autograd import Function, Tensor
from gpucnn.errors import DataError, DtypeError, ShapeError

INTEGERS = ["uint8", "uint16", "int8", "int32", "int64", "bool"]
VALUES = np.array([[1, 2, 3], [7, 0, 7]])

#: Functions whose results are real numbers, whatever they are given.
OF_REALS = {
    "exp": F.exp,
    "log": F.log,
    "sqrt": F.sqrt,
    "sin": F.sin,
    "cos": F.cos,
    "tanh": F.tanh,
    "sigmoid": F.sigmoid,
    "leaky_relu": F.leaky_relu,
    "gelu": F.gelu,
    "softmax": F.softmax,
    "log_softmax": lambda x: F.log_softmax(x, axis=0),
    "inverse": lambda x: x**-1,
    "mean_squared_error": lambda x: F.mean_squared_error(x, Tensor(x.data[:, ::-1])),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy_with_logits(x, Tensor(x.data > 0)),
    "soft cross-entropy": lambda x: F.softmax_cross_entropy(x, Tensor(x.data > 1)),
}


@pytest.mark.parametrize("name", OF_REALS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_computed_as_floats(backend, name, dtype):
    array = backend.asarray(VALUES.astype(dtype))
    got = OF_REALS[name](Tensor(array))
    wide = dtype in ("int32", "int64")
    assert got.dtype == (np.float64 if wide else np.float32)
    want = OF_REALS[name](Tensor(array.astype("float64"))).numpy()
    # log_softmax subtracts numbers of up to 7, each rounded to eps.
    eps = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got.numpy(), want, rtol=10 * eps, atol=7 * eps)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_softmax_of_plain_integers(backend, dtype):
    array = backend.asarray(VALUES.astype(dtype))
    got = backend.to_numpy(ops.softmax(array))
    want = np.exp(VALUES.astype(dtype).astype(float))
    np.testing.assert_allclose(got, want / want.sum(1, keepdims=True), rtol=1e-6)


def test_the_squared_error_of_unsigned_integers(backend):
    x = VALUES.astype(np.uint8)
    loss = F.mean_squared_error(Tensor(backend.asarray(x)), Tensor(backend.asarray(x[:, ::-1])))
    assert loss.item() == pytest.approx(4 / 3, rel=1e-6)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    "loss", [F.mean_squared_error, F.binary_cross_entropy_with_logits, F.softmax_cross_entropy]
)
def test_integer_targets_are_taken_in_the_dtype_of_the_prediction(backend, loss, dtype):
    targets = np.array([[0, 1, 0], [1, 0, 0]])
    scores = np.array([[0.5, -1, 2], [0.25, 1, -2]], np.float32)
    one_hot = targets.astype(dtype)
    if loss is F.softmax_cross_entropy and dtype != "bool":
        one_hot = targets.argmax(axis=1).astype(dtype)  # integers are class ids
    results = []
    for given in (targets.astype(np.float32), one_hot):
        x = Tensor(backend.asarray(scores), requires_grad=True)
        value = loss(x, Tensor(backend.asarray(given)))
        value.backward()
        assert value.dtype == x.grad.dtype == np.float32
        results.append((value.item(), backend.to_numpy(x.grad)))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-6)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-6)


# --- lists ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "list_", "calls"),
    [
        ([0, 1, 2], "int64", [0.5, 0.5, 0.5], {"add": [0.5, 1.5, 2.5], "mul": [0, 0.5, 1]}),
        ([0, 1, 2], "int32", [0.5, 0.5, 0.5], {"div": [0, 2, 4], "maximum": [0.5, 1, 2]}),
        ([200, 100], "uint8", [0.5, 0.25], {"mul": [100, 25], "sub": [199.5, 99.75]}),
        ([True, False, True], "bool", [2, 3, 4], {"mul": [2, 0, 4], "add": [3, 3, 5]}),
        ([1, 2], "uint8", [True, False], {"mul": [1, 0]}),
        ([1, 2], "int64", (3, 4), {"add": [4, 6], "minimum": [1, 2]}),
    ],
)
def test_a_list_beside_integers_keeps_its_values(backend, values, dtype, list_, calls):
    x = Tensor(backend.asarray(np.array(values, dtype)))
    for name, want in calls.items():
        np.testing.assert_array_equal(getattr(F, name)(x, list_).numpy(), want)


def test_a_list_of_floats_as_targets_of_integers(backend):
    x = Tensor(backend.asarray(np.arange(3)))
    loss = F.mean_squared_error(x, [0.5, 0.5, 0.5])
    np.testing.assert_allclose(loss.item(), 11 / 12)


def test_a_list_beside_floats_gets_their_dtype(backend):
    x = Tensor(backend.asarray(np.ones(3, np.float32)), requires_grad=True)
    for y in (x * [1, 2, 3], x * [0.1, 0.2, 0.3], x * [True, False, True], x * 10**30):
        assert y.dtype == np.float32


def test_numbers_beyond_an_integer_dtype_are_refused(backend):
    pixels = Tensor(backend.asarray(np.ones(2, np.uint8)))
    for other in (300, -1):
        with pytest.raises(DtypeError, match="beside an array of uint8") as caught:
            pixels * other
        assert "astype" in caught.value.fix


@pytest.mark.parametrize("dtype", [*INTEGERS, "uint64"])
@pytest.mark.parametrize(
    "other",
    [
        [1, 2, 3],
        (-1, 300, 2),
        [True, False, True],
        [0.5, 1.5, 0],
        [[1], [2]],
        range(3),
        np.int64(2),
        np.int8(-1),
        np.uint8(200),
        np.float32(0.5),
        np.float64(0.1),
    ],
    ids=str,
)
def test_a_list_or_a_number_of_numpy_beside_integers_counts_as_in_numpy(backend, dtype, other):
    values = np.array([0, 1, 5], dtype)
    x, plain = Tensor(backend.asarray(values)), np.asarray(other)
    for ours, numpys in ((F.add, np.add), (F.sub, np.subtract), (F.maximum, np.maximum)):
        if dtype == plain.dtype == "bool" and ours is F.sub:
            continue  # which NumPy has not
        for got, want in (
            (ours(x, other), numpys(values, plain)),
            (ours(other, x), numpys(plain, values)),
        ):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize("join", [F.concat, F.stack])
def test_a_list_beside_an_array_is_joined_with_it(backend, join):
    for dtype, other, want in (
        ("uint8", [1, 300], "int64"),
        ("int64", [0.5, 1], "float64"),
        ("float64", [1, 2], "float64"),
        ("float32", [0.5, 1], "float32"),
    ):
        x = Tensor(backend.asarray(np.array([3, 4], dtype)))
        joined = join([x, other])
        assert joined.dtype == want
        assert joined.numpy().reshape(-1).tolist() == [3, 4, *other]


@pytest.mark.parametrize(
    "other",
    [
        *("1", b"1", ["2", "3"], [1, "2"], np.str_("1"), 1j, [None], {}, {1}, object()),
        *(np.timedelta64(1, "s"), [np.datetime64("2020")], [[1], [1, 2]]),
    ],
)
def test_only_numbers_are_numbers(backend, other):
    x = Tensor(backend.asarray(np.array([1, 2], np.float32)))
    calls = [lambda: x + other, lambda: other * x, lambda: F.maximum(x, other), lambda: x > other]
    if not isinstance(other, np.generic):
        calls.append(lambda: Tensor(other))
    for call in calls:
        with pytest.raises(DtypeError) as caught:
            call()
        assert caught.value.fix == "give an array, a number or a list of numbers"


def test_other_kinds_of_numbers(backend):
    x = Tensor(backend.asarray(np.array([1, 2], np.float32)))
    for other in (Fraction(1, 2), Decimal("0.5"), [Fraction(1, 2)], True / 2):
        assert (x + other).numpy().tolist() == [1.5, 2.5]
        assert (x + other).dtype == np.float32
    assert Tensor([2**70, 1]).numpy().tolist() == [2**70, 1]


def test_a_list_of_tensors_says_how_to_join_them(backend):
    x = Tensor(backend.asarray(np.array([1, 2], np.float32)))
    for call in (lambda: x - [x[0], x[1]], lambda: [x[0], x[1]] * x, lambda: Tensor([x, x])):
        with pytest.raises(DtypeError) as caught:
            call()
        assert str(caught.value).count("fix:") == 1
        assert "gpucnn.functions.stack" in caught.value.fix


def test_a_matrix_of_integers_and_a_list(backend):
    pixels = Tensor(backend.asarray(np.array([[2, 4]], np.uint8)))
    for call in (lambda: pixels @ [[0.5], [0.5]], lambda: [[0.5]] @ pixels):
        with pytest.raises(DtypeError, match=r"matmul of (uint8 and float64|float64 and uint8)"):
            call()


@pytest.mark.parametrize("dtype", [*INTEGERS, "float16"])
def test_class_ids_and_one_hot_targets_take_the_same_logits(backend, dtype):
    logits = Tensor(backend.asarray(VALUES.astype(dtype)))
    ids = np.array([2, 0])
    by_ids = F.softmax_cross_entropy(logits, Tensor(backend.asarray(ids)))
    by_rows = F.softmax_cross_entropy(logits, Tensor(backend.asarray(np.eye(3)[ids] > 0)))
    assert (by_ids.dtype, by_ids.item()) == (by_rows.dtype, by_rows.item())
    wrong = Tensor(backend.asarray(np.array([0, -1])))
    if backend.name == "cpu":
        with pytest.raises(DataError, match="label -1"):
            F.softmax_cross_entropy(logits, wrong)
    else:
        losses = F.softmax_cross_entropy(logits, wrong, reduction="none").numpy()
        assert np.isnan(losses).tolist() == [False, True]


def test_lists_that_do_not_fit_are_refused(backend):
    x = Tensor(backend.asarray(np.ones((3, 4), np.float32)))
    for call in (lambda: x - [1, 2, 3], lambda: F.maximum(x, [1, 2, 3]), lambda: x / [[1], [2]]):
        with pytest.raises(ShapeError, match=r"\(3, 4\)") as caught:
            call()
        assert "broadcast" in caught.value.cause


# --- numbers of NumPy -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [np.float64(2), np.sqrt(4), np.array([1.0, 3.0]).mean()])
def test_a_number_of_numpy_does_not_change_the_dtype(backend, number):
    x = Tensor(backend.asarray(np.array([1, -3], np.float32)), requires_grad=True)
    for function, want in (
        (lambda: x**number, [1, 9]),
        (lambda: x * number, [2, -6]),
        (lambda: number - x, [1, 5]),
        (lambda: F.maximum(x, number), [2, 2]),
        (lambda: F.clip(x, -number, number), [1, -2]),
        (lambda: F.clip(x, high=np.array(2.0)), [1, -3]),
        (lambda: F.leaky_relu(x, number), [1, -6]),
    ):
        y = function()
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y.numpy(), want)
        x.zero_grad()
        y.sum().backward()
        assert x.grad.dtype == np.float32


def test_a_number_is_a_tensor_without_axes():
    """NumPy makes numbers of results without axes, which nothing can change in place."""
    for x in (Tensor(np.float32(2), True), nn.Parameter(np.float32(2)), Tensor(2.0, True)):
        ((x - 0.5) * (x - 0.5)).backward()
        assert type(x.data) is type(x.grad) is np.ndarray
        (x * 1).backward()
        assert type(x.grad) is np.ndarray
        optim.SGD([x], 0.25).step()
        assert x.item() == 1  # 2 - 0.25 * (3 + 1)
    for result in (Tensor(np.float32(2)) * 2, Tensor(np.ones(3)).sum()):
        assert type(result.data) is np.ndarray


@pytest.mark.parametrize(
    ("call", "fix"),
    [
        (lambda x: x ** np.array([1.0, 2.0], np.float32), "log()"),
        (lambda x: x**x, "log()"),
        (lambda x: x ** [1, 2], "log()"),
        (lambda x: F.power(x, "2"), "log()"),
        (lambda x: F.clip(x, np.zeros(2), np.ones(2)), "maximum and minimum"),
        (lambda x: F.clip(x, Tensor(0.0)), "maximum and minimum"),
        (lambda x: F.leaky_relu(x, Tensor(0.5)), "maximum(x, slope * x)"),
    ],
)
def test_an_option_is_one_number(call, fix):
    with pytest.raises(DtypeError, match="is a") as caught:
        call(Tensor(np.ones(2, np.float32), requires_grad=True))
    assert fix in caught.value.fix


# --- what is no array, and what NumPy refuses --------------------------------------------------


def test_a_parameter_is_made_of_a_tensor_and_primitives_take_arrays(backend):
    x = Tensor(backend.asarray(np.ones((2, 3), np.float32)))
    assert nn.Parameter(x).data is x.data
    assert nn.Parameter(x * 2).creator is None
    with pytest.raises(DtypeError, match=r"no backend computes on a gpucnn\.autograd\.Tensor"):
        ops.matmul(x, x)
    with pytest.raises(DtypeError) as caught:
        ops.relu_forward(x)
    assert "x.data" in caught.value.fix
    np.testing.assert_array_equal(backend.to_numpy(ops.relu_forward(x.data)), np.ones((2, 3)))


def test_what_is_no_array_is_named():
    for value, name in (([1.0], "a list"), ("x", "a str")):
        with pytest.raises(DtypeError, match=f"computes on {name}") as caught:
            ops.relu_forward(value)
        assert "numpy.asarray" in caught.value.fix


class Elsewhere:
    """An array of another library, which has a dtype that NumPy does not know."""

    dtype = "theirs"
    shape = (2,)

    def numpy(self):
        return np.array([0, 1])


@pytest.mark.parametrize(
    "call",
    [
        lambda x, other: Tensor(other),
        lambda x, other: x + other,
        lambda x, other: F.softmax_cross_entropy(x, other),
        lambda x, other: F.mean_squared_error(x, other),
    ],
)
def test_an_array_of_another_library_is_named(call):
    with pytest.raises(DtypeError, match="Elsewhere") as caught:
        call(Tensor(np.ones((2, 3), np.float32)), Elsewhere())
    assert "x.numpy()" in caught.value.fix


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: -(x > 0), DtypeError),
        (lambda x: (x > 0) - (x > 1), DtypeError),
        (lambda x: x.transpose(0, 9), ShapeError),
        (lambda x: x.transpose(0, 1.5), ShapeError),
        (lambda x: x.sum().transpose(0), ShapeError),
        (lambda x: F.flatten(x.sum()), ShapeError),
        (lambda x: F.flatten(np.float32(1)), ShapeError),
        (lambda x: x.reshape(2.0, 6), ShapeError),
        (lambda x: x.reshape(None), ShapeError),
        (lambda x: x.reshape("6"), ShapeError),
        (lambda x: x.sum(np.array([0, 5])), ShapeError),
        (lambda x: x.sum("rows"), ShapeError),
        (lambda x: x.argmax(np.array([0, 1])), ShapeError),
        (lambda x: x[::0], ShapeError),
        (lambda x: x["a"], ShapeError),
        (lambda x: F.linear(x, np.ones((4, 2)).tolist(), [[1, 2], [3, 4]]), ShapeError),
    ],
)
def test_errors_of_numpy_are_ours(backend, call, error):
    with pytest.raises(error) as caught:
        call(Tensor(backend.asarray(np.ones((3, 4), np.float32))))
    assert caught.value.fix


def test_axes_and_shapes_may_be_arrays():
    x = Tensor(np.arange(12.0).reshape(3, 4))
    assert x.sum(np.array([0, 1])).item() == 66
    assert x.sum(np.int64(0)).shape == (4,)
    assert x.reshape(np.array([2, 6])).shape == x.reshape(np.int32(2), -1).shape == (2, 6)
    assert x.transpose(np.array([1, 0])).shape == x.transpose(-1, 0).shape == (4, 3)


def test_a_function_of_ones_own_keeps_its_errors():
    class Own(Function):
        def forward(self, x):
            raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        Own()(Tensor(1.0))
