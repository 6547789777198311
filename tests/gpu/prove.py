"""All that only a machine with a GPU can show, in one run of nine minutes.

    python tests/gpu/prove.py --data path/to/mnist --out record.tgz
    python tests/gpu/prove.py --only suite,parity --seconds 200
    python tests/gpu/prove.py --device cpu --data digits --quick

The last one tries the parts out, and proves nothing of a GPU.

Each part is a process. It has a share of the time, and the time that earlier parts left. A part
that fails or hangs does not stop the next ones. The archive has what the parts print (PART.log),
what they measure (PART.json), and what became of them (summary.txt, summary.json). It is replaced
after each part, and every 20 seconds.

Exit code: 0 all parts passed; 1 a part failed, timed out or was not reached, or the archive cannot
be written; 2 it did not begin: an option is wrong, the data are not there, or gpucnn cannot be
imported; 130 interrupted.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import record
from parts import Part, parts
from running import environment, run, tail
from summary import FAILED, INTERRUPTED, NOT_REACHED, PASSED, RUNNING, TIMED_OUT, Summary

MNIST = record.ROOT.parent / "shared" / "data" / "mnist"
_LEAST = 0.1  # seconds that a part must have


def main() -> int:
    """Run the parts; the exit code."""
    start = time.monotonic()
    args = _options()
    folder = Path(tempfile.mkdtemp(prefix="gpu-record-"))
    code, kept = 2, True
    try:
        code, kept = _prove(args, folder, start)
    finally:
        if kept:
            shutil.rmtree(folder, ignore_errors=True)
    return code


def _prove(args: argparse.Namespace, folder: Path, start: float) -> tuple[int, bool]:
    """The exit code, and whether the archive has all files of the folder."""
    chosen = parts(args, folder)
    if unknown := set(args.only or ()) - set(chosen):
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(chosen)}")
        return 2, True
    chosen = {name: part for name, part in chosen.items() if name in (args.only or chosen)}
    head = {"device": args.device, "data": args.data, "quick": args.quick, **record.machine()}
    if args.quick or args.data == "digits" or not args.device.startswith("cuda"):
        head["note"] = "this run tried the script out: it proves nothing of a GPU"
    summary = Summary(folder, args.out, head, {name: chosen[name].what for name in chosen})
    if not summary.save() or not _is_ready(args.data):
        return 2, True

    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # also where a shell had it ignored
    code = None
    try:
        _run_all(chosen, summary, start, args)
    except KeyboardInterrupt:
        code = 130
        for name, part in summary.parts.items():
            if part["state"] == RUNNING:
                summary.set(name, state=INTERRUPTED, tail=tail(folder / f"{name}.log"))
    kept = summary.save()
    print(f"\n{summary.text()}")
    print(f"record: {args.out if kept else folder}", flush=True)
    return code or (0 if summary.passed and kept else 1), kept


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("gpu-record.tgz"), help="the archive [gpu-record.tgz]"
    )
    parser.add_argument(
        "--data", default=str(MNIST),
        help=f"folder with the files of MNIST [{MNIST}], or digits, to try the parts out",
    )  # fmt: skip
    parser.add_argument("--only", type=lambda text: text.split(","), help="parts, with commas")
    parser.add_argument("--seconds", type=float, default=540, help="for all parts together [540]")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu or sim to try it out")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try it out")
    args = parser.parse_args()
    args.out = args.out.resolve()
    if args.data != "digits":
        args.data = str(Path(args.data).resolve())
    return args


def _is_ready(data: str) -> bool:
    """Whether gpucnn can be imported and the data are there and right; if not, it says why."""
    what = ["list"] if data == "digits" else ["verify", "mnist", "--data-dir", data]
    done = subprocess.run(
        [sys.executable, "-m", "gpucnn", "data", *what],
        cwd=record.ROOT, env=environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if done.returncode:
        print(done.stdout + done.stderr)
        print("nothing was run: give --data FOLDER with MNIST, or --data digits to try it out")
    return done.returncode == 0


def _run_all(
    chosen: dict[str, Part], summary: Summary, start: float, args: argparse.Namespace
) -> None:
    """Run the parts; the limit of each is the end of its share, counted from the start of all."""
    whole, until = sum(part.share for part in chosen.values()), 0.0
    for name, part in chosen.items():
        until += args.seconds * part.share / whole
        print(f"=== {name}: {part.what}", flush=True)
        began = time.monotonic()
        summary.set(name, state=RUNNING)
        found = _run(name, part, summary, start + until, args.device)
        summary.set(name, **found, seconds=round(time.monotonic() - began, 1))
        print(f"    {summary.parts[name]['seconds']} s, {found['state']}", flush=True)


def _run(name: str, part: Part, summary: Summary, until: float, device: str) -> dict[str, Any]:
    """Run one part: its state, the reason for it, and the last lines it printed."""
    if part.needs and shutil.which(part.needs) is None:
        return {"state": FAILED, "reason": f"{part.needs} is not on the PATH"}
    if (limit := until - time.monotonic()) < _LEAST:
        return {"state": NOT_REACHED, "reason": "no time was left"}
    log = summary.folder / f"{name}.log"
    try:
        code, late = run(part.command, log, limit, summary.save)
    except OSError as error:
        return {"state": FAILED, "reason": str(error)}
    found: dict[str, Any] = {"state": PASSED, "tail": tail(log)}
    unproved = None
    if part.report:
        found["tests"], unproved = _tests(part.report, device)
    if late:
        found["state"] = TIMED_OUT
    elif code:
        found |= {"state": FAILED, "reason": f"exit code {code}"}
    elif unproved:
        found |= {"state": FAILED, "reason": unproved}
    elif part.proof and not re.search(part.proof, log.read_text(errors="replace")):
        found |= {"state": FAILED, "reason": f"its log does not say: {part.proof}"}
    return found


def _tests(report: Path, device: str) -> tuple[dict[str, int] | None, str | None]:
    """Counts of a run of pytest, and why it proves nothing: the device was not there, or no test
    ran.
    """
    try:
        suite = next(ElementTree.parse(report).iter("testsuite"))
    except (OSError, ElementTree.ParseError, StopIteration):
        return None, "pytest wrote no report"
    counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    reasons = (skip.get("message") or "" for skip in suite.iter("skipped"))
    if missing := next((why for why in reasons if why.startswith(f"{device}: ")), None):
        return counts, f"skipped: {missing}"
    return counts, "no test ran" if counts["tests"] == counts["skipped"] else None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
