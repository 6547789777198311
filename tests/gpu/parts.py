"""The parts of `prove.py`: what each one runs, and its share of the time."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent

_SANITIZE = ("compute-sanitizer", "--report-api-errors", "no", "--error-exitcode", "9", "--tool")
_TEST_PROCESSES = 8


class Part(NamedTuple):
    """One process."""

    what: str
    share: int  # of the time, beside the shares of the other parts
    command: list[str]
    needs: str | None = None  # a program that must be on the PATH
    proof: str | None = None  # a regular expression: the log of a part that passed has a match
    report: Path | None = None  # the file of pytest that counts the tests


def parts(args: argparse.Namespace, folder: Path) -> dict[str, Part]:
    """By name, in their order: what counts most comes first.

    Args:
        args: the options of `prove.py`.
        folder: for the files that the parts write.
    """
    common = ["--device", args.device, "--out", str(folder), "--data", args.data]
    common += ["--quick"] * args.quick

    def script(name: str, *options: str) -> list[str]:
        return [sys.executable, str(HERE / f"{name}.py"), *common, *options]

    def tests(name: str, what: str, share: int, *options: str) -> Part:
        report = folder / f"{name}.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "", "--device", args.device]
        command += ["--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}"]
        return Part(what, share, [*command, *options], report=report)

    def sanitizer(tool: str, what: str, proof: str) -> Part:
        command = [*_SANITIZE, tool, *script("once")]
        return Part(what, 30, command, needs="compute-sanitizer", proof=proof)

    def bench(what: str) -> list[str]:
        options = ["--device", args.device, "--save", str(folder / f"{what}.json")]
        options += ["--suite", "quick" if args.quick else "mnist", "--seconds", "0.1"]
        options += ["--data-dir", args.data] if args.data != "digits" else []
        return [sys.executable, "-m", "gpucnn", "bench", what, *options]

    few = ["tests/backend/test_relu.py"] if args.quick else ["tests"]
    return {
        "environment": Part("versions, and what is missing", 20, script("environment")),
        "warm": Part("compiles all kernels, in parallel", 45, script("warm")),
        "instructions": tests(
            "instructions", "tensor cores and asynchronous copies", 20,
            str(HERE / "test_instructions.py"),
        ),
        "suite": tests(
            "suite", "the tests that use a device", 130,
            *_processes(), "-p", "gpu.device_tests", *few,
        ),
        "parity": Part("20 training steps against the CPU", 35, script("parity")),
        "memcheck": sanitizer("memcheck", "accesses out of bounds", r"ERROR SUMMARY: 0 errors"),
        "racecheck": sanitizer(
            "racecheck", "races in shared memory", r"RACECHECK SUMMARY: 0 hazards"
        ),
        "counters": Part("hardware counters of the layers", 40, script("counters"), needs="ncu"),
        "graph": Part("training steps as graphs: bits and time", 15, script("graph")),
        "mnist": Part("accuracy, and the same bytes twice", 45, script("mnist")),
        "train": Part("training steps beside PyTorch", 45, script("train")),
        "ops": Part("primitives beside PyTorch", 45, bench("ops")),
        "infer": Part("inference beside PyTorch", 15, bench("infer")),
        "data": Part("loading beside PyTorch", 10, bench("data")),
        "memory": Part("memory over 1,000 steps", 15, script("memory")),
    }  # fmt: skip


def _processes() -> list[str]:
    """Options of pytest for several processes, if pytest-xdist is installed.

    pytest-benchmark warns where it meets pytest-xdist, and warnings are errors here.
    """
    if importlib.util.find_spec("xdist") is None:
        return []
    return ["-n", str(min(_TEST_PROCESSES, os.cpu_count() or 1)), "-p", "no:benchmark"]
