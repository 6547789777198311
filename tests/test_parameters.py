"""Parameters by name, and the clipping of gradients against float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from checks import tolerance

from gpucnn import nn, optim
from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError
from gpucnn.parameters import clip_grad_norm, named


def leaf(backend, shape, dtype="float32", name=None):
    return Tensor(backend.asarray(np.zeros(shape, dtype)), requires_grad=True, name=name)


def with_gradients(backend, gradients):
    parameters = [leaf(backend, g.shape, g.dtype, f"p{i}") for i, g in enumerate(gradients)]
    for parameter, grad in zip(parameters, gradients, strict=True):
        parameter.grad = backend.asarray(grad)
    return parameters


# --- names ----------------------------------------------------------------------------------


def test_a_parameter_without_a_name_of_its_own_gets_its_number(backend):
    names = ["w", None, "w", "b", "w", None, "w.2"]
    parameters = [leaf(backend, (2,), name=name) for name in names]
    found = named(parameters)
    assert list(found) == ["w", "parameter.1", "w.2", "b", "w.4", "parameter.5", "w.2.6"]
    assert [*map(id, found.values())] == [*map(id, parameters)]


def test_two_models_in_one_list():
    models = [nn.Sequential([nn.Dense(3)]).build((5,), seed=seed) for seed in (0, 1)]
    found = named(models[0].parameters() + models[1].parameters())
    assert list(found) == ["dense1.weight", "dense1.bias", "dense1.weight.2", "dense1.bias.3"]
    assert found["dense1.weight.2"] is models[1].parameters()[0]


def test_a_parameter_is_listed_once(backend):
    p, q = leaf(backend, (2,), name="p"), leaf(backend, (2,), name="q")
    assert list(named([p, q, p])) == ["p", "q"]
    assert list(named({"tied": p, "also": p, "other": q})) == ["tied", "other"]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        (3, "type int"),
        ("w", "type str"),
        (None, "type NoneType"),
        (Tensor([1.0]), "type Tensor"),
        ([np.ones(2)], "a ndarray"),
        (np.ones(2), "type ndarray"),
        (np.array(1.0), "type ndarray"),
        ([{"params": []}], "a dict"),
        ({"w": 1.0}, "a float"),
        ([Tensor([1.0], requires_grad=True) * 2], "computed from others"),
        (nn.Dense, "type type"),
    ],
)
def test_what_is_no_parameter_is_named(parameters, found):
    for call in (optim.SGD, named, lambda p: clip_grad_norm(p, 1.0)):
        with pytest.raises(UsageError, match="expected parameters") as caught:
            call(parameters)
        assert found in caught.value.message
        assert "model.parameters()" in caught.value.fix


# --- clipping -------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 3.0, 1e6])
def test_the_joint_norm_is_at_most_the_given_one(backend, dtype, rng, max_norm):
    gradients = [rng.standard_normal(s).astype(dtype) for s in ((3, 4), (5,), (), (0, 2))]
    parameters = with_gradients(backend, gradients)
    total = math.sqrt(math.fsum(float(v) ** 2 for g in gradients for v in g.ravel()))
    norm = clip_grad_norm(parameters, max_norm)
    assert norm.shape == ()
    assert not norm.requires_grad
    assert float(norm) == pytest.approx(total, rel=1e-14)
    scale = min(1, max_norm / (total + 1e-6))
    for parameter, grad in zip(parameters, gradients, strict=True):
        got = backend.to_numpy(parameter.grad)
        assert (got.dtype, got.shape) == (grad.dtype, grad.shape)
        bound = 2 * tolerance(dtype)
        np.testing.assert_allclose(got, grad.astype(np.float64) * scale, rtol=bound, atol=1e-300)


def test_gradients_that_are_small_keep_their_bits(backend, rng):
    gradients = [rng.standard_normal(s).astype(np.float32) for s in ((7,), (2, 3))]
    parameters = with_gradients(backend, gradients)
    clip_grad_norm(parameters, 100)
    for parameter, grad in zip(parameters, gradients, strict=True):
        assert backend.to_numpy(parameter.grad).tobytes() == grad.tobytes()


def test_gradients_are_replaced_and_not_written_to(backend):
    """Two parameters may be handed one array, and a caller may keep one."""
    shared = backend.asarray(np.array([3.0, 4.0]))
    parameters = with_gradients(backend, [np.zeros(2), np.zeros(2)])
    for parameter in parameters:
        parameter.grad = shared
    assert float(clip_grad_norm(parameters, 1.0)) == pytest.approx(math.sqrt(50))
    assert backend.to_numpy(shared).tolist() == [3, 4]
    for parameter in parameters:
        want = np.array([3, 4]) / math.sqrt(50)
        np.testing.assert_allclose(backend.to_numpy(parameter.grad), want, rtol=1e-6)


def test_it_takes_what_an_optimizer_takes(backend):
    model = nn.Sequential([nn.Dense(3), nn.Dense(2)]).build((4,), seed=0, device=backend.name)
    norms = []
    for form in (model, model.named_parameters(), model.parameters(), iter(model.parameters())):
        for parameter in model.parameters():
            parameter.grad = backend.xp.ones_like(parameter.data)
        norms.append(float(optim.clip_grad_norm(form, 1e-3)))
    assert norms == [math.sqrt(4 * 3 + 3 + 3 * 2 + 2)] * 4


def test_frozen_parameters_and_those_without_a_gradient_are_passed_over(backend):
    parameters = with_gradients(backend, [np.array([3.0]), np.array([4.0]), np.array([12.0])])
    parameters[1].requires_grad = False
    parameters[2].grad = None
    assert float(clip_grad_norm(parameters, 1.0)) == 3
    assert backend.to_numpy(parameters[1].grad).tolist() == [4]
    assert parameters[2].grad is None
    for parameter in parameters:
        parameter.grad = None
    assert float(clip_grad_norm(parameters, 1.0)) == 0


def test_the_norm_of_large_float32_gradients_does_not_overflow(backend):
    parameters = with_gradients(backend, [np.full(4, 1e25, np.float32)])
    assert float(clip_grad_norm(parameters, 1.0)) == pytest.approx(2e25, rel=1e-6)
    np.testing.assert_allclose(backend.to_numpy(parameters[0].grad), 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [(np.nan, [np.nan] * 3), (np.inf, [np.nan, 0, 0]), (-np.inf, [np.nan, 0, 0])],
)
def test_a_norm_that_is_not_finite_is_pytorchs(backend, bad, expected):
    parameters = with_gradients(backend, [np.array([bad, 1.0]), np.array([2.0])])
    norm = clip_grad_norm(parameters, 1.0)
    assert not math.isfinite(norm)
    got = np.concatenate([backend.to_numpy(p.grad) for p in parameters])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("max_norm", [-1.0, math.nan, math.inf, "1", True, None])
def test_a_largest_norm_that_is_none(backend, max_norm):
    with pytest.raises(UsageError, match="max_norm is"):
        clip_grad_norm([leaf(backend, (2,))], max_norm)


def test_the_norm_is_pytorchs(backend, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    gradients = [rng.standard_normal(s) for s in ((3, 4), (5,))]
    parameters = with_gradients(backend, gradients)
    there = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for parameter, grad in zip(there, gradients, strict=True):
        parameter.grad = torch.tensor(grad)
    total = torch.nn.utils.clip_grad_norm_(there, 1.5)
    assert float(clip_grad_norm(parameters, 1.5)) == pytest.approx(total.item(), rel=1e-14)
    for ours, theirs in zip(parameters, there, strict=True):
        np.testing.assert_allclose(backend.to_numpy(ours.grad), theirs.grad.numpy(), rtol=1e-14)
