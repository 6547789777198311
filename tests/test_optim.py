"""Optimizers over many steps against float64 loops; freezing, halting, saving."""

from __future__ import annotations

import copy
import inspect
import math
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import reference

from gpucnn import nn, optim
from gpucnn.autograd import Tensor
from gpucnn.errors import SignatureError, UnknownNameError, UsageError, WeightsMismatchError

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
def test_a_step_with_found_inf_changes_nothing_at_all(backend, name):
    optimizer = optim.get(name, two_parameters(backend), 0.1)
    take_step(optimizer, 1)
    before, state = values(optimizer), optimizer.state_dict()
    optimizer.found_inf.fill(2)
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

    there = SimpleNamespace(asarray=lambda array: array.view(Elsewhere), quiet_device=nullcontext)
    monkeypatch.setattr("gpucnn.optim.backends", SimpleNamespace(of=lambda *_: there))
    parameters = {"w": nn.Parameter(np.ones(3, np.float32))}
    optimizer = optim.get(name, parameters, 0.1, **({"momentum": 0.5} if name == "sgd" else {}))
    slots = [array for by_path in optimizer.state.values() for array in by_path.values()]
    arrays = [optimizer.learning_rate, optimizer.step_count, optimizer.found_inf, *slots]
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


@pytest.mark.parametrize("name", NAMES)
def test_parameters_come_in_any_form(name):
    model = nn.Sequential([nn.Dense(3), nn.Dense(2)]).build((5,), seed=0)
    cls = optim.OPTIMIZERS[name]
    paths = ["dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias"]
    for form in (
        model,
        model.named_parameters(),
        model.named_parameters().items(),
        model.parameters(),
        tuple(model.parameters()),
        iter(model.parameters()),
        (p for p in model.parameters()),
    ):
        optimizer = cls(form, lr=0.1)
        assert list(optimizer.parameters) == paths
        assert [*map(id, optimizer.parameters.values())] == [*map(id, model.parameters())]


def test_a_list_of_parameters_trains_to_the_same_bits(backend):
    def trained(form):
        model = nn.Sequential([nn.Dense(4), nn.ReLU(), nn.Dense(1)])
        model.build((3,), seed=1, device=backend.name)
        optimizer = optim.Adam(form(model), 0.01)
        x = backend.asarray(np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3))
        for _ in range(3):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optimizer.step()
        return optimizer.state_dict() | model.state_dict()

    by_model, by_list = trained(lambda m: m), trained(lambda m: m.parameters())
    assert list(by_model) == list(by_list)
    for key, array in by_model.items():
        assert array.tobytes() == by_list[key].tobytes(), key


def test_a_leaf_of_the_graph_is_a_parameter(backend):
    w = Tensor(backend.asarray(np.array([1.0, -2.0])), requires_grad=True, name="w")
    optimizer = optim.SGD([w], lr=0.5)
    (w * w).sum().backward()
    optimizer.step()
    assert w.numpy().tolist() == [0, 0]
    assert list(optimizer.parameters) == ["w"]


@pytest.mark.parametrize("name", NAMES)
def test_lr_is_the_learning_rate(backend, name):
    cls = optim.OPTIMIZERS[name]

    def rate(*args, **options):
        return float(cls(two_parameters(backend), *args, **options).learning_rate[0])

    assert rate(0.25) == rate(lr=0.25) == rate(learning_rate=0.25) == 0.25
    assert rate() == np.float32(optim.default_learning_rate(name))
    for both in ({"learning_rate": 0.1, "lr": 0.1}, {"learning_rate": 0.0, "lr": 0.1}):
        with pytest.raises(UsageError, match="two names") as caught:
            rate(**both)
        assert "learning_rate is" in caught.value.message
        assert caught.value.fix


