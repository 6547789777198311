"""A Tensor behaves as NumPy's arrays do: comparisons, conversions, printing, names."""

from __future__ import annotations

import copy
import json
import math
import operator
import pickle
from fractions import Fraction

import numpy as np
import pytest

from gpucnn import functions as F
from gpucnn import nn, no_grad
from gpucnn.autograd import Tensor
from gpucnn.errors import DtypeError, GraphError, ShapeError, SignatureError, UnknownNameError

COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
PRED = np.array([0, 2, 1, 1, 0])
TRUE = np.array([0, 2, 2, 1, 1])


def tensor(backend, values, dtype=None, **options):
    return Tensor(backend.asarray(np.array(values, dtype=dtype)), **options)


def assert_bools(result, want):
    assert isinstance(result, Tensor)
    assert result.dtype == np.bool_
    assert not result.requires_grad
    assert result.creator is None
    np.testing.assert_array_equal(result.numpy(), want)


# --- comparisons ----------------------------------------------------------------------------


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([[0.0, 1.0, 2.0], [3.0, 1.0, np.nan]], [[0.0, 2.0, 1.0], [np.nan, 1.0, np.nan]]),
        ([[0, 1, 2], [3, 1, 4]], [1, 1, 4]),  # broadcast
        ([[0], [3]], [0.0, 3.0, 1.5]),
        ([True, False], [1, 1]),
        ([1.5, -0.0, np.inf], 0.0),
        ([], []),
    ],
)
def test_comparisons_are_numpys_in_both_orders(backend, compare, a, b):
    a, b = np.array(a), np.array(b)
    want = compare(a, b)
    x, y = tensor(backend, a, requires_grad=a.dtype.kind == "f"), backend.asarray(b)
    assert_bools(compare(x, Tensor(y)), want)
    assert_bools(compare(x, y), want)  # an array
    assert_bools(compare(y, Tensor(backend.asarray(a))), compare(b, a))
    if not b.ndim:
        assert_bools(compare(x, b.item()), want)
        assert_bools(compare(x, b[()]), want)  # a number of NumPy
        assert_bools(compare(b.item(), x), compare(b, a))
        assert_bools(compare(b[()], x), compare(b, a))
    elif b.size:
        assert_bools(compare(x, b.tolist()), want)


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("other", ["float32", "float64", "int32", "int64", "uint8", "bool"])
def test_operands_of_different_dtypes_compare(backend, compare, other):
    a, b = np.array([0.0, 1.0, 2.5], np.float32), np.array([0, 1, 1], other)
    assert_bools(compare(tensor(backend, a), tensor(backend, b)), compare(a, b))
    assert_bools(compare(tensor(backend, b), backend.asarray(a)), compare(b, a))


def test_a_negative_number_beside_unsigned_integers(backend):
    pixels = tensor(backend, [0, 255], np.uint8)
    assert_bools(pixels > -1, [True, True])
    assert_bools(pixels == tensor(backend, [-1, 255], np.int64), [False, True])


def test_what_cannot_be_compared_is_unequal(backend):
    x = tensor(backend, [1.0, 2.0])
    for other in ("x", None, object(), ["a", "b"], [[1], [1, 2]], np.array(["a", "b"]), 1j, {}):
        assert (x == other) is False
        assert (x != other) is True
        assert (other == x) is False
        for order in (operator.lt, operator.ge):
            for a, b in ((x, other), (other, x)):
                with pytest.raises(DtypeError) as caught:
                    order(a, b)
                assert "numbers" in caught.value.fix


def test_a_comparison_takes_the_values_that_arithmetic_takes(backend):
    x = tensor(backend, np.array([0, 1, 2], np.float32) / 10)
    for other in (range(3), (0, 1, 2), [Fraction(i) for i in range(3)]):
        assert_bools(x * 10 == other, [True, True, True])
        assert_bools(other == x * 10, [True, True, True])
        assert_bools(x < other, [False, True, True])
    for tenth in (0.1, np.float64(0.1), np.float32(0.1), [0, 0.1, 0], np.float64([0, 0.1, 0])[1]):
        assert_bools((x == tenth)[1:], [True, False])
        assert_bools((x >= tenth)[1:], [True, True])
    pixels = tensor(backend, [0, 44, 255], np.uint8)
    assert_bools(pixels < [300, 44, -1], [True, False, False])
    assert_bools(pixels == np.int64(300), [False, False, False])


def test_shapes_that_do_not_broadcast(backend):
    x = tensor(backend, np.zeros((2, 3)))
    for compare in COMPARISONS:
        for shape in ((2,), (3, 2), (2, 2), (0,)):
            with pytest.raises(ShapeError, match="shapes") as caught:
                compare(x, backend.asarray(np.zeros(shape)))
            assert "(2, 3)" in caught.value.message
            assert str(shape) in caught.value.message


