"""The graph: what is recorded, in which order it is walked, what it leaves behind."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from gpucnn import functions as F
from gpucnn.autograd import Function, Tensor, is_grad_enabled, no_grad
from gpucnn.errors import DtypeError, GraphError, ShapeError, SignatureError, UsageError


@pytest.fixture
def leaf(backend):
    def make(values, requires_grad=True, name=None):
        return Tensor(backend.asarray(np.array(values, dtype=np.float64)), requires_grad, name)

    return make


def values(tensor):
    """The gradient of a tensor as a list."""
    return tensor.backend.to_numpy(tensor.grad).tolist()


class Count(Function):
    """y = x, counting the calls of backward."""

    calls = 0

    def forward(self, x):
        return x + 0

    def backward(self, grad):
        Count.calls += 1
        return grad


# --- Tensor ---------------------------------------------------------------------------------


def test_a_tensor_shows_its_array(backend, leaf):
    x = leaf([[1, 2, 3], [4, 5, 6]], name="x")
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float64, 2)
    assert x.backend is backend
    assert x.requires_grad
    assert x.name == "x"
    assert x.creator is None
    assert x.grad is None
    assert x.numpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert repr(x) == "Tensor([[1., 2., 3.],\n        [4., 5., 6.]], dtype=float64, name='x')"


def test_operators(backend, leaf):
    a, b = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([[2.0, 2.0], [0.5, 1.0]])
    x, y = a.numpy(), b.numpy()
    pairs = [
        (a + b, x + y),
        (a - b, x - y),
        (a * b, x * y),
        (a / b, x / y),
        (a @ b, x @ y),
        (a**2, x**2),
        (-a, -x),
        (1 + a, 1 + x),
        (1 - a, 1 - x),
        (3 * a, 3 * x),
        (3 / a, 3 / x),
        (a - 1, x - 1),
        (a / 2, x / 2),
        (a[0], x[0]),
        (a[:, 1:], x[:, 1:]),
        (a.T, x.T),
        (a.sum(), x.sum()),
        (a.sum(axis=0, keepdims=True), x.sum(axis=0, keepdims=True)),
        (a.mean(axis=1), x.mean(axis=1)),
        (a.max(axis=0), x.max(axis=0)),
        (a.min(axis=0), x.min(axis=0)),
        (abs(a), abs(x)),
        (a @ b[0], x @ y[0]),
        (a.reshape(4), x.reshape(4)),
        (a.reshape((1, -1)), x.reshape(1, 4)),
        (a.transpose(1, 0), x.T),
        (a.exp(), np.exp(x)),
        (a.log(), np.log(x)),
        (a.sqrt(), np.sqrt(x)),
    ]
    for got, want in pairs:
        assert isinstance(got, Tensor)
        assert got.requires_grad
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-15)
    assert [row.numpy().tolist() for row in a] == x.tolist()


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__mul__", "__truediv__", "__matmul__"])
def test_an_array_on_the_left_is_a_constant(operator):
    """NumPy must hand the operation over, not loop over the elements."""
    array = np.arange(1.0, 5.0).reshape(2, 2)
    x = Tensor(array + 1, requires_grad=True)
    left = {
        "__add__": lambda: array + x,
        "__sub__": lambda: array - x,
        "__mul__": lambda: array * x,
        "__truediv__": lambda: array / x,
        "__matmul__": lambda: array @ x,
    }[operator]()
    assert isinstance(left, Tensor)
    np.testing.assert_allclose(left.numpy(), getattr(array, operator)(array + 1))
    left.sum().backward()
    assert x.grad.shape == (2, 2)


def test_a_number_does_not_change_the_type(backend):
    x = Tensor(backend.asarray(np.ones(3, dtype=np.float32)), requires_grad=True)
    for y in (x + 1, 2.5 * x, x / 3, 1 - x, x**2, x**0.5, x.mean(), x.sum()):
        assert y.dtype == np.float32
        y.sum().backward()
        assert x.grad.dtype == np.float32


def test_integers_have_no_gradient(backend):
    with pytest.raises(GraphError, match="int64"):
        Tensor(backend.asarray(np.arange(3)), requires_grad=True)


def test_detach_shares_the_values_and_cuts_the_graph(leaf):
    x = leaf([1.0, 2.0])
    d = (x * 3).detach()
    assert not d.requires_grad
    assert d.creator is None
    y = (x * d).sum()
    y.backward()
    assert values(x) == [3, 6]


# --- backward -------------------------------------------------------------------------------


def test_diamond(leaf):
    """x reaches the loss by two paths, one longer: its gradient is their sum, walked once."""
    x = leaf([2.0, 3.0])
    counted = Count()(x)
    a = counted * 2
    b = (counted * counted) * 5
    Count.calls = 0
    (a * b).sum().backward()
    assert values(x) == [3 * 10 * 4, 3 * 10 * 9]  # (10 x^3)' = 30 x^2
    assert Count.calls == 1


def test_nested_diamonds_are_walked_once_each(leaf):
    """2^60 paths."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = (y + y) * 0.5
    y.backward()
    assert values(x) == 1.0


