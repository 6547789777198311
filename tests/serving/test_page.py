"""The page as a file: it is whole, and what the model says of itself is in it as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from gpucnn.data import Reading
from gpucnn.serving.page import html
from gpucnn.training import SavedModel


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_knows_its_model(digits: SavedModel) -> None:
    assert data_of(html(digits, Reading())) == {
        "model": "lenet (Sequential)",
        "classes": [str(digit) for digit in range(10)],
        "shown": {},
        "shape": "1x28x28",
        "way": "draw",
        "why": "",
    }


def test_a_name_cannot_end_its_block(untaught: Callable[..., SavedModel]) -> None:
    names = ["</script><script>alert(1)</script>", "<!--style-->", "\u2028", ""]
    page = html(untaught((1, 4, 4), names, Reading(convert="none")), Reading())
    assert data_of(page)["classes"] == names
    assert data_of(page)["shown"] == {"\u2028": "\\u2028"}
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
