"""The parts of `prove.py`, tiny and on the CPU.

The programs that come with a GPU are stand-ins: they note their arguments and run their program.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from gpu.prove_runs import HERE, Done, prove, unpack
from kernel_variants import GPUS, Recorder

NAMES = (
    "environment", "warm", "instructions", "suite", "parity", "memcheck", "racecheck", "counters",
    "graph", "mnist", "train", "ops", "infer", "data", "memory",
)  # fmt: skip
RECORDS = """#!{python}
import os, subprocess, sys
with open({noted!r}, "a") as file:
    print({name!r}, *sys.argv[1:], file=file)
if sys.executable in sys.argv:
    code = subprocess.call(sys.argv[sys.argv.index(sys.executable):])
"""
SANITIZER = """
kind = sys.argv[sys.argv.index("--tool") + 1]
print({"memcheck": "========= ERROR SUMMARY: 0 errors",
       "racecheck": "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors)"}[kind])
sys.exit(code)
"""
NCU = """
columns = ("ID", "Process ID", "Kernel Name", "Block Size", "Grid Size", "Section Name",
           "Metric Name", "Metric Unit", "Metric Value", "Rule Name")
rows = [columns]
for i, kernel in enumerate(os.environ["KERNELS"].split()):
    name = kernel + "(const float *, float *, int)"
    row = (str(i), "7", name, "(256, 1, 1)", "(9, 2, 1)", "GPU Speed Of Light Throughput")
    rows += [(*row, "Duration", "us", "12.50", ""), (*row, "", "", "", "two,\\nlines")]
with open(sys.argv[sys.argv.index("--log-file") + 1], "w") as file:
    print("==PROF== Connected to process 7", file=file)
    for row in rows:
        print(",".join('"' + cell + '"' for cell in row), file=file)
    print("==PROF== Disconnected", file=file)
sys.exit(code)
"""
SMI = "print('NVIDIA Stand-in, 580.159.04, 143771 MiB')\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins on the PATH; the file in which they note their arguments, a call in a line."""
    noted, folder = tmp_path / "noted", tmp_path / "bin"
    folder.mkdir()
    for name, rest in (("nvidia-smi", SMI), ("compute-sanitizer", SANITIZER), ("ncu", NCU)):
        text = RECORDS.format(python=sys.executable, noted=str(noted), name=name) + rest
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.syspath_prepend(str(HERE))
    from counters import EXPECTED

    monkeypatch.setenv("KERNELS", " ".join(EXPECTED))
    return noted


def prove_parts(out: Path, *options: str) -> Done:
    options = ("--quick", "--data", "digits", "--seconds", "1800", "--out", str(out), *options)
    done = prove(*options, GPUCNN_NUMBA="0")  # no time for compiling
    return Done(done.returncode, done.stdout + done.stderr, unpack(out))


@pytest.mark.slow
def test_every_part_runs(tmp_path: Path, tools: Path) -> None:
    # `ops` and `infer` are the command of `data`, and take longer.
    names = [name for name in NAMES if name not in ("ops", "infer")]
    only = ("--only", ",".join(names))
    done = prove_parts(tmp_path / "record.tgz", "--device", "cpu", *only)
    assert list(done.parts) == names
    assert done.states == ["passed"] * len(names), done.out
    assert done.code == 0
    assert done.parts["suite"]["tests"]["failures"] == 0
    for name in ("environment", "parity", "graph", "mnist", "memory"):
        found = json.loads(done.files[f"{name}.json"])
        assert found["date"]
        assert found["backend"]["device"] == "cpu"
        assert found["nvidia_smi"].startswith("NVIDIA Stand-in")
    assert "it proves nothing of a GPU" in done.files["summary.txt"]
    launches = json.loads(done.files["counters.json"])["launches"]
    assert launches[1]["metrics"] == {"Duration": ["12.50", "us"]}
    for name in ("train", "data"):
        assert json.loads(done.files[f"{name}.json"])["complete"]
    calls = [line.split() for line in tools.read_text().splitlines()]
    sanitized = [call for call in calls if call[0] == "compute-sanitizer"]
    assert [call[call.index("--tool") + 1] for call in sanitized] == ["memcheck", "racecheck"]
    assert all(call[1:3] == ["--report-api-errors", "no"] for call in sanitized)
    (counted,) = (call for call in calls if call[0] == "ncu")
    assert counted[counted.index("--clock-control") + 1] == "none"
    assert counted[counted.index("--kernel-name") + 1].startswith("regex:")
    assert "--launch-count" not in counted


