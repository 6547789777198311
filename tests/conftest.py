"""Fixtures that all tests share: the backends under test, real MNIST, hypothesis' profile.

A test that takes ``backend`` runs on the CPU with NumPy and with compiled kernels, and on the
simulator, or on the devices named: ``pytest --device cuda --device cpu``. One that this machine
does not have is skipped with its reason. The simulator runs the kernels under UBSan, unless
GPUCNN_SIM_SANITIZE says otherwise.
"""

from __future__ import annotations

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

# Files whose tests run measurements: all of them are slow.
MEASURING = [
    "bench/test_loading.py", "bench/test_operations.py", "bench/test_processes.py",
    "bench/test_session.py", "bench/test_networks.py", "cli/test_bench.py",
]  # fmt: skip


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


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    measuring = {ROOT / "tests" / name for name in MEASURING}
    if missing := [str(path) for path in measuring if not path.exists()]:
        raise pytest.UsageError(f"MEASURING names files that are not there: {missing}")
    for item in items:
        if item.path in measuring:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A backend under test; arrays go in by ``asarray`` and come back by ``to_numpy``."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param in _ON_CPU:  # NumPy arrays are computed by the one under test
            on_cpu = _ON_CPU[request.param]()
            patch.setattr(gpucnn.backend, "_cpu", lambda: on_cpu)
            yield on_cpu
        else:
            yield _get(request.param)


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
