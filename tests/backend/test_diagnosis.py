"""What is said of a machine on which CUDA cannot be used: each cause with its fix."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from processes import run_python

from gpucnn.backend.cuda import diagnosis
from gpucnn.backend.cuda.diagnosis import cuda_facts, cuda_problem


class CudaError(RuntimeError):
    """Of a CUDA call that failed; `status` as in the runtime's header."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Runtime:
    """A machine with GPUs: (name, compute capability) of each."""

    CUDARuntimeError = CudaError

    def __init__(self, *gpus: tuple[str, int], version: int = 12090, fails: int = 0) -> None:
        self.gpus, self.version, self.fails = gpus, version, fails
        self.device = 0

    def getDeviceCount(self) -> int:
        if self.fails:
            raise CudaError(self.fails, f"cudaError{self.fails}: it is said")
        return len(self.gpus)

    def getDeviceProperties(self, index: int) -> dict[str, Any]:
        name, capability = self.gpus[index]
        return {"name": name.encode(), "major": capability // 10, "minor": capability % 10}

    def runtimeGetVersion(self) -> int:
        return self.version

    def getDevice(self) -> int:
        return self.device

    def setDevice(self, index: int) -> None:
        self.device = index

    def memGetInfo(self) -> tuple[int, int]:
        return (self.device + 1) << 30, 80 << 30


def no_library() -> tuple[int, int]:
    raise OSError("libnvrtc.so.12: no such file")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets up what is found on a machine; without arguments all is well, with one H200."""

    def set_up(
        *,
        driver: int | None = 12090,
        packages: dict[str, str] | None = None,
        importable: bool = True,
        runtime: Any = None,
        nvrtc: tuple[int, ...] | None = (70, 90, 120),
        headers: str | None = "/include",
    ) -> None:
        found = {"cupy-cuda12x": "14.2.0"} if packages is None else packages
        bindings = (
            runtime or Runtime(("H200", 90)),
            SimpleNamespace(
                getVersion=no_library if nvrtc is None else lambda: (12, 9),
                getSupportedArchs=lambda: nvrtc,
            ),
        )
        monkeypatch.setattr(diagnosis, "_driver_version", lambda: driver)
        monkeypatch.setattr(diagnosis, "_cupy_packages", lambda: found)
        monkeypatch.setattr(diagnosis, "_headers", lambda: headers)
        monkeypatch.setattr(diagnosis.importlib.util, "find_spec", lambda name: importable or None)
        monkeypatch.setattr(diagnosis, "_import_cuda", lambda: bindings)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return set_up


def test_nothing_is_wrong(machine: Any) -> None:
    machine()
    assert cuda_problem() is None
    machine(runtime=Runtime(("H200", 90), ("V100", 70)))
    assert cuda_problem(1) is None


def test_a_gpu_newer_than_nvrtc_is_no_problem(machine: Any) -> None:
    machine(runtime=Runtime(("R100", 140)))
    assert cuda_problem() is None


V100, K80, H200 = ("V100", 70), ("K80", 37), ("H200", 90)
CAUSES = [
    ({"driver": None}, "no NVIDIA driver", "install NVIDIA's driver"),
    (
        {"importable": False, "packages": {}},
        "CuPy is not installed",
        'pip install "gpucnn[cuda12]"',
    ),
    (
        {"importable": False, "packages": {}, "driver": 13000},
        "CuPy is not installed",
        'pip install "gpucnn[cuda13]"',
    ),
    (
        {"packages": {"cupy-cuda12x": "14.2.0", "cupy-cuda13x": "14.2.0"}},
        "cupy-cuda12x and cupy-cuda13x are installed together",
        'pip uninstall -y cupy-cuda12x cupy-cuda13x && pip install "gpucnn[cuda12]"',
    ),
    (
        {"packages": {"cupy-cuda12x": "13.6.0"}},
        "cupy-cuda12x 13.6.0 is too old",
        'pip install --upgrade "cupy-cuda12x>=14"',
    ),
    (
        {"driver": 11040, "runtime": Runtime(fails=35)},
        "driver is too old: it is for CUDA 11.4, CuPy was built for CUDA 12.9",
        "install a driver for CUDA 12.9",
    ),
    (
        {
            "driver": 12040,
            "runtime": Runtime(fails=35, version=13000),
            "packages": {"cupy-cuda13x": "14.2.0"},
        },
        "CuPy was built for CUDA 13.0",
        'or: pip uninstall -y cupy-cuda13x && pip install "gpucnn[cuda12]"',
    ),
    ({"runtime": Runtime(fails=100)}, "a driver but no GPU", "nvidia-smi"),
    ({"runtime": Runtime()}, "a driver but no GPU", "nvidia-smi"),
    ({"runtime": Runtime(fails=803)}, "cudaError803: it is said", "nvidia-smi"),
    ({"nvrtc": None}, "NVRTC", 'pip install "gpucnn[cuda12]"'),
    (
        {"nvrtc": None, "runtime": Runtime(H200, version=13000)},
        "NVRTC",
        'pip install "gpucnn[cuda13]"',
    ),
    ({"headers": None}, "the CUDA headers", 'pip install "gpucnn[cuda12]"'),
    ({"runtime": Runtime(K80)}, "K80 has compute capability 3.7", "--device cpu"),
    (
        {"runtime": Runtime(V100), "nvrtc": (75, 90), "packages": {"cupy-cuda13x": "14.2.0"}},
        "V100 has compute capability 7.0; NVRTC 12.9 compiles for 7.5",
        'pip uninstall -y cupy-cuda13x && pip install "gpucnn[cuda12]"',
    ),
]


@pytest.mark.parametrize(("found", "cause", "fix"), CAUSES)
def test_a_cause_has_its_fix(machine: Any, found: dict[str, Any], cause: str, fix: str) -> None:
    machine(**found)
    problem = cuda_problem()
    assert problem is not None
    assert cause in problem.cause
    assert fix in problem.fix


def test_a_gpu_that_is_not_there_names_those_that_are(machine: Any) -> None:
    machine(runtime=Runtime(H200, V100))
    problem = cuda_problem(2)
    assert problem is not None
    assert "2" in problem.cause
    assert problem.fix == "choose one of cuda:0 (H200), cuda:1 (V100)"


def test_hidden_gpus_are_pointed_out(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(runtime=Runtime(fails=100))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    problem = cuda_problem()
    assert problem is not None
    assert "CUDA_VISIBLE_DEVICES is ''" in problem.cause
    assert "unset CUDA_VISIBLE_DEVICES" in problem.fix


def test_a_broken_cupy_is_one_line(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine()

    def broken() -> Any:
        raise ImportError("\nnumpy has the wrong version\nand much more")

    monkeypatch.setattr(diagnosis, "_import_cuda", broken)
    problem = cuda_problem()
    assert problem is not None
    assert problem.cause == "CuPy cannot be imported: numpy has the wrong version"
    assert "wrong version" in cuda_facts()["cupy"]


@pytest.mark.parametrize("found", [{}, *(found for found, _, _ in CAUSES)])
def test_facts_can_always_be_told(machine: Any, found: dict[str, Any]) -> None:
    machine(**found)
    facts = cuda_facts()
    assert {"driver", "cupy", "cache"} <= set(facts)
    assert all(isinstance(fact, str) and fact and "\n" not in fact for fact in facts.values())


def test_facts_of_a_good_machine(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", "/nowhere")
    machine(runtime=Runtime(H200, V100))
    assert cuda_facts() == {
        "driver": "for CUDA 12.9",
        "cupy": "cupy-cuda12x 14.2.0",
        "runtime": "CUDA 12.9",
        "nvrtc": "12.9",
        "headers": "/include",
        "gpu:0": "H200, compute capability 9.0, 1.0 of 80.0 GiB free",
        "gpu:1": "V100, compute capability 7.0, 2.0 of 80.0 GiB free",
        "cache": "/nowhere (0 files, 0.0 MiB)",
    }


def test_on_this_machine_nothing_is_printed_and_little_is_loaded() -> None:
    code = (
        "import sys\n"
        "from gpucnn.backend.cuda import diagnosis\n"
        "problem = diagnosis.cuda_problem()\n"
        "there = diagnosis._driver_version() is not None\n"
        "assert there or 'cupy' not in sys.modules\n"
        "assert there or problem.cause and problem.fix\n"
        "diagnosis.cuda_facts()"
    )
    done = run_python(code, PYTHONWARNINGS="error")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_packages_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["cupy-cuda12x", "numpy", "cupy_xarray", "cupy-rocm-7-0", "cupy", "cupy-cuda12x"]
    monkeypatch.setattr(
        diagnosis.metadata,
        "distributions",
        lambda: [SimpleNamespace(metadata={"Name": name}) for name in names],
    )
    monkeypatch.setattr(diagnosis.metadata, "version", lambda name: "14.0")
    assert list(diagnosis._cupy_packages()) == ["cupy", "cupy-cuda12x", "cupy-rocm-7-0"]