@pytest.mark.slow
def test_the_kernels_are_compiled_and_run(tmp_path: Path, tools: Path) -> None:
    done = prove_parts(tmp_path / "record.tgz", "--device", "sim", "--only", "warm,instructions")
    assert done.states == ["passed"] * 2, done.out
    assert json.loads(done.files["warm.json"])["kernels"] == 2
    assert done.parts["instructions"]["tests"]["tests"] >= 6


@pytest.mark.slow
def test_counters_of_other_kernels_fail(
    tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELS", "conv2d_forward_naive matmul_tiled")
    options = ("--device", "cpu", "--only", "counters")
    done = prove_parts(tmp_path / "record.tgz", *options)
    assert done.states == ["failed"]
    assert "FAILED: no counters of conv2d_forward_tiled" in done.files["counters.log"]
    assert "no counters of matmul_tiled" not in done.files["counters.log"]


@pytest.mark.slow
def test_without_the_device_every_part_fails(tmp_path: Path) -> None:
    only = ("environment", "instructions", "suite")
    done = prove_parts(tmp_path / "record.tgz", "--device", "cuda:9999", "--only", ",".join(only))
    assert done.code == 1
    assert done.states == ["failed"] * len(only)
    assert any("cuda:9999" in line for line in done.parts["environment"]["tail"])
    for name in ("instructions", "suite"):  # a test that did not run proves nothing
        assert done.parts[name]["reason"].startswith("skipped: cuda:9999")


@pytest.mark.parametrize("multiprocessors", GPUS)
def test_the_kernels_that_are_counted_are_those_that_the_layers_launch(
    tools: Path, multiprocessors: int
) -> None:
    import layers
    from counters import EXPECTED

    from gpucnn.backend.cuda.backend import CudaBackend
    from gpucnn.backend.simulator import xp

    recorder = Recorder(multiprocessors)
    backend = CudaBackend("sim", xp, recorder)
    with backend.quiet_device():
        layers.run(backend, 128)
    launched = {variant.kernel for variant in recorder.variants}
    assert set(EXPECTED) <= launched
    assert {name for name in launched if "tiled" in name} <= set(EXPECTED)


class Options(NamedTuple):
    device: str = "cuda"
    data: str = "/mnist"
    quick: bool = False


def test_several_processes_only_with_xdist(
    monkeypatch: pytest.MonkeyPatch, tools: Path, tmp_path: Path
) -> None:
    import parts

    def suite() -> list[str]:
        return parts.parts(Options(), tmp_path)["suite"].command  # type: ignore[arg-type]

    monkeypatch.setattr(parts.os, "cpu_count", lambda: 16)
    monkeypatch.setattr(parts.importlib.util, "find_spec", lambda name: object())
    command = suite()
    assert command[command.index("-n") + 1] == "8"
    assert command.count("-n") == 1
    assert "no:benchmark" in command
    monkeypatch.setattr(parts.importlib.util, "find_spec", lambda name: None)
    assert "-n" not in suite()


def test_all_parts_have_the_data_and_the_time(tools: Path, tmp_path: Path) -> None:
    import parts

    found = parts.parts(Options(), tmp_path)  # type: ignore[arg-type]
    assert tuple(found) == NAMES
    assert sum(part.share for part in found.values()) == 540  # shares are seconds of the default
    for part in found.values():
        command = [str(word) for word in part.command]
        assert "digits" not in command
        assert "/mnist" in command or "pytest" in command
