"""Weights by PyTorch's names and layouts: known numbers, computed here in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from gpucnn import backend, no_grad
from gpucnn.errors import (
    DataError,
    DeviceError,
    DivergedError,
    DtypeError,
    UsageError,
    WeightsMismatchError,
)
from gpucnn.nn import BatchNorm2d, Conv2d, Dense, Flatten, LayerNorm, Module, Residual, Sequential

NAMES = [
    "conv1.weight", "conv1.bias", "batchnorm1.weight", "batchnorm1.bias",
    "batchnorm1.running_mean", "batchnorm1.running_var", "batchnorm1.num_batches_tracked",
    "dense1.weight", "dense1.bias", "layernorm1.weight", "layernorm1.bias",
]  # fmt: skip


def network(device: str = "cpu") -> Sequential:
    layers = [Conv2d(3, (2, 1)), BatchNorm2d(eps=1e-3), Flatten(), Dense(4), LayerNorm(eps=1e-3)]
    return Sequential(layers).build((2, 3, 2), device=device)


@pytest.fixture
def state(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What PyTorch's state_dict has for this network."""
    shapes = [(3, 2, 2, 1), (3,), (3,), (3,), (3,), (3,), (), (4, 12), (4,), (4,), (4,)]
    found = {
        name: rng.uniform(0.5, 2, shape).astype(np.float32)
        for name, shape in zip(NAMES, shapes, strict=True)
    }
    found["batchnorm1.num_batches_tracked"] = np.array(7)
    return found


def expected(s: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """PyTorch's network in float64, from the formulas of its documentation."""
    s = {name: array.astype(np.float64) for name, array in s.items()}
    y = np.einsum(
        "nchwk,fck->nfhw", np.stack([x[:, :, :-1], x[:, :, 1:]], -1), s["conv1.weight"][..., 0]
    )
    y += s["conv1.bias"][:, None, None]
    of = [
        s[f"batchnorm1.{key}"][:, None, None]
        for key in ("running_mean", "running_var", "weight", "bias")
    ]
    y = (y - of[0]) / np.sqrt(of[1] + 1e-3) * of[2] + of[3]
    y = y.reshape(len(x), -1) @ s["dense1.weight"].T + s["dense1.bias"]
    y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-3)
    return y * s["layernorm1.weight"] + s["layernorm1.bias"]


def check(net: Module, state: dict[str, np.ndarray]) -> None:
    x = np.random.default_rng(1).normal(size=(5, 2, 3, 2)).astype(np.float32)
    with net.evaluating(), no_grad():
        found = net(backend.get(net.device).asarray(x)).numpy()
    assert np.abs(found - expected(state, x)).max() < 1e-4


@pytest.mark.parametrize("device", ["cpu", "sim"])
def test_by_name(state: dict[str, np.ndarray], device: str) -> None:
    try:
        net = network(device)
    except DeviceError as error:
        pytest.skip(str(error))
    assert net.load_torch_state(state) == ([], [])
    check(net, state)
    kept = net.state_dict()
    assert np.array_equal(kept["dense1.weight"], state["dense1.weight"].T)
    assert np.array_equal(kept["conv1.weight"], state["conv1.weight"])


def test_the_order_of_the_names_does_not_matter(state: dict[str, np.ndarray]) -> None:
    net = network()
    net.load_torch_state(dict(reversed(state.items())))
    check(net, state)


@pytest.mark.parametrize("prefix", ["module.", "features.0."])
def test_by_order_where_names_differ(state: dict[str, np.ndarray], prefix: str) -> None:
    net = network()
    assert net.load_torch_state({prefix + name: a for name, a in state.items()}) == ([], [])
    check(net, state)


def test_a_square_weight_is_transposed_too() -> None:
    net = Sequential([Dense(2, use_bias=False)]).build((2,))
    net.load_torch_state({"0.weight": np.array([[1.0, 2.0], [3.0, 4.0]])})
    assert net.state_dict()["dense1.weight"].tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert net(np.array([[1.0, 10.0]], np.float32)).numpy().tolist() == [[21.0, 43.0]]


