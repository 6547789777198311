"""Backward after a change in place: what the gradient needs must be as it was in forward."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import functions as F
from gpucnn import nn, no_grad, optim
from gpucnn.autograd import Tensor
from gpucnn.errors import GraphError


def tensor(backend, values, requires_grad=True):
    return Tensor(backend.asarray(np.array(values, np.float32)), requires_grad, name="w")


def by_hand(w):
    with no_grad():
        w -= 1


def by_optimizer(w):
    grad, w.grad = w.grad, w.backend.xp.ones_like(w.data)
    optim.SGD([w], 0.5).step()
    w.grad = grad


#: Losses whose gradient takes values of w, or of a view of it.
TAKING = {
    "square": lambda w: w * w,
    "power": lambda w: w**3,
    "log": lambda w: F.log(w),
    "divisor": lambda w: 1 / w,
    "maximum": lambda w: F.maximum(w, 1.5),
    "matmul": lambda w: w.reshape(1, 3) @ w.reshape(3, 1),
    "view of a view": lambda w: w.reshape(3, 1).T ** 2,
    "slice": lambda w: w[1:] * w[:2],
    "layer": lambda w: F.linear(F.linear([[1.0]], w.reshape(1, 3)), w.reshape(3, 1)),
}

#: Losses whose gradient takes none, and the gradient.
NOT_TAKING = {
    "sum": (lambda w: w + w, 2),
    "product": (lambda w: 3 * w, 3),
    "quotient": (lambda w: w / 2, 0.5),
    "matmul": (lambda w: w.reshape(1, 3) @ [[4.0], [4.0], [4.0]], 4),
    "first layer": (lambda w: F.linear([[5.0]], w.reshape(1, 3)), 5),
    "copy": (lambda w: (w + 0) ** 2, [2, 4, 6]),
}


@pytest.mark.parametrize("change", [by_hand, by_optimizer])
@pytest.mark.parametrize("name", TAKING)
def test_a_change_between_forward_and_backward_is_an_error(backend, name, change):
    w = tensor(backend, [1, 2, 3])
    loss = TAKING[name](w).sum()
    change(w)
    with pytest.raises(GraphError, match="after a change of w in place") as caught:
        loss.backward()
    assert "backward before optimizer.step()" in caught.value.fix
    w.zero_grad()
    again = tensor(backend, w.numpy())
    TAKING[name](w).sum().backward()
    TAKING[name](again).sum().backward()
    np.testing.assert_array_equal(backend.to_numpy(w.grad), backend.to_numpy(again.grad))


@pytest.mark.parametrize("change", [by_hand, by_optimizer])
@pytest.mark.parametrize("name", NOT_TAKING)
def test_a_change_of_what_no_gradient_takes_is_none(backend, name, change):
    w = tensor(backend, [1, 2, 3])
    function, want = NOT_TAKING[name]
    loss = function(w).sum()
    change(w)
    loss.backward()
    np.testing.assert_array_equal(backend.to_numpy(w.grad), np.broadcast_to(np.float32(want), 3))


def test_two_losses_of_one_forward(backend):
    """After the step for the first loss the second, computed before it, is out of date."""
    w, v = tensor(backend, [2.0]), tensor(backend, [5.0])
    first, second, other = (w * v).sum(), (w * w * v).sum(), (w * w).sum()
    first.backward()
    with no_grad():
        v -= v.grad
    with pytest.raises(GraphError, match="in place"):
        second.backward()
    w.zero_grad()
    other.backward()  # which has no v
    assert backend.to_numpy(w.grad).tolist() == [4]


def test_a_frozen_factor_is_no_exception(backend):
    x, w = tensor(backend, [2.0]), nn.Parameter(tensor(backend, [3.0]), requires_grad=False)
    y = x * w
    w *= 2  # nothing is recorded of it, so that it needs no no_grad
    assert w.numpy().tolist() == [6]
    with pytest.raises(GraphError, match="in place"):
        y.backward()
    with pytest.raises(GraphError, match="no_grad"):
        w *= x  # this would be


def test_a_network_is_not_changed_between_forward_and_backward(backend, rng):
    net = nn.Sequential([nn.Conv2d(2, 3), nn.Flatten(), nn.Dense(3), nn.ReLU(), nn.Dense(2)])
    net.build((1, 5, 5), device=backend.name)
    optimizer = optim.Adam(net)
    x = backend.asarray(rng.standard_normal((4, 1, 5, 5)).astype(np.float32))
    losses = [net(x).sum() for _ in range(2)]
    losses[0].backward()
    optimizer.step()
    with pytest.raises(GraphError, match="backward through Linear after a change of dense"):
        losses[1].backward()
