"""Fixtures that all tests share: the backends under test, real MNIST, hypothesis' profile.

A test that takes ``backend`` runs on the CPU with NumPy and with compiled kernels, and on the
simulator, or on the devices named: ``pytest --device cuda --device cpu``. One that this machine
does not have is skipped with its reason. The simulator runs the kernels under UBSan, unless
GPUCNN_SIM_SANITIZE says otherwise.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

import gpucnn.backend
from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.errors import DeviceError

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("GPUCNN_SIM_SANITIZE", "undefined")

hypothesis.settings.register_profile(
    "gpucnn", derandomize=True, deadline=None, max_examples=80, database=None
)
hypothesis.settings.load_profile("gpucnn")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        action="append",
        default=None,
        help="a backend to test: cpu, compiled, sim, cuda, cuda:1; may be given several times",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    devices = metafunc.config.getoption("--device") or ["cpu", "compiled", "sim"]
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", devices, indirect=True, scope="session")
    if "gpu" in metafunc.fixturenames:
        kernels = [device for device in devices if device not in _ON_CPU] or ["sim"]
        metafunc.parametrize("gpu", kernels, indirect=True, scope="session")


def pytest_collection_finish() -> None:
    """All that the garbage collector need not look at again: it runs often, also in tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Any:
    """A backend under test; arrays go in by ``asarray`` and come back by ``to_numpy``."""
    return _ON_CPU[request.param]() if request.param in _ON_CPU else _get(request.param)


@pytest.fixture(autouse=True)
def computed_by_the_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """While a test of ``backend`` runs, and no longer, NumPy arrays are computed by it."""
    with pytest.MonkeyPatch.context() as patch:
        if "backend" in request.fixturenames:
            under_test = request.getfixturevalue("backend")
            if under_test.name == "cpu":
                patch.setattr(gpucnn.backend, "_cpu", lambda: under_test)
        yield


@pytest.fixture(scope="session")
def gpu(request: pytest.FixtureRequest) -> Any:
    """A backend that runs the kernels, for tests of theirs alone."""
    return _get(request.param)


def _compiled() -> Any:
    pytest.importorskip("numba", reason="the extra `fast` is not installed")
    from gpucnn.backend.numba.backend import CompiledBackend

    return CompiledBackend()


_ON_CPU: dict[str, Callable[[], Any]] = {"cpu": CpuBackend, "compiled": _compiled}


def _get(device: str) -> Any:
    try:
        return gpucnn.backend.get(device)
    except DeviceError as error:
        pytest.skip(f"{device}: {error}")


@pytest.fixture
def rng() -> np.random.Generator:
    """Numbers that are the same in every run, whichever tests are selected."""
    return np.random.default_rng(42)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """A floating type that every primitive takes."""
    return request.param


@pytest.fixture
def threads() -> Iterator[Any]:
    """``gpucnn.backend.cpu`` to set the number of threads on; put back afterwards."""
    from gpucnn.backend.cpu import parallel as cpu

    before = cpu.get_threads()
    yield cpu
    cpu.set_threads(before)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing that says nothing and takes no time."""
    from gpucnn.bench import ceilings, stopwatch

    monkeypatch.setattr(stopwatch, "_SETTLE", 1e-9)
    monkeypatch.setattr(stopwatch, "_STRETCH", 1e-9)
    monkeypatch.setattr(stopwatch.gc, "collect", lambda: 0)  # before each timing: most of its time
    monkeypatch.setattr(ceilings, "_GEMM", 16)
    monkeypatch.setattr(ceilings, "_COPY_BYTES", 1 << 12)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder with the four files of real MNIST, which lies beside the repository."""
    folder = ROOT.parent / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("real MNIST is not beside the repository (../shared/data/mnist)")
    return folder