def test_a_tensor_used_many_times(leaf):
    x = leaf([1.0, 2.0])
    (x * x * x + x).sum().backward()
    assert values(x) == [4, 13]


def test_an_operand_used_as_both(leaf):
    x = leaf([[2.0]])
    (x @ x).sum().backward()
    assert values(x) == [[4]]
    x.zero_grad()
    (x - x).sum().backward()
    assert values(x) == [[0]]


def test_gradients_accumulate_until_they_are_zeroed(leaf):
    x = leaf([1.0, 2.0])
    (x * 3).sum().backward()
    (x * 4).sum().backward()
    assert values(x) == [7, 7]
    x.zero_grad()
    assert x.grad is None
    (x * 5).sum().backward()
    assert values(x) == [5, 5]


def test_a_residual_connection(leaf):
    x, w = leaf([[1.0, -2.0]]), leaf([[0.5, 1.0], [2.0, 0.0]])  # one unit is off, one on
    y = F.relu(x @ w) + x
    y.sum().backward()
    hidden = x.numpy() @ w.numpy()
    np.testing.assert_allclose(values(x), 1 + (hidden > 0) @ w.numpy().T)
    np.testing.assert_allclose(values(w), x.numpy().T @ (hidden > 0))


def test_broadcast_operands_get_gradients_of_their_shape(leaf):
    a, b, c = leaf(np.ones((4, 2, 3))), leaf(np.full((2, 1), 2.0)), leaf(3.0)
    (a * b + c).sum().backward()
    assert a.grad.shape == (4, 2, 3)
    assert values(b) == [[12], [12]]
    assert values(c) == 24
    empty, d = leaf(np.ones((0, 3))), leaf(np.ones((1, 3)))
    (empty * d).sum().backward()
    assert empty.grad.shape == (0, 3)
    assert values(d) == [[0, 0, 0]]


def test_an_upstream_gradient(backend, leaf):
    x = leaf([1.0, 2.0])
    (x * x).backward(backend.asarray(np.array([10.0, 100.0])))
    assert values(x) == [20, 400]
    with pytest.raises(ShapeError) as caught:
        (x * x).backward(backend.asarray(np.ones(3)))
    assert "(3,)" in str(caught.value)
    assert "(2,)" in str(caught.value)


def test_an_upstream_gradient_that_is_a_tensor(leaf):
    x = leaf([1.0, 2.0])
    (x * x).backward(leaf([10.0, 100.0], requires_grad=False))
    assert values(x) == [20, 400]


def test_an_upstream_gradient_of_another_type(leaf):
    x = leaf([1.0, 2.0])
    for grad in (2.0, [1.0, 1.0], np.ones(2, np.float16)):
        with pytest.raises(DtypeError):
            (x * x).backward(grad)


def test_a_function_whose_gradient_does_not_fit(leaf):
    class Wrong(Function):
        def __init__(self, gradient):
            self.gradient = gradient

        def forward(self, x):
            return x + x

        def backward(self, g):
            return self.gradient

    for gradient, error in ((None, DtypeError), (np.ones(3), ShapeError)):
        with pytest.raises(error, match="Wrong"):
            Wrong(gradient)(leaf([1.0, 2.0])).sum().backward()


def test_backward_of_a_leaf(leaf):
    x = leaf(3.0)
    x.backward()
    assert values(x) == 1


def test_backward_of_no_scalar(leaf):
    with pytest.raises(GraphError, match=r"\(2,\)") as caught:
        (leaf([1.0, 2.0]) * 2).backward()
    assert "sum" in str(caught.value.fix)
    y = leaf([[5.0]]) * 2  # one element will do
    y.backward()


def test_backward_twice(leaf):
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError) as caught:
        y.backward()
    assert caught.value.fix
    assert values(x) == [2, 4]


def test_a_backward_as_in_pytorch_shows_ours(leaf):
    for options, hint in (({"retain_graph": True}, "again"), ({"gradient": None}, "mean grad?")):
        with pytest.raises(SignatureError, match=r"does not match backward\(grad\)") as caught:
            leaf(2.0).backward(**options)
        assert hint in str(caught.value)


def test_backward_through_a_part_that_was_used(leaf):
    x = leaf([1.0, 2.0])
    shared = x * x
    shared.sum().backward()
    with pytest.raises(GraphError):
        (shared * 2).sum().backward()


def test_backward_of_a_constant(leaf):
    with pytest.raises(GraphError):
        (leaf(2.0, requires_grad=False) * 2).backward()