def test_arrays_of_two_devices_do_not_compare(gpu):
    here, there = np.zeros(3), tensor(gpu, np.zeros(3))
    for call in (lambda: there == here, lambda: here == there, lambda: Tensor(here) < there):
        with pytest.raises(DtypeError, match="no backend computes on"):
            call()


def test_a_comparison_leaves_the_graph_alone(backend):
    x = tensor(backend, [1.0, -2.0], requires_grad=True)
    y = x * 2
    assert_bools(y > 0, [True, False])
    y.sum().backward()
    assert backend.to_numpy(x.grad).tolist() == [2, 2]


def test_the_evaluation_loop_of_the_tutorials(backend):
    scores = np.eye(3)[PRED] + 0.1
    correct = 0
    for start in (0, 2, 4):
        pred = tensor(backend, scores[start : start + 2]).argmax(axis=1)
        labels = backend.asarray(TRUE[start : start + 2])
        correct += (pred == labels).sum()
    assert correct.item() == 3
    assert float(correct / len(TRUE)) == 0.6
    assert f"{100 * correct / len(TRUE):.1f} %" == "60.0 %"
    mean = (tensor(backend, PRED) == tensor(backend, TRUE)).mean()
    assert (mean.item(), mean.dtype) == (0.6, np.float64)


def test_argmax(backend, rng):
    x = rng.standard_normal((2, 3, 4))
    t = tensor(backend, x, requires_grad=True)
    for options in ({}, {"axis": 0}, {"axis": -1}, {"axis": 1, "keepdims": True}):
        got = t.argmax(**options)
        np.testing.assert_array_equal(got.numpy(), x.argmax(**options))
        assert got.dtype.kind == "i"
        assert not got.requires_grad
    assert tensor(backend, [1.0, 7.0, 7.0]).argmax().item() == 1  # the first one
    for axis in (3, -4, (0, 1), 1.0):
        with pytest.raises(ShapeError, match="argmax over axis"):
            t.argmax(axis)
    with pytest.raises(ShapeError, match="no elements"):
        tensor(backend, np.zeros((0, 3))).argmax(axis=0)
    assert tensor(backend, np.zeros((0, 3))).argmax(axis=1).shape == (0,)


@pytest.mark.parametrize("dtype", ["bool", "float32", "int64"])
def test_any_and_all(backend, dtype):
    x = np.array([[1, 1, 0], [1, 0, 0]], dtype)
    t = tensor(backend, x)
    for options in ({}, {"axis": 0}, {"axis": (0, 1)}, {"axis": -1, "keepdims": True}):
        assert_bools(t.any(**options), x.any(**options))
        assert_bools(t.all(**options), x.all(**options))
    assert tensor(backend, []).all().item() is True
    assert tensor(backend, []).any().item() is False
    with pytest.raises(ShapeError, match="any over axis 2"):
        t.any(2)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_sums_and_means_of_what_has_no_gradient(backend, dtype):
    x = np.array([[1, 1, 0], [1, 0, 1]], dtype)
    t = tensor(backend, x)
    for got, want in (
        (t.sum(), 4), (t.sum(axis=0), [2, 1, 1]), (t.mean(), 4 / 6), (t.mean(axis=1), [2 / 3] * 2),
        (t.max(), 1), (t.min(axis=0), [1, 0, 0]),
    ):  # fmt: skip
        np.testing.assert_allclose(got.numpy(), want)
        assert not got.requires_grad
    assert t.sum().dtype.kind in "iu"


def test_a_mask_and_integers_are_an_index(backend):
    x = tensor(backend, [[1.0, -2.0], [-3.0, 4.0]], requires_grad=True)
    x[x > 0].sum().backward()
    assert backend.to_numpy(x.grad).tolist() == [[1, 0], [0, 1]]
    rows, columns = tensor(backend, [0, 1]), tensor(backend, [1, 1])
    assert x[rows, columns].numpy().tolist() == [-2, 4]


# --- identity -------------------------------------------------------------------------------


def test_tensors_are_keys_by_identity(backend):
    a, b = tensor(backend, [1.0, 2.0]), tensor(backend, [1.0, 2.0])
    names = {a: "a", b: "b"}
    assert (names[a], names[b]) == ("a", "b")
    assert len({a, b, a}) == 2
    layer = nn.Parameter(np.ones(3, np.float32))
    assert {layer: "layer"}[layer] == "layer"


