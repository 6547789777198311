"""What each variant of a kernel needs on each architecture: kernels/resources.csv.

`python tests/kernel_report.py --write` makes the file from what NVRTC reports, so that the launches
are checked without NVRTC.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.resources
from functools import cache
from typing import NamedTuple

from gpucnn.backend.cuda import sources

FILE = "resources.csv"
MADE_BY = "# NVRTC "  # begins the first line, which ends with the version
COLUMNS = ("kernel", "constants", "digest", "shared", "registers")


class Need(NamedTuple):
    """What a kernel needs on one architecture."""

    registers: int  # of a thread
    shared: int  # bytes a block, static


def digest(kernel: str, text: str) -> str:
    """Of all that decides what NVRTC makes; comments, blank lines and indentation do not."""
    lines = (" ".join(line.split()) for line in sources.without_comments(text).splitlines())
    code = "\n".join(line for line in lines if line and not line.startswith("#line "))
    return hashlib.sha256(repr((kernel, code)).encode()).hexdigest()[:16]


def need(kernel: sources.Kernel, architecture: int) -> Need | None:
    """What a variant needs; None if the table does not have this variant, or the architecture."""
    return table().get(digest(kernel.name, kernel.text), {}).get(architecture)


@cache
def version() -> str:
    """Of the NVRTC that made the table."""
    return _lines()[0].removeprefix(MADE_BY)


@cache
def table() -> dict[str, dict[int, Need]]:
    """By the digest of a variant, and by the architecture: 80 for compute capability 8.0."""
    rows = csv.DictReader(_lines()[1:])
    *columns, last = rows.fieldnames or ("",)
    architectures = [int(word.removeprefix("sm_")) for word in last.split()[1:]]
    assert (*columns, last.split()[0]) == COLUMNS, f"kernels/{FILE}: its columns are {COLUMNS}"
    return {
        row["digest"]: {
            architecture: Need(int(registers), int(row["shared"]))
            for architecture, registers in zip(architectures, row[last].split(), strict=True)
        }
        for row in rows
    }


def _lines() -> list[str]:
    return (importlib.resources.files("gpucnn.kernels") / FILE).read_text().splitlines()