def test_a_deep_chain_does_not_recurse(leaf):
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = y + 1
    y.backward()
    assert y.item() == 5001
    assert values(x) == 1
    del y
    gc.collect()


def test_a_deep_chain_that_is_dropped_without_backward(leaf):
    y = leaf(1.0)
    for _ in range(20_000):
        y = -y
    del y
    gc.collect()


# --- gradients are the leaf's own -------------------------------------------------------------


def test_gradients_share_no_memory(backend, leaf):
    """Scaling one gradient in place must change neither another, nor the data, nor the seed."""
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    seed = backend.asarray(np.array([1.0, 1.0]))
    (a + b).backward(seed)
    a.grad *= 10
    assert values(a) == [10, 10]
    assert values(b) == [1, 1]
    assert backend.to_numpy(seed).tolist() == [1, 1]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sum(),
        lambda x: x.mean(axis=0),
        lambda x: x.reshape(4),
        lambda x: x.T,
        lambda x: x + 1,
        lambda x: x[:, :1],
    ],
)
def test_a_gradient_can_be_changed_in_place(backend, leaf, function):
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = function(x)
    y.backward(backend.asarray(np.ones(y.shape)))
    before = backend.to_numpy(x.grad).copy()
    x.grad *= 2
    np.testing.assert_array_equal(backend.to_numpy(x.grad), 2 * before)
    assert x.numpy().tolist() == [[1, 2], [3, 4]]


def test_accumulation_makes_a_new_array(leaf):
    """What a caller kept of an earlier gradient stays as it was."""
    x = leaf([1.0, 2.0])
    (x * 3).sum().backward()
    kept = x.grad
    (x * 4).sum().backward()
    assert kept.tolist() == [3, 3]


def test_the_inputs_are_untouched(backend, leaf):
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    ((x * y + x).exp() / y).sum().backward()
    assert x.numpy().tolist() == [1, 2]
    assert y.numpy().tolist() == [3, 4]


# --- what is recorded --------------------------------------------------------------------------


def test_no_grad_records_nothing(leaf):
    x = leaf([1.0])
    assert is_grad_enabled()
    with no_grad():
        assert not is_grad_enabled()
        y = x * 2
        with no_grad():
            pass
        assert not is_grad_enabled()
    assert is_grad_enabled()
    assert not y.requires_grad
    assert y.creator is None


@pytest.mark.parametrize("decorate", [no_grad(), no_grad])
def test_no_grad_as_a_decorator(leaf, decorate):
    @decorate
    def double(x, depth=0):
        return double(x, depth - 1) if depth else x * 2

    assert not double(leaf(1.0), depth=3).requires_grad
    assert is_grad_enabled()


def test_no_grad_refuses_what_runs_after_the_call(leaf):
    def generator(x):
        yield x * 2

    async def coroutine(x):
        return x * 2

    async def asynchronous_generator(x):
        yield x * 2

    for function in (generator, coroutine, asynchronous_generator):
        for decorate in (no_grad(), no_grad):
            with pytest.raises(UsageError, match=f"decorates {function.__name__}") as caught:
                decorate(function)
            assert "with no_grad()" in caught.value.fix


def test_no_grad_ends_with_an_error():
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled()


def test_no_grad_is_of_one_thread():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_gradients_that_nobody_wants_are_not_computed(leaf):
    class Recorder(Function):
        def forward(self, a, b):
            return a * b

        def backward(self, grad):
            needed.append(self.needs_input_grad)
            return grad, grad

    needed: list[tuple[bool, ...]] = []
    frozen, trained = leaf([1.0], requires_grad=False), leaf([2.0])
    Recorder()(frozen, trained).sum().backward()
    assert needed == [(False, True)]
    assert frozen.grad is None
    constant = Recorder()(frozen, frozen)
    assert not constant.requires_grad
    assert constant.creator is None


def test_a_frozen_branch_is_not_walked(leaf):
    Count.calls = 0
    frozen = Count()(leaf([1.0], requires_grad=False))
    (frozen * leaf([2.0])).sum().backward()
    assert Count.calls == 0


@pytest.mark.parametrize("before", [True, False])
def test_requires_grad_counts_when_the_function_is_called(leaf, before):
    """Freezing or thawing between forward and backward breaks nothing."""
    x, w = leaf([1.0]), leaf([2.0], requires_grad=before)
    y = (x * w).sum()
    w.requires_grad = not before
    y.backward()
    assert values(x) == [2]


def test_saved_arrays_are_dropped_after_backward(leaf):
    class Saves(Function):
        def forward(self, x):
            big = x + 1
            kept.append(weakref.ref(big))
            self.save(big)
            return x * 2

        def backward(self, grad):
            (big,) = self.saved
            return grad * big

    kept: list[weakref.ref] = []
    y = Saves()(leaf([1.0, 2.0]))
    assert kept[0]() is not None
    y.sum().backward()
    assert kept[0]() is None


