"""The page as a file: it is whole, holds the lesson, and its colors can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import gpucnn.explain
import gpucnn.web
from gpucnn.explain import TOPICS, explain
from gpucnn.explain.page import page

DATA = Path(gpucnn.explain.__file__).parent / "data"
BASE = Path(gpucnn.web.__file__).parent / "data" / "base.css"
STYLE = BASE.read_text() + (DATA / "page.css").read_text()


def data_of(text: str) -> Any:
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_holds_every_lesson_that_it_is_given() -> None:
    data = data_of(page([explain(topic) for topic in TOPICS]))
    assert data["lessons"] == [explain(topic).as_dict() for topic in TOPICS]
    assert data["given"] is None
    assert {topic: set(inputs) for topic, inputs in data["inputs"].items()} == {
        topic: set(explain(topic).inputs) for topic in TOPICS
    }


def palette(text: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text))


LIGHT, DARK = (palette(block) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL))
TEXT_ON = {
    "ink": ("paper", "card", "forward-soft", "back-soft", "update-soft"),
    "muted": ("paper", "card"),
    "forward": ("paper", "card"),
    "back": ("paper", "card"),
    "update": ("paper", "card"),
    "error": ("paper", "card"),
    "on-accent": ("forward", "back", "update", "muted"),
}
SHAPE_ON = {
    "focus": ("paper", "card", "forward-soft", "back-soft"),
    "line": ("paper", "card"),
    "forward": ("card", "forward-soft"),
    "back": ("card", "back-soft"),
    "ink": ("card", "back-soft"),
}


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast of two colors as #rrggbb, from 1 to 21."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_of_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT_ON, 4.5), (SHAPE_ON, 3.0)])
def test_contrast(colors: dict[str, str], pairs: dict[str, tuple[str, ...]], least: float) -> None:
    found = {(a, b): contrast(colors[a], colors[b]) for a, others in pairs.items() for b in others}
    assert not {pair: ratio for pair, ratio in found.items() if ratio < least}


def test_colors_are_named_and_both_palettes_name_the_same() -> None:
    assert set(LIGHT) == set(DARK)
    rest = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{3,6}\b(?=[;,)])|rgb|hsl", rest)
    assert set(re.findall(r"var\(--([\w-]+)\)", rest)) == set(LIGHT)
