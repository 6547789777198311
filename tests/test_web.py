"""The pages of explain and serve as files: they are whole, and run and ask for nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

import gpucnn.explain.page
import gpucnn.serving.page
from gpucnn.web import Page

PAGES = [gpucnn.explain.page._PAGE, gpucnn.serving.page._PAGE]
ADDRESSES = {
    "gpucnn.explain": {"data:,", "#words"},
    "gpucnn.serving": {"data:,", "openapi.json"},
}
HOSTILE = "</script><script>alert(1)</script><!--style-->\u2028 &lt;"
pytestmark = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.package)


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


def test_nothing_comes_from_another_place(page: Page) -> None:
    text = page.html({})
    parts = Parts(text)
    links = [value for _, given in parts.elements for name, value in given.items()
             if name in ("src", "href", "action")]  # fmt: skip
    assert len(links) == 2
    assert set(links) == ADDRESSES[page.package]
    style, _, script = parts.texts
    assert not re.search(r"url\(|@import|https?://", style)
    assert not re.search(r"@import|https?://(?!www\.w3\.org/2000/svg)", script)
    assert "<!--" not in text.removeprefix("<!doctype")


def test_only_the_own_style_and_script_may_run(page: Page) -> None:
    parts = Parts(page.html({}))
    policy = next(given["content"] or "" for tag, given in parts.elements if tag == "meta" and
                  "Content-Security-Policy" in given.values())  # fmt: skip
    assert policy == page.policy()
    style, _, script = parts.texts
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for _, given in parts.elements:
        assert not [name for name in given if name.startswith("on") or name == "style"]


def test_a_text_cannot_end_its_block(page: Page) -> None:
    parts = Parts(page.html({"name": HOSTILE}))
    assert len(parts.texts) == 3
    assert json.loads(parts.texts[1]) == {"name": HOSTILE}
    assert parts.texts[2] == Parts(page.html({})).texts[2]


def test_the_script_writes_no_markup(page: Page) -> None:
    files = list(resources.files(page.package).joinpath("data").iterdir())
    scripts = {file.name: file.read_text() for file in files if file.name.endswith(".js")}
    assert set(scripts) == set(page.scripts)
    markup = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\("
    assert not re.search(markup, "".join(scripts.values()))
