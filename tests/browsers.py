"""Headless Chromium for the tests of pages: `browser = browsers.browser` is the fixture."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
MARKS = [
    pytest.mark.slow,  # to start the browser takes a second
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]
WIDE = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page of the browser, with what it asks for, and the errors that it logs."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.page = browser.new_page(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.set_default_timeout(10_000)  # milliseconds
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


@contextmanager
def closing(tab: Any) -> Iterator[Any]:
    """Closes a tab at the end; it must have logged no error."""
    yield tab
    tab.page.close()
    assert tab.errors == []
