"""docs/lessons.md names the right lines, and every example."""

from __future__ import annotations

import lesson_table
import pytest


def test_lines_are_right() -> None:
    page = lesson_table.PAGE.read_text()
    assert lesson_table.PLACE.search(page)
    assert page == lesson_table.updated(page), (
        "docs/lessons.md is out of date; run: python tests/lesson_table.py --write"
    )


def test_a_wrong_line_is_seen() -> None:
    right = lesson_table.line_of("gpucnn/autograd.py", "Tensor.backward")
    lines = (lesson_table.ROOT / "gpucnn/autograd.py").read_text().splitlines()
    assert lines[right - 1].startswith("    def backward(")
    row = f"`gpucnn/autograd.py:{right + 1}` `Tensor.backward`"
    assert lesson_table.updated(row) == row.replace(str(right + 1), str(right))
    with pytest.raises(lesson_table.NotDefined, match=r"autograd\.py does not define Tensor\.gone"):
        lesson_table.line_of("gpucnn/autograd.py", "Tensor.gone")


def test_every_example_is_in_the_table() -> None:
    scripts = {path.name for path in (lesson_table.ROOT / "examples").glob("*.py")}
    page = lesson_table.PAGE.read_text()
    assert scripts
    assert not [name for name in scripts if f"`examples/{name}`" not in page]
