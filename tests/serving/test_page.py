"""The page as a file: it is whole, and what the model says of itself is in it as text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gpucnn.serving
from gpucnn.data import Reading
from gpucnn.serving.page import html, policy
from gpucnn.training import SavedModel

DATA = Path(gpucnn.serving.__file__).parent / "data"
SCRIPT = "\n".join(file.read_text() for file in DATA.glob("*.js"))


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_knows_its_model(digits: SavedModel) -> None:
    assert data_of(html(digits, Reading())) == {
        "model": "lenet (Sequential)",
        "classes": [str(digit) for digit in range(10)],
        "shape": "1x28x28",
        "way": "draw",
        "why": "",
    }


def test_nothing_comes_from_another_place(digits: SavedModel) -> None:
    page = html(digits, Reading())
    assert re.findall(r'(?:src|href|action)="(.*?)"', page) == ["data:,", "openapi.json"]
    assert not re.search(r"url\(|@import|https?://", (DATA / "page.css").read_text() + SCRIPT)
    style, script = (re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[-1]
                     for tag in ("style", "script"))  # fmt: skip
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy()
    assert "unsafe" not in policy()
    assert not re.search(r"<[^>]* (on\w+|style)=", page)


def test_the_script_writes_no_markup() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", SCRIPT)


def test_a_name_cannot_end_its_block(untaught: Callable[..., SavedModel]) -> None:
    names = ["</script><script>alert(1)</script>", "<!--style-->", "\u2028", ""]
    page = html(untaught((1, 4, 4), names, Reading(convert="none")), Reading())
    assert data_of(page)["classes"] == names
    assert page.count("</script>") == 2


@pytest.mark.parametrize(
    ("shape", "trained", "given", "way"),
    [
        ((1, 28, 28), "mnist", None, "draw"),
        ((1, 28, 28), "mnist", "none", "picture"),
        ((1, 28, 28), "none", None, "picture"),
        ((1, 28, 28), "none", "mnist", "draw"),
        ((1, 28, 28), None, None, "none"),
        ((1, 28, 28), None, "mnist", "draw"),
        ((3, 9, 8), None, None, "picture"),
        ((2, 9, 8), None, None, "none"),
    ],
)
def test_how_the_page_gets_an_image(
    untaught: Callable[..., SavedModel],
    shape: tuple[int, ...],
    trained: str | None,
    given: str | None,
    way: str,
) -> None:
    saved = untaught(shape, ["no", "yes"], Reading(convert=trained))
    data = data_of(html(saved, Reading(convert=given)))
    assert data["way"] == way
    assert bool(data["why"]) == (way == "none")
