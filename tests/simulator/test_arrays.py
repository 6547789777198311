"""Arrays of the simulated device behave as CuPy's where NumPy's do not."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn.backend.simulator import DeviceArray, xp
from gpucnn.errors import DtypeError

HOST = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def a():
    return xp.asarray(HOST)


# An expression of the array module `m` and an array `a`, the same for NumPy.
EXPRESSIONS = [
    "a.sum()", "a.sum(axis=0, keepdims=True)", "a.mean(axis=(0, 1))", "a.max(axis=1)", "a.min()",
    "a.argmax()", "a.argmax(axis=1)", "a.any()", "(a > -1).all()", "a.var()", "a.std()", "a.prod()",
    "a.cumsum()", "a.clip(2, 5)", "a.round(1)", "a.take(2)",
    "a[1]", "a[1, 2]", "a[:, 1:3]", "a[-1, ::2]", "a[None, ..., 0]", "a[[0, 2]]", "a[1][2]",
    "a[a > 3]", "a[a.argmax(axis=0) - 1]", "a.T", "a.reshape(4, 3)", "a.reshape(-1)",
    "a.transpose(1, 0)", "a.ravel()", "a.flatten()", "a.copy()",
    "a.astype('float64')", "a.astype(m.int32)", "a.squeeze()", "a.view(m.int32)",
    "a + 1", "1 - a", "a / 2.0", "a * m.float32(2)", "a * m.float64(2)", "a ** 2", "-a",
    "abs(a - 5)", "a + a[0]", "a == 3", "a != a", "~(a > 3)", "(a > 3) & (a < 7)", "a % 4",
    "a // 3", "m.exp(a)", "m.log1p(a)", "m.maximum(a, 3)", "m.where(a > 3, a, 0)", "m.isfinite(a)",
    "m.where(a > 3, 1, a)", "m.take(a, a[0].astype('int32') % 3, axis=0)", "m.argmax(a, axis=1)",
    "m.take_along_axis(a, a.argmax(axis=1)[:, None], axis=1)", "m.broadcast_to(a[0], (3, 4))",
    "m.zeros((2, 3), m.int32)", "m.zeros(3)", "m.ones_like(a)", "m.full((2,), 7.5)", "m.arange(5)",
    "m.arange(5, dtype=m.float32)", "m.concatenate([a, a[:1]])", "m.stack((a, a), axis=1)",
    "m.clip(a, 1, 3)", "m.ascontiguousarray(a.T)", "m.sum(a)", "m.floor(a / 2)",
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_results_are_of_the_device_and_as_numpys(a, expression):
    result = eval(expression, {"m": xp, "a": a})
    expected = np.asarray(eval(expression, {"m": np, "a": HOST}))
    assert type(result) is DeviceArray
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(xp.asnumpy(result), expected)
    assert type(xp.asnumpy(result)) is np.ndarray


@pytest.mark.parametrize(
    "expression",
    [
        "a + h", "h + a", "h == a", "a @ a.T", "m.exp(h)", "m.where(a > 3, h, a)",
        "m.concatenate([a, h])", "m.take(a, h.astype(int))", "m.ascontiguousarray(h)",
        "a + [1, 2, 3, 4]", "a * None", "np.add(a, 1, out=h)", "a.clip(h, 5)", "m.zeros_like(h)",
        "m.empty_like(h)", "m.copyto(a, h)", "a.__setitem__(0, h[0])", "a.__iadd__(h)",
        "h.__iadd__(a)", "np.where(h > 3, a, h)", "a.fill(h[0])",
    ],
)  # fmt: skip
def test_host_arrays_are_refused(a, expression):
    with pytest.raises((DtypeError, AttributeError)) as error:
        eval(expression, {"m": xp, "np": np, "a": a, "h": HOST.copy()})
    assert "@" in expression or isinstance(error.value, DtypeError)
    np.testing.assert_array_equal(xp.asnumpy(a), HOST)


@pytest.mark.parametrize(
    "name", ["matmul", "dot", "linalg", "random", "einsum", "asfarray", "einsm"]
)
def test_what_is_not_listed_is_missing(name):
    with pytest.raises(AttributeError, match=f"no {name}: it has only what gpucnn uses"):
        getattr(xp, name)


def test_numpys_functions_are_the_modules(a):
    assert type(np.sum(a)) is DeviceArray
    assert np.shape(a) == (3, 4)
    with pytest.raises(AttributeError, match="no median"):
        np.median(a)


def test_changes_in_place(a):
    same = a
    same += 1
    same *= a
    assert same is a
    a[0] = 5
    a[1, 1] = a[2, 2]
    a[a > 140] = -1
    xp.copyto(a, np.float32(7), where=xp.asarray([True, False, False, False]))
    expected = (HOST + 1) ** 2
    expected[0] = 5
    expected[1, 1] = expected[2, 2]
    expected[expected > 140] = -1
    expected[:, 0] = 7
    np.testing.assert_array_equal(xp.asnumpy(a), expected)
    sums = xp.zeros(2)
    sums[0] += a[0, 1].astype("float64") * 2
    np.testing.assert_array_equal(xp.asnumpy(sums), [10, 0])


def test_element_is_a_view(a):
    element = a[1, 1]
    a[1, 1] = 50
    assert float(element) == 50
    assert [float(row[0]) for row in a] == [0, 4, 8]


def test_base_tells_a_view(a):
    for fresh in (a, a + 1, a.sum(), a.copy(), xp.zeros(3), a.astype("float64"), xp.exp(a)):
        assert fresh.base is None
    for view in (a[0], a.T, a.reshape(-1), a[0, 0], xp.broadcast_to(a, (2, 3, 4)), a.ravel()):
        assert view.base is not None
        assert xp.asnumpy(view).base is None


def test_conversions(a):
    assert (float(a[0, 1]), int(a[0, 2]), bool(a[0, 0])) == (1, 2, False)
    assert (a.item(5), len(a), f"{a[0, 3]:.2f}") == (5, 3, "3.00")
    assert a.tolist() == HOST.tolist()
    assert repr(a[0]) == "DeviceArray([0., 1., 2., 3.], dtype=float32)"
    assert str(a[0]) == "[0. 1. 2. 3.]"
    with pytest.raises(ValueError, match="ambiguous"):
        bool(a)


def test_asarray_copies_from_the_host(a):
    host = HOST.copy()
    copied = xp.asarray(host)
    host[...] = 0
    np.testing.assert_array_equal(xp.asnumpy(copied), HOST)
    assert xp.asarray(a) is a
    assert xp.asarray(a, "float64").dtype == np.float64
    assert xp.asarray(HOST.T).flags.c_contiguous
    assert xp.ascontiguousarray(a) is a
    xp.asnumpy(a)[...] = 0
    np.testing.assert_array_equal(xp.asnumpy(a), HOST)


def test_infinity_and_nan_are_silent(a):
    with np.errstate(all="raise"):
        values = xp.asnumpy(xp.log(a * 0) - 1 / (a * 0) + xp.exp(a * 1e9).sum())
    assert np.isnan(values).all()


def test_uninitialized_memory_is_poison():
    assert np.isnan(xp.asnumpy(xp.empty((2, 3), xp.float32))).all()
    assert np.isnan(xp.asnumpy(xp.empty_like(xp.zeros(4)))).all()
    assert (xp.asnumpy(xp.empty(3, xp.uint8)) == 255).all()
