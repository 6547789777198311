"""The page as a file: it is whole, holds the lesson, and its colors can be read."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import gpucnn.explain
import gpucnn.web
from gpucnn.explain import TOPICS, Lesson, explain
from gpucnn.explain.page import page

DATA = Path(gpucnn.explain.__file__).parent / "data"
BASE = Path(gpucnn.web.__file__).parent / "data" / "base.css"
STYLE = BASE.read_text() + (DATA / "page.css").read_text()
SCRIPT = "\n".join(file.read_text() for file in DATA.glob("*.js"))


class Parts(HTMLParser):
    """The elements of a page, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ("script", "style") and data.strip():
            self.texts.append(data)


def data_of(parts: Parts) -> Any:
    return json.loads(parts.texts[1])


def test_the_page_holds_every_lesson_that_it_is_given() -> None:
    parts = Parts(page([explain(topic) for topic in TOPICS]))
    data = data_of(parts)
    assert data["lessons"] == [explain(topic).as_dict() for topic in TOPICS]
    assert data["given"] is None
    assert {topic: set(inputs) for topic, inputs in data["inputs"].items()} == {
        topic: set(explain(topic).inputs) for topic in TOPICS
    }


def test_nothing_comes_from_another_file() -> None:
    parts = Parts(page([explain("conv")]))
    links = [a for _, given in parts.elements for a in given if a in ("src", "href", "action")]
    assert len(links) == 2
    assert ("link", {"rel": "icon", "href": "data:,"}) in parts.elements
    assert ("a", {"class": "skip", "href": "#words"}) in parts.elements
    assert not re.search(r"url\(|@import", STYLE)
    assert "<!--" not in page([explain("conv")]).removeprefix("<!doctype")


def test_only_the_own_style_and_script_may_run() -> None:
    parts = Parts(page([explain("conv")]))
    policy = next(given["content"] or "" for tag, given in parts.elements if tag == "meta" and
                  "Content-Security-Policy" in given.values())  # fmt: skip
    style, _, script = parts.texts
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not [name for _, given in parts.elements for name in given if name.startswith("on")]


def test_a_text_cannot_end_its_block() -> None:
    hostile = "</script><script>alert(1)</script><!--style-->\u2028 &lt;"
    lesson = Lesson("conv", hostile, [hostile], {"x": hostile})
    parts = Parts(page([lesson]))
    assert len(parts.texts) == 3
    assert data_of(parts)["lessons"][0]["title"] == hostile
    assert parts.texts[2] == Parts(page([explain("conv")])).texts[2]


def test_the_script_writes_no_markup() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", SCRIPT)


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