def test_membership_is_numpys(backend):
    x = tensor(backend, [[1.0, 2.0], [3.0, 4.0]])
    assert 3 in x
    assert 5 not in x
    assert "x" not in x
    assert None not in x
    assert x in [None, "x", x]
    with pytest.raises(ShapeError, match="truth value"):
        x in [tensor(backend, [1.0, 2.0]), x]  # noqa: B015


def test_copies(backend):
    x = tensor(backend, [1.0, 2.0], requires_grad=True, name="x")
    for other in (copy.copy(x), copy.deepcopy(x)):
        assert other is not x
        assert_bools(other == x, [True, True])
        assert (other.name, other.requires_grad) == ("x", True)
    computed = x * 2
    assert copy.copy(computed).creator is computed.creator
    for call in (copy.deepcopy, pickle.dumps):
        with pytest.raises(GraphError, match="record") as caught:
            call(computed)
        assert "Tensor(x.numpy())" in caught.value.fix
    host = pickle.loads(pickle.dumps(Tensor(np.array([1.0, 2.0]))))
    assert host.numpy().tolist() == [1, 2]


# --- conversions ----------------------------------------------------------------------------


def test_item_is_one_number(backend):
    for values, kind in ((2.5, float), ([[2.5]], float), (3, int), ([True], bool)):
        got = tensor(backend, values).item()
        assert got == np.array(values).reshape(-1)[0]
        assert type(got) is kind


@pytest.mark.parametrize("values", [2.75, [2.75], [[2.75]], 0.0, -3.25])
def test_one_element_converts(backend, values):
    x, number = tensor(backend, values), np.array(values).reshape(-1)[0].item()
    assert float(x) == number
    assert int(x) == int(number)
    assert bool(x) == bool(number)
    assert round(x) == round(number)
    assert round(x, 1) == round(number, 1)
    assert complex(x) == number
    assert f"{x:.3f}" == f"{number:.3f}"
    assert f"{x:8.1e}" == f"{number:8.1e}"
    assert "%.2f" % x == f"{number:.2f}"  # noqa: UP031
    assert math.isfinite(x)
    assert (x or 7) == (number if number else 7)


@pytest.mark.parametrize("values", [[1.0, 2.0], [[0.0], [0.0]], []])
@pytest.mark.parametrize(
    ("convert", "fix"),
    [
        (bool, ".any() or .all()"),
        (lambda x: not x, ".item()"),
        (lambda x: x and 1, ".any() or .all()"),
        (float, ".mean()"),
        (int, ".sum()"),
        (round, ".numpy()"),
        (lambda x: x.item(), ".mean()"),
        (lambda x: f"{x:.3f}", "reduce"),
        (lambda x: max([x, x]), ".any() or .all()"),
        (lambda x: sorted([x, x]), ".any() or .all()"),
    ],
)
def test_several_elements_do_not_convert(backend, values, convert, fix):
    x = tensor(backend, values)
    with pytest.raises(ShapeError) as caught:
        convert(x)
    assert str(x.shape) in caught.value.message
    assert fix in caught.value.fix


def test_losses_are_sorted_and_compared(backend):
    losses = [tensor(backend, v) for v in (2.0, 1.0, 3.0)]
    assert [loss.item() for loss in sorted(losses)] == [1, 2, 3]
    assert max(losses) is losses[2]
    assert min(losses) is losses[1]
    best = float("inf")
    if losses[0] < best:
        best = losses[0]
    assert best is losses[0]


def test_an_integer_is_an_index_of_python(backend):
    names, pred = ["cat", "dog"], tensor(backend, [0.1, 0.9]).argmax()
    assert names[pred] == "dog"
    assert list(range(pred)) == [0]
    for values in (1.0, [1], True):
        with pytest.raises(DtypeError, match="where an integer is needed"):
            names[tensor(backend, values)]
    x = tensor(backend, np.zeros((1, 1, 6, 6)))
    assert F.max_pool2d(x, tensor(backend, 2)).shape == (1, 1, 3, 3)
    with pytest.raises(ShapeError, match="kernel size is"):
        F.max_pool2d(x, tensor(backend, 2.5))


