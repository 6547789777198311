"""The page in headless Chromium: drawn pictures, both color schemes, a narrow window, print."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import browsers
import numpy as np
import pytest

from gpucnn.reports import report
from gpucnn.training import Run

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")
pytestmark = browsers.MARKS
browser = browsers.browser


@pytest.fixture(scope="module")
def address(runs: tuple[Run, Run], tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "two.html"
    path.write_text(report(runs), encoding="utf-8")
    return path.as_uri()


def opened(browser: Any, address: str, width: int, scheme: str) -> Any:
    """The page in a window; it must ask for nothing and report nothing."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: pytest.fail(message.text))
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    return page


@pytest.mark.parametrize("width", [360, 1280])
def test_pictures_are_shown_and_nothing_sticks_out(browser: Any, address: str, width: int) -> None:
    page = opened(browser, address, width, "light")
    sizes = page.eval_on_selector_all("img", "all => all.map(i => [i.naturalWidth, i.width])")
    assert len(sizes) == 13
    assert all(natural > 0 and 0 < shown <= max(width, 36 * 16) for natural, shown in sizes)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # No letter of a table stands alone in its line.
    heights = page.eval_on_selector_all("#model tr", "all => all.map(r => r.offsetHeight)")
    assert max(heights) < 60
    page.click("text=all options >> nth=0")
    assert page.is_visible("text=batch_size >> nth=0")
    page.close()


def luminance(color: np.ndarray) -> Any:
    """The relative luminance of sRGB colors (..., 3), as WCAG defines it."""
    c = color / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_curves_are_readable_in_both_schemes(browser: Any, address: str, scheme: str) -> None:
    page = opened(browser, address, 1280, scheme)
    shot = page.locator("#curves img").screenshot()
    values = luminance(np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), float))
    ground = np.median(values)
    assert ground > 0.9 if scheme == "light" else ground < 0.02
    # Text and axes differ from the ground by a contrast of 7 at least.
    furthest = values.min() if scheme == "light" else values.max()
    high, low = max(ground, furthest), min(ground, furthest)
    assert (high + 0.05) / (low + 0.05) > 7
    page.close()


def test_it_can_be_printed(browser: Any, address: str) -> None:
    page = opened(browser, address, 1280, "light")
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
