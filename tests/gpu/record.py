"""What the parts of `prove.py` share: their options, what they note of the machine, their files."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "numpy", "cupy-cuda12x", "cupy-cuda13x", "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc", "torch"
)  # fmt: skip


def options(description: str) -> argparse.Namespace:
    """The command line of a part."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu or sim to try it out")
    parser.add_argument("--out", type=Path, default=Path("gpu-record"), help="folder for records")
    parser.add_argument("--data", required=True, help="folder with the files of MNIST, or digits")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try it out")
    return parser.parse_args()


def splits(args: argparse.Namespace) -> Any:
    """The data that the part is given: the whole of MNIST, or the digits to try it out."""
    from gpucnn import data

    return data.load("digits") if args.data == "digits" else data.load("mnist", args.data)


def machine(device: str | None = None) -> dict[str, Any]:
    """Device, driver, versions, date and commit, as every record carries them."""
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "nvidia_smi": nvidia_smi(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }
    if device is not None:
        from gpucnn import backend

        found["backend"] = backend.get(device).describe()
    return found


def commit() -> str | None:
    """Of the checkout; where there is no git, what $GPUCNN_COMMIT says."""
    done = _run("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40")
    return done or os.environ.get("GPUCNN_COMMIT")


def nvidia_smi() -> str | None:
    """Name, driver, memory, clocks and power of each GPU, a line each."""
    fields = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit,mig.mode.current"
    return _run("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader")


def save(out: Path, name: str, record: dict[str, Any]) -> None:
    """Write OUT/NAME.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def finish(failures: list[str]) -> None:
    """Leave, with a code that says whether the part failed; its last lines say why."""
    for line in failures:
        print(f"FAILED: {line}", flush=True)
    sys.exit(1 if failures else 0)


def _run(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