def test_a_result_without_a_graph_keeps_nothing_alive(backend):
    x = Tensor(backend.asarray(np.ones(3)))
    middle = x * 2
    ref = weakref.ref(middle)
    result = middle + 1
    del middle
    assert ref() is None
    assert result.numpy().tolist() == [3, 3, 3]


def test_plain_arrays_are_constants(backend, leaf):
    x = leaf([1.0, 2.0])
    y = F.mul(x, backend.asarray(np.array([3.0, 4.0])))
    y.sum().backward()
    assert values(x) == [3, 4]
    z = F.add(backend.asarray(np.ones(2)), backend.asarray(np.ones(2)))
    assert isinstance(z, Tensor)
    assert not z.requires_grad


# --- retain_grad ----------------------------------------------------------------------------


def test_a_computed_tensor_has_a_gradient_only_if_it_is_retained(leaf):
    x, y, z = leaf(-2.0), leaf(5.0), leaf(-4.0)
    q = x + y
    p = q * 1
    f = p * z
    assert q.retain_grad() is None
    f.retain_grad()
    f.backward()
    assert (values(q), values(f)) == (-4, 1)
    assert p.grad is None
    assert [values(t) for t in (x, y, z)] == [-4, -4, 3]


def test_a_retained_gradient_is_the_sum_over_all_uses(leaf):
    x = leaf([1.0, 2.0])
    q = x * 3
    q.retain_grad()
    ((q * q).sum() + q.sum()).backward()
    assert values(q) == [7, 13]
    assert values(x) == [21, 39]


def test_a_retained_gradient_is_added_to_what_is_there_until_it_is_zeroed(leaf):
    x = leaf([1.0, 2.0])
    q = x * 3
    q.retain_grad()
    q.grad = before = x.backend.asarray(np.array([10.0, 20.0]))
    (q * q).sum().backward()
    assert values(q) == [16, 32]
    assert x.backend.to_numpy(before).tolist() == [10, 20]
    assert values(x) == [18, 36]
    q.zero_grad()
    assert q.grad is None


@pytest.mark.parametrize("retained", [0, 1, 2])
def test_a_retained_gradient_is_an_array_of_its_own(leaf, retained):
    """Additions and reshapes pass one array on; a change of one `.grad` changes no other."""
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    steps = [x + y]
    steps.append(steps[0].reshape(2, 1))
    steps.append(steps[1] + 1)
    for step in steps[retained:]:
        step.retain_grad()
    grad = x.backend.asarray(np.ones((2, 1)))
    steps[2].backward(grad)
    tensors = [x, y, *steps[retained:]]
    for tensor in tensors:
        tensor.grad *= 2
    assert x.backend.to_numpy(grad).tolist() == [[1], [1]]
    for tensor in tensors:
        assert set(tensor.backend.to_numpy(tensor.grad).ravel()) == {2}


def test_the_gradients_of_the_leaves_do_not_depend_on_what_is_retained(leaf):
    results = []
    for retain in (False, True):
        x, w = leaf([[0.1, 0.2], [0.3, 0.4]]), leaf([[0.5, -0.6], [0.7, 0.8]])
        steps = [x @ w]
        steps.append(F.sigmoid(steps[-1]))
        steps.append((steps[-1] + steps[0]).mean())
        for step in steps if retain else ():
            step.retain_grad()
        steps[-1].backward()
        results.append((values(x), values(w)))
    assert results[0] == results[1]


def test_retain_grad_of_a_leaf_changes_nothing(leaf):
    x = leaf([1.0, 2.0])
    x.retain_grad()
    assert not x.retains_grad
    (x * 2).sum().backward()
    assert values(x) == [2, 2]


@pytest.mark.parametrize("kind", ["constant", "under no_grad"])
def test_retain_grad_without_a_gradient(leaf, kind):
    tensor = leaf([1.0], requires_grad=False)
    if kind == "under no_grad":
        with no_grad():
            tensor = leaf([1.0]) * 2
    with pytest.raises(GraphError, match="retain_grad of a tensor that requires no gradient"):
        tensor.retain_grad()


def test_a_picture_is_asked_of_the_tensor_itself():
    with pytest.raises(ImportError, match=r"write result\.graph\(\)\.to_dot\(\)"):
        from gpucnn.autograd import to_dot  # noqa: F401


def test_what_cannot_be_a_tensor(leaf):
    x = leaf([1.0, 2.0, 3.0])
    numbers = [1, 2, 3]
    np.testing.assert_array_equal((x + numbers).numpy(), [2, 4, 6])
    for wrong in (None, "x", [1, "a"], object()):
        with pytest.raises(DtypeError, match="cannot be made a Tensor"):
            x + wrong
        with pytest.raises(DtypeError, match="cannot be made a Tensor"):
            Tensor(wrong)