def test_a_layer_alone_and_parameters_of_ones_own() -> None:
    class Scale(Module):
        def create(self, x_shape: Any) -> None:
            self.gain = self.new_parameter("gain", (2, 3), "ones")

        def forward(self, x: Any) -> Any:
            return x * self.gain

    layer = Dense(2).build((3,))
    layer.load_torch_state({"weight": np.arange(6).reshape(2, 3), "bias": [5, 6]})
    assert layer.weight.numpy().tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert layer.bias.numpy().tolist() == [5.0, 6.0]
    net = Sequential([Scale()]).build((2, 3))
    net.load_torch_state({"0.scale": np.arange(6).reshape(2, 3)})
    assert net[0].gain.numpy().tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_a_file_of_safetensors(state: dict[str, np.ndarray], tmp_path: Path) -> None:
    safetensors.numpy.save_file(state, tmp_path / "net.safetensors")
    net = network()
    net.load_torch_state(tmp_path / "net.safetensors")
    check(net, state)
    with pytest.raises(DataError, match="cannot be read"):
        net.load_torch_state(tmp_path / "none.safetensors")
    (tmp_path / "net.pt").write_bytes(b"PK\x03\x04" * 20)
    with pytest.raises(DataError, match=r"no \.safetensors file"):
        net.load_torch_state(str(tmp_path / "net.pt"))


def test_a_file_does_not_keep_the_order(tmp_path: Path) -> None:
    """So layers that are called otherwise must be numbered, as in PyTorch's Sequential."""
    net = Sequential([Dense(2) for _ in range(11)]).build((2,))
    state = {f"{k}.weight": np.full((2, 2), k, np.float32) for k in range(11)}
    state |= {f"{k}.bias": np.full(2, -k, np.float32) for k in range(11)}
    safetensors.numpy.save_file(state, tmp_path / "net.safetensors")
    net.load_torch_state(tmp_path / "net.safetensors")
    assert [layer.weight.numpy()[0, 0] for layer in net] == list(range(11))
    assert [layer.bias.numpy()[0] for layer in net] == [-k for k in range(11)]


@pytest.mark.parametrize(
    ("names", "units", "is_known"),
    [
        (("stem", "head"), (3, 2), True),  # by the shapes
        (("zeta1", "zeta2"), (2, 2), True),
        (("a" + "9" * 5000, "b"), (3, 2), True),
        (("blocks.2", "blocks.10"), (2, 2), True),
        (("stage1.conv", "stage2.body"), (2, 2), True),
        (("body10", "tail", "body2"), (2, 3, 2), False),  # the shapes contradict the numbers
        (("zeta", "alpha"), (2, 2), False),
        (("alpha", "zeta"), (2, 2), False),
        (("encoder.0", "decoder.0"), (2, 2), False),
        (("features.1", "classifier.0"), (2, 2), False),
        (("stem", "0"), (2, 2), False),
        (("b.1", "b.0"), (3, 2), False),
    ],
)
def test_a_file_tells_the_order_by_shapes_and_numbers_alone(
    tmp_path: Path, names: tuple[str, ...], units: tuple[int, ...], is_known: bool
) -> None:
    net = Sequential([Dense(size) for size in units]).build((2,))
    sizes = zip((2, *units), units, strict=False)
    state = {
        f"{name}.{kind}": np.full(shape, k, np.float32)
        for k, (name, (given, size)) in enumerate(zip(names, sizes, strict=True))
        for kind, shape in (("weight", (size, given)), ("bias", (size,)))
    }
    safetensors.numpy.save_file(state, tmp_path / "net.safetensors")
    expected = list(range(len(units)))
    if is_known:
        net.load_torch_state(tmp_path / "net.safetensors")
        assert [layer.weight.numpy()[0, 0] for layer in net] == expected
    else:
        before = net.state_dict()
        with pytest.raises(WeightsMismatchError, match="does not keep the order"):
            net.load_torch_state(tmp_path / "net.safetensors")
        assert all(np.array_equal(before[path], a) for path, a in net.state_dict().items())
    net.load_torch_state(state)  # a dict keeps it
    assert [layer.weight.numpy()[0, 0] for layer in net] == expected


def test_the_order_does_not_override_names(tmp_path: Path) -> None:
    net = Sequential([Dense(2), Dense(2)]).build((2,))
    state = {
        "dense2.weight": np.zeros((2, 2), np.float32), "dense2.bias": np.zeros(2, np.float32),
        "first.weight": np.ones((2, 2), np.float32), "first.bias": np.ones(2, np.float32),
    }  # fmt: skip
    safetensors.numpy.save_file(state, tmp_path / "net.safetensors")
    for given in (state, tmp_path / "net.safetensors"):
        with pytest.raises(WeightsMismatchError, match=r"missing: dense1\.weight") as error:
            net.load_torch_state(given)
        assert "unexpected: first." in str(error.value.cause)
        assert "name all layers as there" in str(error.value.fix)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_names_of_wrappers_are_left_out(
    state: dict[str, np.ndarray], tmp_path: Path, prefix: str
) -> None:
    wrapped = {prefix + name: array for name, array in reversed(state.items())}
    safetensors.numpy.save_file(wrapped, tmp_path / "net.safetensors")
    for given in (wrapped, tmp_path / "net.safetensors"):
        net = network()
        net.load_torch_state(given)
        check(net, state)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(state: dict[str, np.ndarray], value: float) -> None:
    state["batchnorm1.running_var"][1] = value
    with pytest.raises(DivergedError, match="cannot be used") as error:
        network().load_torch_state(state)
    assert error.value.cause == "batchnorm1.running_var is not finite"


