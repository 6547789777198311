"""The operators of a Tensor beyond arithmetic: changes in place, and those that it lacks."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from gpucnn import functions as F
from gpucnn import nn, no_grad
from gpucnn.autograd import Tensor
from gpucnn.errors import DtypeError, GraphError, ShapeError, SignatureError, UsageError

IN_PLACE = {
    operator.iadd: [3.0, 6.0],
    operator.isub: [-1.0, -2.0],
    operator.imul: [2.0, 8.0],
    operator.itruediv: [0.5, 0.5],
}


def leaf(backend, values, **options):
    return Tensor(backend.asarray(np.array(values, np.float32)), **options)


@pytest.mark.parametrize("update", IN_PLACE)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_parameter_is_changed_in_its_own_array(backend, update, frozen):
    w = nn.Parameter(leaf(backend, [1.0, 2.0]), requires_grad=not frozen)
    array, other = w.data, backend.asarray(np.array([2.0, 4.0], np.float32))
    with no_grad():
        for x in [w]:
            assert update(x, other) is w
    assert w.data is array
    assert w.numpy().tolist() == IN_PLACE[update]
    assert w.requires_grad is not frozen


def test_more_operators_in_place(backend):
    w, square = leaf(backend, [2.0, 3.0], requires_grad=True), leaf(backend, [[0, 1], [1, 0]])
    m = leaf(backend, [[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    array, matrix = w.data, m.data
    with no_grad():
        w **= 2
        m @= square
    assert (w.data is array, w.numpy().tolist()) == (True, [4, 9])
    assert (m.data is matrix, m.numpy().tolist()) == (True, [[2, 1], [4, 3]])


def test_pytorch_s_loop_trains(backend, rng):
    """Gradient descent by hand, on a layer and on tensors, is what SGD does."""
    x = backend.asarray(rng.standard_normal((20, 3)).astype(np.float32))
    y = backend.asarray(rng.standard_normal((20, 1)).astype(np.float32))
    net = nn.Dense(1).build((3,), device=backend.name)
    before = {path: p.numpy().copy() for path, p in net.named_parameters()}
    F.mean_squared_error(net(x), y).backward()
    gradients = {path: backend.to_numpy(p.grad) for path, p in net.named_parameters()}
    with no_grad():
        for p in net.parameters():
            p -= 0.1 * p.grad
    for path, p in net.named_parameters():
        np.testing.assert_allclose(p.numpy(), before[path] - 0.1 * gradients[path], rtol=1e-6)
    w = Tensor(x[:3, :1] + 0, requires_grad=True)
    losses = []
    for _ in range(3):  # a second round needs the same leaf
        w.zero_grad()
        loss = F.mean_squared_error(x @ w, y)
        loss.backward()
        losses.append(loss.item())
        with no_grad():
            w -= 0.1 * w.grad
    assert losses[0] > losses[1] > losses[2]


def test_a_recorded_change_of_a_parameter_is_refused(backend):
    for w in (leaf(backend, [1.0], requires_grad=True), nn.Parameter(leaf(backend, [1.0]))):
        w.name = "head.weight"
        with pytest.raises(GraphError, match=r"head\.weight is changed in place") as caught:
            w += 1
        assert "no_grad" in caught.value.fix
        assert w.numpy().tolist() == [1]


def test_a_change_in_place_keeps_the_shape(backend):
    w = leaf(backend, [[1.0, 2.0]], requires_grad=True)
    with (
        no_grad(),
        pytest.raises(ShapeError, match=r"\(1, 2\) is to take values of shape \(3, 2\)"),
    ):
        w += np.ones((3, 1), np.float32) if backend.name == "cpu" else leaf(backend, [[1]] * 3)
    assert w.numpy().tolist() == [[1, 2]]


def test_a_read_only_array_is_not_changed():
    array = np.ones(2, np.float32)
    array.flags.writeable = False
    w = Tensor(array, requires_grad=True, name="w")
    with no_grad(), pytest.raises(UsageError, match="w is read-only") as caught:
        w -= 1
    assert "array.copy()" in caught.value.fix


def test_a_change_in_place_keeps_the_dtype(backend):
    counts = nn.Parameter(backend.asarray(np.array([1, 3])), requires_grad=False)
    with no_grad(), pytest.raises(DtypeError, match="int64 is to take values of float64"):
        counts /= 2
    assert counts.numpy().tolist() == [1, 3]


def test_other_tensors_are_replaced_as_numbers_are(backend):
    x = leaf(backend, [1.0, 2.0])
    same, array = x, x.data
    x += 1
    assert x is not same
    assert (x.numpy().tolist(), backend.to_numpy(array).tolist()) == ([2, 3], [1, 2])
    w = leaf(backend, [1.0, 2.0], requires_grad=True)
    y = w * 2
    y *= w  # recorded: y was computed, so that it is no parameter
    y.sum().backward()
    assert backend.to_numpy(w.grad).tolist() == [4, 8]
    total = 0
    total += w.sum().detach()
    assert total.item() == 3


@pytest.mark.parametrize(
    ("call", "fix"),
    [
        (lambda x: (x > 0) & (x < 2), "(x > 0) * (x < 1)"),
        (lambda x: True & (x > 0), "(x > 0) * (x < 1)"),
        (lambda x: (x > 0) | (x < 2), "maximum"),
        (lambda x: (x > 0) ^ (x < 2), "!="),
        (lambda x: ~(x > 0), "== False"),
        (lambda x: x % 2, "x.data % y"),
        (lambda x: 5 // x, "x / y"),
        (lambda x: x // 2, "x / y"),
        (lambda x: x << 1, "x.data << n"),
        (lambda x: 1 >> x, "x.data >> n"),
        (lambda x: divmod(x, 2), "divmod(x.data, y)"),
        (lambda x: divmod(2, x), "divmod(x.data, y)"),
        (lambda x: -(x > 0), "(x > 0) * 1"),
        (lambda x: (x > 0) - (x < 0), "(x > 0) * 1"),
        (lambda x: 2**x, "(x * math.log(2)).exp()"),
        (lambda x: [2, 3] ** x, "(gpucnn.functions.log(base) * x).exp()"),
        (lambda x: x.data**x, "(gpucnn.functions.log(base) * x).exp()"),
    ],
)
def test_an_operator_that_is_lacking_says_what_to_write(backend, call, fix):
    with pytest.raises(DtypeError, match="Tensor") as caught:
        call(leaf(backend, [1.0, 2.0]))
    assert fix in caught.value.fix


def test_what_stands_for_lacking_operators(backend):
    x = leaf(backend, [-1.0, 0.5, 3.0])
    inside, outside = (x > 0) * (x < 1), F.maximum(x < 0, x > 1)
    assert inside.numpy().tolist() == [False, True, False]
    assert outside.numpy().tolist() == (inside == False).numpy().tolist()  # noqa: E712
    assert ((x > 0) != (x < 1)).numpy().tolist() == [True, False, True]
    np.testing.assert_allclose((x * np.log(2)).exp().numpy(), [0.5, 2**0.5, 8], rtol=1e-6)
    power = (F.log(leaf(backend, [2, 4, 2])) * x).exp().numpy()
    np.testing.assert_allclose(power, [0.5, 2, 8], rtol=1e-6)
    sign = (x > 0) * 1 - (x < 0) * 1
    assert sign.numpy().tolist() == [-1, 1, 1]
    assert +x is x


def test_elements_are_not_set(backend):
    x = leaf(backend, [1.0, 2.0])
    with pytest.raises(DtypeError, match="is set") as caught:
        x[0] = 5
    assert "x.data[index]" in caught.value.fix


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_axis_of_a_maximum_is_given_by_name(backend, name):
    """PyTorch's `_, pred = out.max(1)` means indices: it must not unpack two rows of values."""
    x = leaf(backend, [[1.0, 5.0, 3.0], [4.0, 0.0, 2.0]])
    for call in (lambda: getattr(x, name)(1), lambda: getattr(F, name)(x, 1)):
        with pytest.raises(SignatureError, match="by name") as caught:
            _, _ = call()
        assert "argmax(axis=1)" in caught.value.fix
        assert f"{name}(axis=1)" in caught.value.fix
    with pytest.raises(SignatureError, match="two tensors") as caught:
        getattr(F, name)(x, x)
    assert f"{name}imum" in caught.value.fix
    want = getattr(np, name)(x.numpy(), axis=1)
    assert getattr(x, name)(axis=1).numpy().tolist() == want.tolist()
    assert getattr(x, name)().item() == getattr(np, name)(x.numpy())