def test_length_and_iteration(backend):
    x = tensor(backend, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert len(x) == 3
    assert [row.numpy().tolist() for row in x] == x.numpy().tolist()
    first, *rest = x
    assert (first.shape, len(rest)) == ((2,), 2)
    for use in (len, list, iter, enumerate, lambda v: [*v], lambda v: 1 in list(v)):
        with pytest.raises(DtypeError, match="without axes has no length") as caught:
            use(tensor(backend, 1.0))
        assert isinstance(caught.value, TypeError)
        assert ".item()" in caught.value.fix


def test_numpy_does_not_take_a_tensor_apart(backend):
    x = tensor(backend, [1.0, 2.0])
    for call in (
        lambda: np.asarray(x),
        lambda: np.array([x, x]),
        lambda: np.asarray([x.sum()]),
        lambda: np.mean([x.sum(), x.sum()]),
        lambda: np.mean(x),
        lambda: np.sum(x, axis=0),
        lambda: np.argmax(x),
        lambda: np.concatenate([x, x]),
        lambda: np.array_equal(x, x),
    ):
        with pytest.raises(DtypeError, match="Tensor") as caught:
            call()
        assert "tensor.numpy()" in caught.value.fix
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2,), 1, 2)
    with pytest.raises(DtypeError, match=r"functions\.stack"):
        Tensor([x, x])
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(x)


# --- printing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda at: Tensor(at(np.float32([1, 2.5]))), "Tensor([1. , 2.5], dtype=float32)"),
        (lambda at: Tensor(at(np.array(1.5))), "Tensor(1.5, dtype=float64)"),
        (lambda at: Tensor(at(np.arange(3))), "Tensor([0, 1, 2], dtype=int64)"),
        (lambda at: Tensor(at(np.arange(3))) > 0, "Tensor([False,  True,  True], dtype=bool)"),
        (
            lambda at: Tensor(at(np.array([1.0, 3.0])), requires_grad=True).mean(),
            "Tensor(2., dtype=float64, creator=Mean)",
        ),
        (
            lambda at: Tensor(at(np.array([[1.0, 2], [3, 4]])), name="w"),
            "Tensor([[1., 2.],\n        [3., 4.]], dtype=float64, name='w')",
        ),
        (lambda at: Tensor(at(np.zeros((0, 3)))), "Tensor([], shape=(0, 3), dtype=float64)"),
        (
            lambda at: Tensor(at(np.arange(2000))),
            "Tensor([   0,    1,    2, ..., 1997, 1998, 1999], shape=(2000,), dtype=int64)",
        ),
        (
            lambda at: nn.Parameter(at(np.float32([0.1]))),
            "Tensor([0.1], dtype=float32)",
        ),
    ],
)
def test_printing_shows_the_values(backend, make, text):
    x = make(backend.asarray)
    assert repr(x) == str(x) == f"{x}" == text


def test_printing_follows_numpy_s_options(backend):
    with np.printoptions(precision=2, suppress=True):
        assert repr(tensor(backend, [1 / 3, 1e-9])) == "Tensor([0.33, 0.  ], dtype=float64)"


def test_values_that_are_not_numbers_print(backend):
    with no_grad():
        x = tensor(backend, [np.nan, np.inf]) * 2
    assert repr(x) == "Tensor([nan, inf], dtype=float64)"


# --- names of PyTorch and NumPy -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("view", "reshape"),
        ("unsqueeze", "x[:, None]"),
        ("squeeze", "reshape"),
        ("flatten", "functions.flatten"),
        ("permute", "transpose"),
        ("cpu", "numpy()"),
        ("cuda", 'get("cuda")'),
        ("to", 'get("cuda")'),
        ("grad_fn", "creator"),
        ("clone", "x + 0"),
        ("astype", "x.data.astype"),
        ("device", "backend.name"),
        ("tolist", "numpy().tolist()"),
    ],
)
def test_a_foreign_name_says_ours(backend, name, ours):
    x = tensor(backend, [1.0])
    with pytest.raises(UnknownNameError, match=f"a Tensor has no {name}") as caught:
        getattr(x, name)
    assert ours in caught.value.fix
    assert not hasattr(x, name)
    with pytest.raises(UnknownNameError, match="a Parameter has no"):
        getattr(nn.Parameter(np.ones(1, np.float32)), name)


def test_size_is_no_method(backend):
    x = tensor(backend, np.zeros((2, 3)))
    assert x.size == 6
    assert isinstance(x.size, int)
    with pytest.raises(UnknownNameError) as caught:
        x.size(0)
    assert "x.shape[0]" in caught.value.fix


def test_a_name_that_nobody_has():
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'shap'") as caught:
        Tensor(1.0).shap  # noqa: B018
    assert not isinstance(caught.value, UnknownNameError)


@pytest.mark.parametrize("method", ["sum", "mean", "max", "min", "any", "all", "argmax"])
def test_dim_is_axis(method):
    x = Tensor(np.ones((2, 3)))
    with pytest.raises(SignatureError, match="dim=1") as caught:
        getattr(x, method)(dim=1)
    assert "did you mean axis?" in str(caught.value)
    with pytest.raises(SignatureError, match="did you mean keepdims"):
        getattr(x, method)(axis=1, keepdim=True)
