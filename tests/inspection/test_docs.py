"""docs/inspect.md describes each kind of finding, with the threshold of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gpucnn.inspection import Threshold, checks

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "inspect.md").read_text()


def kinds_in_the_code() -> set[str]:
    found = set()
    for file in (ROOT / "gpucnn" / "inspection").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding":
                first = node.args[0]
                values = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                found |= {ast.literal_eval(value) for value in values}
    return found


def test_each_kind_has_a_section() -> None:
    headings = [line for line in PAGE.splitlines() if line.startswith("### ")]
    described = [kind for line in headings for kind in re.findall(r"`([a-z-]+)`", line)]
    assert len(described) == len(set(described)) > 10
    assert set(described) == kinds_in_the_code()


@pytest.mark.parametrize(
    ("module", "name", "shown"),
    [
        ("dead", "THRESHOLD", "from 80 % on"),
        ("saturation", "THRESHOLD", "from 50 % on"),
        ("gradients", "VANISHING", "at 0.001 and below"),
        ("gradients", "EXPLODING", "above 100 "),
        ("learning_rate", "UPDATE", "above 0.3,"),
        ("learning_rate", "SMALL_UPDATE", "below 0.00001 in"),
        ("learning_rate", "WORSE", "above 1.5 times"),
        ("learning_rate", "FIRST", "above 4 times"),
        ("learning_rate", "DROP", "10 points below"),
        ("learning_rate", "SLOW", "above 0.8 times"),
        ("guessing", "THRESHOLD", "not 2 % lower"),
        ("overfitting", "GAP", "above 5 points"),
        ("overfitting", "NOTHING", "above 25 points"),
        ("balance", "IMBALANCE", "more than 10 times"),
    ],
)
def test_thresholds(module: str, name: str, shown: str) -> None:
    threshold = getattr(getattr(checks, module), name)
    assert isinstance(threshold, Threshold)
    assert shown in PAGE
    number = float(re.findall(r"[0-9.]+", shown)[0])
    scale = 100 if "%" in shown or "points" in shown else 1
    value = 1 - threshold.value if "not 2 %" in shown else threshold.value
    assert number == pytest.approx(scale * value)