@pytest.mark.parametrize(("kind", "name"), [("BF16", "bfloat16"), ("F8_E4M3", "float8")])
def test_types_that_numpy_does_not_have(tmp_path: Path, kind: str, name: str) -> None:
    header = b'{"a.weight":{"dtype":"%s","shape":[4],"data_offsets":[0,4]}}' % kind.encode()
    header = header.replace(b"[4]", b"[2]") if kind == "BF16" else header
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(DtypeError) as error:
        network().load_torch_state(tmp_path / "a.safetensors")
    assert name in str(error.value.cause)  # with and without a package that adds the type
    assert ".float()" in str(error.value.fix)


def test_errors_list_what_differs_in_the_names_of_torch(state: dict[str, np.ndarray]) -> None:
    net = network()
    before = net.state_dict()
    wrong = {**state, "dense1.weight": np.zeros((4, 11), np.float32), "head.bias": np.zeros(3)}
    del wrong["conv1.bias"], wrong["batchnorm1.running_var"]
    with pytest.raises(WeightsMismatchError) as error:
        net.load_torch_state(wrong)
    assert error.value.cause == (
        "missing: conv1.bias, batchnorm1.running_var; unexpected: head.bias;"
        " wrong shape: dense1.weight is (4, 11) instead of (4, 12)"
    )
    assert "strict=False" in str(error.value.fix)
    assert all(np.array_equal(before[path], a) for path, a in net.state_dict().items())


def test_the_order_must_fit_in_kind_as_well_as_in_shape() -> None:
    net = Sequential([BatchNorm2d()]).build((2, 1, 1))
    names = ["0.bias", "0.weight", "0.running_mean", "0.running_var"]
    with pytest.raises(WeightsMismatchError, match="4 missing, 4 unexpected"):
        net.load_torch_state({name: np.ones(2) for name in names})


def test_not_strict(state: dict[str, np.ndarray]) -> None:
    net = network()
    before = net.state_dict()
    part = {name: a for name, a in state.items() if not name.startswith("dense1")}
    keys = net.load_torch_state({**part, "fc.weight": np.zeros((4, 12))}, strict=False)
    assert keys.missing_keys == ["dense1.weight", "dense1.bias"]
    assert keys.unexpected_keys == ["fc.weight"]
    assert np.array_equal(net.state_dict()["dense1.weight"], before["dense1.weight"])
    assert np.array_equal(net.state_dict()["conv1.weight"], state["conv1.weight"])
    with pytest.raises(WeightsMismatchError, match="of another shape"):
        net.load_torch_state({**part, "conv1.bias": np.zeros(4)}, strict=False)


@pytest.mark.parametrize("value", ["text", None, np.array(["a"]), [[1, 2], [3]], object()])
def test_what_is_no_array_is_named(state: dict[str, np.ndarray], value: Any) -> None:
    with pytest.raises(DtypeError, match=r"dense1\.bias"):
        network().load_torch_state({**state, "dense1.bias": value})


def test_what_is_no_state() -> None:
    with pytest.raises(UsageError, match="the state is a list"):
        network().load_torch_state([1, 2])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not built"):
        Sequential([Dense(3)]).load_torch_state({})


def test_the_order_goes_through_residual_blocks(rng: np.random.Generator) -> None:
    net = Residual(Conv2d(2, 1, use_bias=False), BatchNorm2d(), shortcut=Conv2d(2, 1)).build(
        (2, 3, 3)
    )
    there = {
        "conv1.weight": (2, 2, 1, 1), "bn1.weight": (2,), "bn1.bias": (2,),
        "bn1.running_mean": (2,), "bn1.running_var": (2,), "bn1.num_batches_tracked": (),
        "downsample.0.weight": (2, 2, 1, 1), "downsample.0.bias": (2,),
    }  # fmt: skip
    state = {name: rng.uniform(1, 2, shape) for name, shape in there.items()}
    net.load_torch_state(state)
    kept = net.state_dict()
    assert np.allclose(kept["body.batchnorm1.running_var"], state["bn1.running_var"])
    assert np.allclose(kept["shortcut.weight"], state["downsample.0.weight"])
