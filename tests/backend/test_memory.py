"""The error where the host has no room: what was asked for, what is free, what would fit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import run_python

from gpucnn import backend, data, models
from gpucnn.autograd import Tensor
from gpucnn.backend.cpu import memory
from gpucnn.errors import OutOfMemoryError
from gpucnn.training import TrainConfig, evaluate, evaluation, fit

STATUS = "Name:\tpython\nVmSize:\t  9000 kB\nVmData:\t  5000 kB\nRssAnon:\t    4000 kB\n"
MEMINFO = "MemTotal:  100000 kB\nMemFree: 1 kB\nMemAvailable:   70000 kB\nHugePages_Total: 0\n"


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text(STATUS)
    (tmp_path / "meminfo").write_text(MEMINFO)
    return tmp_path


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The limits of this process by their kinds; by default there are none."""
    resource = pytest.importorskip("resource")
    found: dict[int, int] = {}
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (found.get(kind, resource.RLIM_INFINITY), 0)
    )
    return found


def numpy_error() -> MemoryError:
    with pytest.raises(MemoryError) as caught:
        np.empty((1 << 20, 1 << 20))
    return caught.value


def test_the_memory_of_the_machine(proc: Path, limits: dict[int, int]) -> None:
    assert memory.usage() == (4000 * 1024, 70000 * 1024, 100000 * 1024)


@pytest.mark.parametrize(("kind", "used"), [("RLIMIT_DATA", 5000), ("RLIMIT_AS", 9000)])
def test_a_limit_of_the_process(proc: Path, limits: dict[int, int], kind: str, used: int) -> None:
    import resource

    limits[getattr(resource, kind)] = 20000 * 1024
    assert memory.usage() == (4000 * 1024, (20000 - used) * 1024, 20000 * 1024)
    limits[getattr(resource, kind)] = 1024  # less than is in use
    assert memory.usage() == (4000 * 1024, 0, 1024)


def test_the_limit_of_a_container(proc: Path, limits: dict[int, int]) -> None:
    machine = memory.usage()
    (proc / "memory.max").write_text("max\n")
    (proc / "memory.current").write_text("900\n")
    (proc / "memory.stat").write_text("anon 1\ninactive_file 50\n")
    assert memory.usage() == machine
    for limit, free in ((1000, 150), (800, 0)):
        (proc / "memory.max").write_text(f"{limit}\n")
        assert memory.usage() == (4000 * 1024, free, limit)


def test_the_memory_of_this_machine() -> None:
    found = memory.usage()
    assert found is None or 1 << 20 < found.free <= found.total


def test_the_error_says_what_was_asked_for(proc: Path, limits: dict[int, int]) -> None:
    error = memory.out_of_memory(numpy_error())
    assert error.message == "an array of (1048576, 1048576) does not fit into memory"
    asked, rest = str(error.cause).split(" were asked for, ")
    assert asked == "8,796,093 MB"
    assert rest == "72 MB of 102 MB are free, 4 MB are held by this process"
    assert error.fix == "use a smaller model, batch or data set"
    assert memory.out_of_memory(error) is error


def test_an_error_without_a_size(proc: Path, limits: dict[int, int]) -> None:
    """As of Numba, and of Python."""
    error = memory.out_of_memory(MemoryError())
    assert error.cause == "72 MB of 102 MB are free, 4 MB are held by this process"
    assert error.fitting(9) == 4
    assert error.fitting(1) == 1


def test_another_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    assert memory.out_of_memory(MemoryError()).cause is None
    error = memory.out_of_memory(numpy_error())
    assert str(error.cause).endswith(" MB were asked for")
    error.suggest_batch(64)
    assert error.fix == "give --batch-size 32, or less"
    error.suggest_batch(1)
    assert error.fix == "use a smaller model"


def _fails(*_: Any, **__: Any) -> None:
    np.empty((1 << 20, 1 << 20))


@pytest.mark.parametrize(
    "place", ["_softmax_cross_entropy_forward", "_softmax_cross_entropy_backward", "_gather"]
)
def test_training_names_a_batch(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setattr(type(backend.get("cpu")), place, _fails)
    config = TrainConfig(batch_size=40, epochs=1, device="cpu", validation=0)
    with pytest.raises(OutOfMemoryError, match="does not fit into memory") as caught:
        fit(models.get("softmax"), data.load("digits"), config)
    assert str(caught.value.fix).startswith("give --batch-size ")


def test_evaluation_and_own_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.get("softmax").build((1, 28, 28), device="cpu")
    test = data.load("digits").test
    assert test is not None
    inputs = Tensor(test.images.astype(np.float32))
    loss = model(inputs).sum()
    cpu = type(backend.get("cpu"))
    monkeypatch.setattr(cpu, "_softmax_cross_entropy_forward", _fails)
    with pytest.raises(OutOfMemoryError) as caught:
        evaluate(model, test, batch_size=50)
    assert str(caught.value.fix).startswith("from Python, evaluate(..., batch_size=")
    monkeypatch.setattr(cpu, "_matmul", _fails)
    with pytest.raises(OutOfMemoryError, match="does not fit into memory"):
        loss.backward()
    with pytest.raises(OutOfMemoryError, match="does not fit into memory"):
        model(inputs)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="another system counts other memory")
def test_under_a_real_limit() -> None:
    done = run_python(
        "import resource, numpy as np\n"
        "from gpucnn import models\n"
        "from gpucnn.autograd import Tensor\n"
        "model = models.get('cnn').build((1, 28, 28), device='cpu')\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (500 * 10**6,) * 2)\n"
        "try:\n"
        "    model(Tensor(np.zeros((20_000, 1, 28, 28), np.float32)))\n"
        "except MemoryError as error:\n"
        "    print(error.cause)\n"
    )
    assert "of 500 MB are free" in done.stdout, done.stderr


@pytest.mark.parametrize("place", ["_gather", "_matmul"])
def test_predictions_name_no_batch(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Only a training has an option for it."""
    model = models.get("softmax").build((1, 28, 28), device="cpu")
    test = data.load("digits").test
    assert test is not None
    monkeypatch.setattr(type(backend.get("cpu")), place, _fails)
    with pytest.raises(OutOfMemoryError) as caught:
        evaluation.predict(model, test, 1 / 255, 0.0)
    assert caught.value.fix == "let this process have more memory, or use a smaller model"
    loader = data.Loader(test, 50, backend.get("cpu"), shuffle=False)
    with pytest.raises(OutOfMemoryError) as caught:
        evaluation.evaluate_batches(model, loader, "softmax_cross_entropy")
    assert "--" not in str(caught.value.fix)
