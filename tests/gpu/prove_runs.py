"""Runs of `prove.py` without a GPU."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from processes import ROOT

HERE = ROOT / "tests" / "gpu"
# Runs parts that are given as [name, share, code in Python, what else a Part has].
DRIVER = """
import json, sys
import prove
from parts import Part
given = json.loads(sys.argv.pop(1))
def parts(args, folder):
    return {
        name: Part(name, share, [sys.executable, "-c", code], **more)
        for name, share, code, more in given
    }
prove.parts = parts
prove._is_ready = lambda data: True
sys.exit(prove.main())
"""


class Done(NamedTuple):
    """What a run left: its exit code, what it printed, the files of the archive."""

    code: int
    out: str
    files: dict[str, str]

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        return {part["part"]: part for part in json.loads(self.files["summary.json"])["parts"]}

    @property
    def states(self) -> list[str]:
        return [part["state"] for part in self.parts.values()]


def unpack(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        found = {Path(member.name).name: tar.extractfile(member) for member in tar}
        return {name: io.TextIOWrapper(file).read() for name, file in found.items() if file}


def start(
    out: Path, *parts: tuple[Any, ...], options: tuple[str, ...] = (), **more: Any
) -> subprocess.Popen[str]:
    """prove.py with parts (name, share, code, and what else a Part has)."""
    given = json.dumps([[*part[:3], part[3] if len(part) > 3 else {}] for part in parts])
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, given, "--out", str(out), "--data", "digits", *options],
        cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more,
    )  # fmt: skip


def prove(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "prove.py"), *options]
    env = {**os.environ, **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=1800)
