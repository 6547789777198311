"""Optimizers over many steps against float64 loops; freezing, halting, saving."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import reference

from gpucnn import nn, optim
from gpucnn.errors import UsageError, WeightsMismatchError

RATE = float(np.float32(0.05))  # what the float32 array on the device holds
STEPS = 12
CASES = [
    ("sgd", {}, reference.sgd, 1),
    ("sgd", {"weight_decay": 0.1}, reference.sgd, 1),
    ("sgd", {"momentum": 0.9}, reference.sgd, 1),
    ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, reference.sgd, 1),
    ("rmsprop", {"rho": 0.8, "weight_decay": 0.1}, reference.rmsprop, 1),
    ("adam", {"weight_decay": 0.1}, reference.adam, 2),
    ("adam", {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}, reference.adam, 2),
    ("adamw", {"weight_decay": 0.1}, reference.adam, 2),
]
NAMES = list(optim.OPTIMIZERS)


def two_parameters(backend, dtype="float64"):
    rng = np.random.default_rng(3)
    return {
        "dense1.weight": nn.Parameter(backend.asarray(rng.standard_normal((4, 3)).astype(dtype))),
        "dense1.bias": nn.Parameter(backend.asarray(rng.standard_normal(3).astype(dtype))),
    }


def gradients(seed, parameters):
    rng = np.random.default_rng(seed)
    return {path: rng.standard_normal(p.shape) for path, p in parameters.items()}


def take_step(optimizer, seed):
    for path, grad in gradients(seed, optimizer.parameters).items():
        parameter = optimizer.parameters[path]
        parameter.grad = parameter.backend.asarray(grad, dtype=parameter.dtype)
    optimizer.step()


def values(optimizer):
    return {path: p.numpy().copy() for path, p in optimizer.parameters.items()}


@pytest.mark.parametrize(("name", "options", "oracle", "slots"), CASES)
def test_steps_follow_the_formula(backend, name, options, oracle, slots):
    optimizer = optim.get(name, two_parameters(backend), RATE, **options)
    expected = {path: [w] + [np.zeros_like(w)] * slots for path, w in values(optimizer).items()}
    more = {"decoupled": True} if name == "adamw" else {}
    for step in range(1, STEPS + 1):
        if oracle is reference.adam:
            more["step"] = step
        for path, grad in gradients(step, optimizer.parameters).items():
            w, *rest = expected[path]
            expected[path] = list(oracle(w, grad, *rest, lr=RATE, **options, **more))
        take_step(optimizer, step)
    for path, got in values(optimizer).items():
        np.testing.assert_allclose(got, expected[path][0], rtol=1e-12, atol=1e-12, err_msg=path)


@pytest.mark.parametrize("name", NAMES)
def test_learning_rate_is_read_from_the_device_at_each_step(backend, name):
    optimizer = optim.get(name, two_parameters(backend), 0.1)
    array = optimizer.learning_rate
    assert array.shape == (1,)
    assert array.dtype == np.float32
    optimizer.set_learning_rate(0.0)
    assert optimizer.learning_rate is array
    before = values(optimizer)
    take_step(optimizer, 1)
    for path, value in values(optimizer).items():
        np.testing.assert_array_equal(value, before[path])


def test_frozen_parameters_and_those_without_gradient_stay(backend):
    optimizer = optim.Adam(two_parameters(backend))
    weight, bias = optimizer.parameters.values()
    before = values(optimizer)
    weight.requires_grad = False
    take_step(optimizer, 1)
    np.testing.assert_array_equal(weight.numpy(), before["dense1.weight"])
    assert (bias.numpy() != before["dense1.bias"]).all()
    optimizer.zero_grad()
    assert weight.grad is None
    assert bias.grad is None
    after = bias.numpy().copy()
    optimizer.step()
    np.testing.assert_array_equal(bias.numpy(), after)


@pytest.mark.parametrize("name", NAMES)
def test_a_halted_step_changes_nothing_at_all(backend, name):
    optimizer = optim.get(name, two_parameters(backend), 0.1)
    take_step(optimizer, 1)
    before, state = values(optimizer), optimizer.state_dict()
    optimizer.halted.fill(2)
    take_step(optimizer, 2)
    for path, value in values(optimizer).items():
        np.testing.assert_array_equal(value, before[path])
    for key, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, state[key], err_msg=key)
    assert int(state["step_count"][0]) == 1


@pytest.mark.parametrize(("name", "options", "oracle", "slots"), CASES)
def test_state_makes_a_continued_training_the_same_bits(backend, name, options, oracle, slots):
    whole = optim.get(name, two_parameters(backend, "float32"), RATE, **options)
    for step in range(6):
        take_step(whole, step)
        if step == 2:
            state, parameters = whole.state_dict(), values(whole)
    second = {p: nn.Parameter(backend.asarray(array)) for p, array in parameters.items()}
    resumed = optim.get(name, second, RATE, **options)
    resumed.load_state_dict(state)
    for step in range(3, 6):
        take_step(resumed, step)
    for path, value in values(resumed).items():
        assert value.tobytes() == values(whole)[path].tobytes(), path


@pytest.mark.parametrize("name", NAMES)
def test_arrays_lie_where_the_parameters_are(monkeypatch, name):
    class Elsewhere(np.ndarray):
        pass

    there = SimpleNamespace(asarray=lambda array: array.view(Elsewhere), computing=nullcontext)
    monkeypatch.setattr("gpucnn.optim.backends", SimpleNamespace(of=lambda *_: there))
    parameters = {"w": nn.Parameter(np.ones(3, np.float32))}
    optimizer = optim.get(name, parameters, 0.1, **({"momentum": 0.5} if name == "sgd" else {}))
    slots = [array for by_path in optimizer.state.values() for array in by_path.values()]
    arrays = [optimizer.learning_rate, optimizer.step_count, optimizer.halted, *slots]
    assert len(slots) > 0
    assert all(type(array) is Elsewhere for array in arrays)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_that_is_a_number_trains(backend, name):
    scale = nn.Parameter(np.float32(1.0))
    optimizer = optim.get(name, {"scale": scale}, 0.1)
    (scale * scale).backward()
    optimizer.step()
    assert scale.item() < 1


def test_default_learning_rates():
    rates = {name: optim.default_learning_rate(name) for name in NAMES}
    assert rates == {"sgd": 1e-2, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3}
    with pytest.raises(UsageError, match="did you mean adam"):
        optim.default_learning_rate("adm")


def test_names_of_the_state(backend):
    parameters = two_parameters(backend)
    paths = list(parameters)
    assert list(optim.SGD(parameters).state_dict()) == ["step_count"]
    expected = {
        optim.SGD(parameters, momentum=0.9): ["velocity"],
        optim.RMSprop(parameters): ["square_avg"],
        optim.AdamW(parameters): ["m", "v"],
    }
    for optimizer, slots in expected.items():
        names = [f"{slot}/{path}" for slot in slots for path in paths]
        assert list(optimizer.state_dict()) == [*names, "step_count"]


def test_state_of_another_optimizer_is_refused_whole(backend):
    optimizer = optim.RMSprop(two_parameters(backend))
    take_step(optimizer, 1)
    before = optimizer.state_dict()
    state = optimizer.state_dict() | {"m/dense1.bias": np.zeros(3)}
    del state["square_avg/dense1.bias"]
    state["square_avg/dense1.weight"] = np.zeros((3, 4))
    with pytest.raises(WeightsMismatchError) as caught:
        optimizer.load_state_dict(state)
    text = str(caught.value)
    assert "RMSprop" in text
    assert "missing: square_avg/dense1.bias" in text
    assert "unexpected: m/dense1.bias" in text
    assert "wrong shape: square_avg/dense1.weight is (3, 4) instead of (4, 3)" in text
    for key, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_a_model_trains(backend):
    model = nn.Sequential([nn.Dense(1)]).build((2,), seed=1, device=backend.name)
    optimizer = optim.SGD(model, learning_rate=0.1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 2)).astype(np.float32)
    y = x @ np.float32([[2.0], [-1.0]]) + np.float32(0.5)
    for _ in range(100):
        difference = model(backend.asarray(x)) - backend.asarray(y)
        optimizer.zero_grad()
        (difference * difference).mean().backward()
        optimizer.step()
    weight, bias = (p.numpy() for p in model.parameters())
    np.testing.assert_allclose(weight, [[2.0], [-1.0]], atol=1e-3)
    np.testing.assert_allclose(bias, [0.5], atol=1e-3)


def test_unknown_name_lists_those_there_are(backend):
    with pytest.raises(UsageError, match="sgd, rmsprop, adam, adamw") as caught:
        optim.get("adm", two_parameters(backend), 0.1)
    assert "'adm'" in caught.value.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": -0.1}, "learning_rate is -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"nesterov": True}, "nesterov without momentum"),
    ],
)
def test_numbers_out_of_range(backend, options, message):
    with pytest.raises(UsageError, match=message):
        optim.SGD(two_parameters(backend), **options)


def test_nothing_to_optimize():
    with pytest.raises(UsageError, match="without parameters"):
        optim.Adam({})
