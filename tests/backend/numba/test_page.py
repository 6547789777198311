"""The page about the compiled backend: its example runs, and it names every file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the extra `fast` is not installed")

FOLDER = Path(__file__).parents[3] / "gpucnn" / "backend" / "numba"
PAGE = (FOLDER / "README.md").read_text()


def test_the_example_runs():
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(source, "README.md", "exec"), {})


def test_every_file_and_folder_is_named():
    here = {f"{f.name}/" if f.is_dir() else f.name for f in FOLDER.iterdir()}
    table = PAGE.partition("## The files")[2].partition("##")[0]
    named = set(re.findall(r"\w+(?:\.py|/)(?=[ `])", table))
    assert named | {"README.md", "__init__.py", "__pycache__/"} >= here
    assert all(list(FOLDER.rglob(name)) for name in named if name.endswith(".py"))