@pytest.mark.parametrize(
    ("name", "args", "options", "hint"),
    [
        ("adam", (), {"betas": (0.9, 0.99)}, "beta1=b1, beta2=b2"),
        ("adamw", (), {"betas": (0.9, 0.99)}, "beta1=b1, beta2=b2"),
        ("adam", (), {"beta_1": 0.9}, "beta1"),
        ("adam", (), {"epsilon": 1e-7}, "did you mean eps?"),
        ("adam", (), {"amsgrad": True}, "Adam without it"),
        ("rmsprop", (), {"epsilon": 1e-7}, "did you mean eps?"),
        ("rmsprop", (), {"alpha": 0.9}, "did you mean rho?"),
        ("sgd", (), {"clipnorm": 1.0}, "clip_grad_norm"),
        ("sgd", (), {"decay": 1e-6}, "gpucnn.schedules"),
        ("sgd", (), {"momentun": 0.9}, "did you mean momentum?"),
        ("sgd", (0.1, 0.9), {}, "*, lr, momentum"),
        ("adam", (1e-3, (0.9, 0.99)), {}, "*, lr, beta1"),
        ("rmsprop", (1e-3, 0.9), {}, "*, lr, rho"),
        ("adamw", (1e-3, 0.9, 0.999), {}, "weight_decay"),
    ],
)
def test_a_call_as_elsewhere_shows_ours(backend, name, args, options, hint):
    cls = optim.OPTIMIZERS[name]
    shown = rf" does not match {cls.__name__}\(parameters, learning_rate, \*, lr, "
    with pytest.raises(SignatureError, match=shown) as caught:
        cls(two_parameters(backend), *args, **options)
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
@pytest.mark.parametrize(
    "rate", [0.5, np.float32(0.5), 1, np.array(0.5), np.array([0.5]), Tensor(0.5), Tensor([[0.5]])]
)
def test_a_rate_that_is_assigned_is_that_of_the_next_steps(backend, name, rate):
    w = Tensor(backend.asarray(np.ones(2, np.float32)), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    array = optimizer.learning_rate
    setattr(optimizer, name, rate)
    rate = rate if isinstance(rate, (int, float)) else rate.item()
    (w * 1).sum().backward()
    optimizer.step()
    assert w.numpy().tolist() == [1 - rate] * 2
    assert optimizer.learning_rate is array
    assert optimizer.lr == rate
    optimizer.set_learning_rate(0.25)
    assert backend.to_numpy(array).tolist() == [0.25]
    for wrong in (-1, "0.1", None, float("nan"), backend.asarray(np.ones(2, np.float32))):
        with pytest.raises(UsageError, match="learning_rate is"):
            setattr(optimizer, name, wrong)


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
def test_a_rate_is_computed_with(backend, name):
    optimizer = optim.SGD(two_parameters(backend), lr=0.4)
    array = optimizer.learning_rate
    setattr(optimizer, name, getattr(optimizer, name) * 0.5)
    assert optimizer.lr == 0.2
    setattr(optimizer, name, getattr(optimizer, name) / 2)
    assert optimizer.lr == 0.1
    optimizer.lr *= 3
    optimizer.learning_rate /= 4
    assert type(optimizer.lr) is float
    assert optimizer.lr == pytest.approx(0.075, rel=1e-6)
    assert optimizer.learning_rate is array


def test_names_of_other_optimizers_say_ours(backend):
    optimizer = optim.SGD(two_parameters(backend))
    with pytest.raises(SignatureError, match=r"zero_grad\(set_to_none=True\)") as caught:
        optimizer.zero_grad(set_to_none=True)
    assert "always" in str(caught.value)
    for name, hint in {
        "param_groups": "set_learning_rate",
        "add_param_group": "second optimizer",
        "minimize": "backward",
    }.items():
        with pytest.raises(UnknownNameError, match=f"a SGD has no {name}") as caught:
            getattr(optimizer, name)
        assert hint in caught.value.fix
    with pytest.raises(AttributeError, match="'SGD' object has no attribute 'momentums'"):
        optimizer.momentums  # noqa: B018
    with pytest.raises(UnknownNameError, match=r"gpucnn.optim has no Adagrad") as caught:
        optim.Adagrad  # noqa: B018
    assert "RMSprop" in caught.value.fix
    assert copy.deepcopy(optimizer).momentum == optimizer.momentum


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, "0.1", True, None, [0.1], 1e39, 1j])
def test_numbers_that_are_none(backend, name, wrong):
    cls = optim.OPTIMIZERS[name]
    for key in ("lr", "eps", "weight_decay", "momentum", "rho", "beta1", "beta2"):
        if key in inspect.signature(cls).parameters and (key, wrong) != ("lr", None):
            with pytest.raises(UsageError, match=f"{'learning_rate' if key == 'lr' else key} is"):
                cls(two_parameters(backend), **{key: wrong})
    optimizer = cls(two_parameters(backend), np.float64(0.1), weight_decay=np.float32(0.5))
    with pytest.raises(UsageError, match="learning_rate is"):
        optimizer.set_learning_rate(wrong)


@pytest.mark.parametrize("key", ["rho", "beta1", "beta2", "momentum"])
def test_shares_are_below_one(backend, key):
    cls = next(c for c in optim.OPTIMIZERS.values() if key in inspect.signature(c).parameters)
    with pytest.raises(UsageError, match=f"{key} is 1"):
        cls(two_parameters(backend), **{key: 1})
    with pytest.raises(UsageError, match="nesterov is 'yes'"):
        optim.SGD(two_parameters(backend), momentum=0.9, nesterov="yes")


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


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_an_update_beyond_float32_is_infinite_without_a_warning(backend, name):
    w = Tensor(backend.asarray(np.ones(3, np.float32)), requires_grad=True)
    w.grad = backend.asarray(np.full(3, 3e38, np.float32))
    optim.get(name, {"w": w}, 3e38).step()
    assert not np.isfinite(backend.to_numpy(w.data)).any()
