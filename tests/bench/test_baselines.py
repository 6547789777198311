"""PyTorch beside us is the same network in full float32, or an error that says what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn import models, nn
from gpucnn.autograd import Tensor
from gpucnn.backend.cpu.parallel import get_threads
from gpucnn.bench import baselines, networks
from gpucnn.bench.baselines import Torch
from gpucnn.errors import DeviceError, MissingExtraError, UsageError


@pytest.fixture(scope="module")
def torch() -> Torch:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return baselines.load(["torch"], backends.get("cpu"))["torch"]


@pytest.mark.parametrize("layout", Torch.layouts)
@pytest.mark.parametrize("name", models.NAMES)
def test_the_network_is_the_same(torch: Torch, name: str, layout: str, rng: Any) -> None:
    model = models.get(name).build((1, 28, 28), seed=1).eval()
    networks.leave_zero(model, rng)
    x = rng.random((3, 1, 28, 28), dtype=np.float32)
    theirs = torch.network(model, layout).eval()(torch.array(x, layout)).detach().numpy()
    np.testing.assert_allclose(theirs, model(Tensor(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_strides_padding_and_layers_without_bias(torch: Torch, rng: Any) -> None:
    model = nn.Sequential(
        [
            nn.Conv2d(3, 3, stride=2, padding=1, dilation=2, use_bias=False),
            nn.ReLU(),
            nn.MaxPool2d(2, stride=1),
            nn.Flatten(),
            nn.Dense(4, use_bias=False),
        ]
    ).build((2, 11, 11), seed=1)
    x = rng.standard_normal((2, 2, 11, 11), dtype=np.float32)
    theirs = torch.network(model)(torch.array(x)).detach().numpy()
    np.testing.assert_allclose(theirs, model(Tensor(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_the_weights_are_copies(torch: Torch) -> None:
    model = models.get("softmax").build((1, 28, 28))
    network = torch.network(model)
    network[1].weight.data.fill_(1.0)
    assert not model.state_dict()["dense1.weight"].any()


def test_a_layer_without_counterpart(torch: Torch) -> None:
    model = nn.Sequential([nn.BatchNorm2d()]).build((1, 4, 4))
    with pytest.raises(UsageError, match=r"batchnorm1 \(BatchNorm2d\) has no counterpart"):
        torch.network(model)


def test_layouts(torch: Torch, rng: Any) -> None:
    x = rng.random((2, 3, 4, 5), dtype=np.float32)
    assert torch.array(x).is_contiguous()
    assert torch.array(x, "channels_last").is_contiguous(memory_format=torch.torch.channels_last)
    with pytest.raises(UsageError, match="unknown layout 'nhwc'"):
        torch.array(x, "nhwc")
    assert baselines.layouts(torch, models.get("cnn")) == ("contiguous", "channels_last")
    assert baselines.layouts(torch, models.get("mlp")) == ("contiguous",)


def test_it_computes_as_we_do(torch: Torch) -> None:
    assert torch.torch.get_num_threads() == get_threads()
    assert not torch.torch.backends.cuda.matmul.allow_tf32
    assert not torch.torch.backends.cudnn.allow_tf32
    assert torch.torch.backends.cudnn.benchmark


def test_names() -> None:
    with pytest.raises(UsageError, match="unknown baseline 'pytorch'") as error:
        baselines.load(["pytorch"], backends.get("cpu"))
    assert "torch" in (error.value.fix or "")
    assert baselines.load([], backends.get("cpu")) == {}


def test_one_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError) as error:
        baselines.load(["torch"], backends.get("cpu"))
    assert "pip install torch" in (error.value.fix or "")


def test_one_that_cannot_use_the_gpu(torch: Torch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.torch.cuda, "is_available", lambda: False)

    class Gpu:
        name = "cuda:1"

    with pytest.raises(DeviceError, match="cannot use cuda:1"):
        Torch(Gpu())  # type: ignore[arg-type]


def test_installed_looks_without_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: asked.append(name))
    assert baselines.installed() == []
    assert asked == ["torch"]
