"""All that only a machine with a GPU can show, in one run of about nine minutes.

    python tests/gpu/prove.py --out record --data path/to/mnist
    python tests/gpu/prove.py --only backend,parity
    python tests/gpu/prove.py --device cpu --quick        tries the parts out, proves nothing

Each part is a process with a time limit of its own; one that fails does not stop the others. What
they print goes to the terminal and to OUT/PART.log, what they measure to OUT/PART.json, and what
became of them to OUT/summary.json and OUT/summary.txt.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import record

HERE, ROOT = Path(__file__).resolve().parent, record.ROOT
MNIST = ROOT.parent / "shared" / "data" / "mnist"


class Part(NamedTuple):
    """One process."""

    what: str
    seconds: int  # at most
    command: list[str]  # of Python, or of the tool that `needs` names
    needs: str | None = None  # a program, without which the part is left out


def parts(args: argparse.Namespace) -> dict[str, Part]:
    """By name, in their order: what counts most comes first."""

    def script(name: str, *extra: str) -> list[str]:
        options = ["--device", args.device, "--out", str(args.out)]
        options += ["--data", str(args.data)] if args.data else []
        options += ["--quick"] if args.quick else []
        return [str(HERE / f"{name}.py"), *options, *extra]

    def tests(name: str, *what: str) -> list[str]:
        report = f"--junitxml={args.out / name}.xml"
        return ["-m", "pytest", "-q", "-m", "", "--device", args.device, report, *what]

    def bench(what: str) -> list[str]:
        options = ["--device", args.device, "--save", str(args.out / f"{what}.json")]
        options += (
            ["--suite", "quick"] if args.quick else ["--suite", "deepbench", "--seconds", "0.1"]
        )
        options += ["--data-dir", str(args.data)] if args.data else []
        return ["-m", "gpucnn", "bench", what, *options]

    once = [sys.executable, *script("once")]
    sanitize = ["compute-sanitizer", "--error-exitcode", "9", "--tool"]
    small = [*once, "--quick"]
    counters = ["ncu", "--section", "SpeedOfLight", "--section", "Occupancy", "--kernel-name"]
    few = ["tests/backend/test_relu.py"] if args.quick else ["tests/backend", "tests/functions"]
    rest = ["tests/test_shapes.py"] if args.quick else ["tests", *(f"--ignore={t}" for t in few)]
    return {
        "environment": Part("driver, versions, whether it can be used", 60, script("environment")),
        "backend": Part("the tests of the primitives on the device", 150, tests("backend", *few)),
        "parity": Part("20 training steps against the CPU", 60, script("parity")),
        "mnist": Part("accuracy, and the same bytes twice", 90, script("mnist")),
        "memory": Part("memory over 1,000 steps", 40, script("memory")),
        "ops": Part("primitives against float64, beside PyTorch", 150, bench("ops")),
        "train": Part("training beside PyTorch", 90, bench("train")),
        "infer": Part("inference beside PyTorch", 30, bench("infer")),
        "data": Part("loading beside PyTorch", 30, bench("data")),
        "memcheck": Part(
            "accesses out of bounds", 60, [*sanitize, "memcheck", *small], "compute-sanitizer"
        ),
        "racecheck": Part(
            "races in shared memory", 60, [*sanitize, "racecheck", *small], "compute-sanitizer"
        ),
        "counters": Part(
            "hardware counters of the large kernels",
            60,
            [*counters, "regex:conv2d|matmul|pool", "--launch-count", "40", *once],
            "ncu",
        ),
        "suite": Part("all other tests", 180, tests("suite", *rest)),
    }


def main() -> int:
    args = _options()
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = parts(args)
    if args.only:
        if unknown := set(args.only) - set(chosen):
            print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(chosen)}")
            return 2
        chosen = {name: part for name, part in chosen.items() if name in args.only}
    deadline = time.monotonic() + 60 * args.minutes
    results: list[dict[str, Any]] = []
    for name, part in chosen.items():
        results.append(_run(name, part, args, deadline - time.monotonic()))
        _summarize(results, args)
    print("\n" + (args.out / "summary.txt").read_text())
    return 0 if all(result["state"] in ("ok", "left out") for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-record"), help="folder for records")
    parser.add_argument(
        "--data", type=Path, default=MNIST if MNIST.is_dir() else None,
        help="folder with the files of MNIST; without it the digits are trained on",
    )  # fmt: skip
    parser.add_argument("--only", type=lambda text: text.split(","), help="parts, with commas")
    parser.add_argument("--minutes", type=float, default=9, help="for all parts together")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu or sim to try it out")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try it out")
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.data = args.data.resolve() if args.data else None
    return args


def _run(name: str, part: Part, args: argparse.Namespace, left: float) -> dict[str, Any]:
    """Run one part; the result holds its state, its seconds and the last lines it printed."""
    print(f"\n=== {name}: {part.what}", flush=True)
    found: dict[str, Any] = {"part": name, "what": part.what, "seconds": 0.0, "tail": []}
    if part.needs and shutil.which(part.needs) is None:
        print(f"{part.needs} is not on the PATH")
        return found | {"state": "left out", "tail": [f"{part.needs} is not on the PATH"]}
    if left < 5:
        return found | {"state": "no time left"}
    command = part.command if part.needs else [sys.executable, *part.command]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that what it started ends with it
    )
    timer = threading.Timer(min(part.seconds, left), _kill, [process])
    timer.start()
    assert process.stdout is not None
    lines = _show(process.stdout, args.out / f"{name}.log")
    code = process.wait()
    late = not timer.is_alive() and time.monotonic() - start >= min(part.seconds, left)
    timer.cancel()
    state = "ok" if code == 0 else "time is up" if late else f"failed ({code})"
    if report := next((word[11:] for word in command if word.startswith("--junitxml=")), None):
        found["tests"], unproved = _tests(Path(report), args.device)
        if unproved and code == 0:
            state = f"skipped: {unproved}"
    found |= {"state": state, "seconds": round(time.monotonic() - start, 1), "tail": lines[-8:]}
    print(f"=== {name}: {state}, {found['seconds']} s", flush=True)
    return found


def _show(stream: Iterable[str], log: Path) -> list[str]:
    """Copy what is printed to the terminal and into a file, as it comes."""
    lines = []
    with log.open("w") as file:
        for line in stream:
            sys.stdout.write(line)
            sys.stdout.flush()
            file.write(line)
            file.flush()
            if line.strip():
                lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line.rstrip()))
    return lines


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _tests(report: Path, device: str) -> tuple[dict[str, int] | None, str | None]:
    """Counts of a run of pytest, and what was skipped because the device is not there."""
    try:
        suite = next(ElementTree.parse(report).iter("testsuite"))
    except (OSError, ElementTree.ParseError, StopIteration):
        return None, None
    counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    reasons = (skip.get("message") or "" for skip in suite.iter("skipped"))
    return counts, next((reason for reason in reasons if reason.startswith(f"{device}: ")), None)


def _summarize(results: list[dict[str, Any]], args: argparse.Namespace) -> None:
    machine = {"device": args.device, "quick": args.quick, **record.machine()}
    record.save(args.out, "summary", {**machine, "parts": results})
    lines = [f"{key}: {machine[key]}" for key in ("device", "nvidia_smi", "date", "commit")]
    for result in results:
        lines.append(f"{result['part']:12} {result['seconds']:6.1f} s  {result['state']}")
        if counts := result.get("tests"):
            lines[-1] += "  " + ", ".join(f"{counts[key]} {key}" for key in counts)
        if result["state"] != "ok":
            lines += [f"    {line}" for line in result["tail"]]
    (args.out / "summary.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
