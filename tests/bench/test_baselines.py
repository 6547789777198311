"""PyTorch beside us is the same network in full float32, or an error that says what is missing."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn import models
from gpucnn.autograd import Tensor
from gpucnn.backend.cpu.parallel import get_threads
from gpucnn.bench import baselines, networks
from gpucnn.bench.baselines import Torch
from gpucnn.errors import DeviceError, MissingExtraError


@pytest.fixture(scope="module")
def torch() -> Torch:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return Torch(backends.get("cpu"))


@pytest.mark.parametrize("layout", Torch.layouts)
@pytest.mark.parametrize("name", models.NAMES)
def test_the_network_is_the_same(torch: Torch, name: str, layout: str, rng: Any) -> None:
    model = models.get(name).build((1, 28, 28), seed=1).eval()
    networks.replace_zeros(model, rng)
    x = rng.random((3, 1, 28, 28), dtype=np.float32)
    theirs = torch.network(model, layout).eval()(torch.array(x, layout)).detach().numpy()
    np.testing.assert_allclose(theirs, model(Tensor(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_the_weights_are_copies(torch: Torch) -> None:
    model = models.get("softmax").build((1, 28, 28))
    network = torch.network(model)
    network[1].weight.data.fill_(1.0)
    assert not model.state_dict()["dense1.weight"].any()


def test_layouts(torch: Torch, rng: Any) -> None:
    x = rng.random((2, 3, 4, 5), dtype=np.float32)
    assert torch.array(x).is_contiguous()
    assert torch.array(x, "channels_last").is_contiguous(memory_format=torch.torch.channels_last)


def test_it_computes_as_we_do(torch: Torch) -> None:
    assert torch.torch.get_num_threads() == get_threads()
    assert not torch.torch.backends.cuda.matmul.allow_tf32
    assert not torch.torch.backends.cudnn.allow_tf32
    assert torch.torch.backends.cudnn.benchmark


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError) as error:
        Torch(backends.get("cpu"))
    assert "pip install torch" in (error.value.fix or "")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("libcudart.so.13: cannot open shared object file"), "cannot be imported"),
        (ImportError("libtorch_cuda.so: undefined symbol"), "cannot be imported"),
        (ModuleNotFoundError("No module named 'torch'"), "is not installed"),
    ],
)
def test_a_pytorch_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def import_module(name: str) -> Any:
        raise error

    monkeypatch.setattr(baselines.importlib, "import_module", import_module)
    with pytest.raises(MissingExtraError, match=f"torch {said}") as caught:
        Torch(backends.get("cpu"))
    assert caught.value.cause == str(error)


class Gpu:
    name = "cuda:1"


@pytest.mark.parametrize(
    ("cuda", "available", "error", "cause"),
    [
        (None, False, None, "it was built without CUDA"),
        ("13.0", False, None, "it finds no GPU and driver that it supports"),
        ("13.0", True, RuntimeError("no kernel image\nmore"), "no kernel image"),
        ("13.0", True, AssertionError("not compiled for it"), "not compiled for it"),
        ("13.0", True, AssertionError(), "AssertionError"),
    ],
)  # fmt: skip
def test_a_pytorch_that_cannot_use_the_gpu(
    torch: Torch,
    monkeypatch: pytest.MonkeyPatch,
    cuda: str | None,
    available: bool,
    error: Exception | None,
    cause: str,
) -> None:
    def ones(*shape: int, device: str) -> Any:
        assert device == "cuda:1"
        raise error or AssertionError("it computes")

    monkeypatch.setattr(torch.torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.torch, "ones", ones)
    with pytest.raises(DeviceError, match="cannot use cuda:1") as caught:
        Torch(Gpu())  # type: ignore[arg-type]
    assert caught.value.cause == cause


def test_a_pytorch_that_computes_has_no_problem(
    torch: Torch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.torch.cuda, "is_available", lambda: True)
    assert torch._gpu_problem() is None  # it computes on its own device, the CPU
