"""The page in headless Chromium: drawn on with a mouse, a finger and the keyboard."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import browsers
import numpy as np
import pen
import pytest
from browsers import closing, expect
from serving_client import Client, served, trained

from gpucnn import data
from gpucnn.data import Reading
from gpucnn.quoting import on_one_line
from gpucnn.training import SavedModel

pytestmark = browsers.MARKS
browser = browsers.browser

NARROW = {"width": 360, "height": 640}
#: A 7 with a bar, in pixels of the canvas: it is two strokes.
SEVEN = pen.Pen(tremor=0).place(pen.HANDWRITINGS[2][7])
ONE = pen.Pen(tremor=0).place([[(0.5, 0.0), (0.5, 1.0)]])


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of a LeNet that reads a 7 with a bar."""
    folder = tmp_path_factory.mktemp("reader")
    saved = trained(folder, "lenet", data.load("digits"), epochs=10, augment="strokes")
    with served(saved) as client:
        yield client


class Tab(browsers.Tab):
    """The page of a server."""

    def __init__(self, browser: Any, port: int, **options: Any) -> None:
        super().__init__(browser, f"http://127.0.0.1:{port}/", **options)

    def text(self, selector: str) -> str:
        found: str = self.page.locator(selector).text_content()
        return found

    def answers(self, label: str) -> None:
        """Wait until the page shows this answer."""
        expect(self.page.locator("#best")).to_have_text(label)

    def points(self, strokes: Any) -> list[list[pen.Point]]:
        """Strokes in pixels of the window."""
        box = self.page.locator("#canvas").bounding_box()
        scale = box["width"] / pen.SIDE
        return [[(box["x"] + x * scale, box["y"] + y * scale) for x, y in s] for s in strokes]

    def draw(self, strokes: Any) -> None:
        mouse = self.page.mouse
        for first, *rest in self.points(strokes):
            mouse.move(*first)
            mouse.down()
            for point in rest:
                mouse.move(*point, steps=4)
            mouse.up()

    def ink(self) -> int:
        """The number of dark pixels on the paper."""
        found: int = self.page.evaluate(
            "() => { const c = document.getElementById('canvas');"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            " return d.filter((value, n) => n % 4 === 0 && value < 128).length; }"
        )
        return found


@contextmanager
def opened(browser: Any, client: Client, **options: Any) -> Iterator[Tab]:
    with closing(Tab(browser, client.port, **options)) as tab:
        yield tab
    assert {url.split("/")[2] for url in tab.asked if not url.startswith("data:")} == {
        f"127.0.0.1:{client.port}"
    }


@pytest.fixture
def tab(browser: Any, reader: Client) -> Iterator[Tab]:
    with opened(browser, reader) as tab:
        yield tab


def test_a_seven_drawn_with_the_mouse(tab: Tab, reader: Client) -> None:
    assert tab.text("#title") == "Draw a digit"
    assert tab.text("#best") == ""
    assert not tab.page.locator("#glance").is_visible()  # the answer stands beside the paper
    tab.draw(SEVEN)
    tab.answers("7")
    expect(tab.page.locator("#live")).to_contain_text("7, ")  # for screen readers, at the end
    bars = tab.page.locator("#bars li")
    assert bars.locator("b").all_text_contents() == [str(digit) for digit in range(10)]
    widths = bars.locator(".bar").evaluate_all("all => all.map(b => b.clientWidth)")
    assert max(range(10), key=widths.__getitem__) == 7
    assert tab.page.locator(".layer").count() == 2
    assert tab.page.locator(".maps img").count() == 6 + 16
    natural = "all => all.map(i => [i.naturalWidth, i.naturalHeight])"
    assert tab.page.locator("#input").evaluate_all(natural) == [[28, 28]]
    # The page shows what the server says of the same drawing.
    url = tab.page.evaluate("document.getElementById('canvas').toDataURL()")
    answer = reader.predict({"canvas": url}, query="?layers=1").json
    assert tab.page.get_attribute("#input", "src") == answer["input"]
    shown = tab.page.locator("#bars .value").all_text_contents()
    shares = answer["predictions"][0]["probabilities"]
    assert shown == [f"{100 * shares[str(digit)]:.1f} %" for digit in range(10)]


def test_the_canvas_draws_as_the_pen_of_the_tests(tab: Tab) -> None:
    tab.draw(SEVEN)
    url = tab.page.evaluate("document.getElementById('canvas').toDataURL()")
    with pen.Image.open(pen.io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        drawn = np.asarray(picture.convert("L")).astype(float)
    expected = pen.render(SEVEN, 20)
    assert np.abs(drawn - expected).mean() < 1.5  # of 255: edges differ by parts of a pixel


def test_probabilities_while_one_draws(tab: Tab) -> None:
    (first, *rest), _ = tab.points(SEVEN)
    tab.page.mouse.move(*first)
    tab.page.mouse.down()
    tab.page.mouse.move(*rest[0], steps=10)
    expect(tab.page.locator("#best")).not_to_have_text("")  # the button is still down
    tab.page.mouse.up()


def test_one_request_at_a_time(tab: Tab) -> None:
    """A burst of moves asks twice: at its begin and at its end."""
    tab.page.evaluate(
        """() => {
          canvas.setPointerCapture = () => {}; // of pointers that are not real
          const box = canvas.getBoundingClientRect();
          const send = (type, y) => canvas.dispatchEvent(new PointerEvent(type, {
            pointerId: 1, button: 0, clientX: box.x + 150, clientY: box.y + y}));
          send("pointerdown", 50);
          for (let y = 50; y < 250; y++) send("pointermove", y);
          send("pointerup", 250);
        }"""
    )
    tab.answers("1")
    expect(tab.page.locator("#live")).not_to_be_empty()
    assert len([url for url in tab.asked if "/predict" in url]) == 2


def test_undo_and_clear(tab: Tab) -> None:
    buttons = [tab.page.get_by_role("button", name=name) for name in ("Undo", "Clear")]
    for button in buttons:
        expect(button).to_be_disabled()
    tab.draw(SEVEN[:1])
    one_stroke = tab.ink()
    tab.draw(SEVEN[1:])
    assert tab.ink() > one_stroke
    buttons[0].click()
    assert tab.ink() == one_stroke
    tab.draw(SEVEN[1:])
    buttons[1].click()
    assert tab.ink() == 0
    tab.page.wait_for_timeout(300)  # an answer under way does not come back
    assert tab.text("#best") == ""
    assert not tab.page.locator("#input").is_visible()
    for button in buttons:
        expect(button).to_be_disabled()


def test_a_finger_draws_and_does_not_scroll(browser: Any, reader: Client) -> None:
    with opened(browser, reader, viewport=NARROW, has_touch=True, is_mobile=True) as tab:
        session = tab.page.context.new_cdp_session(tab.page)

        def touch(kind: str, *point: float) -> None:
            places = [{"x": point[0], "y": point[1]}] if point else []
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

        for first, *rest in tab.points(SEVEN):
            touch("touchStart", *first)
            for x, y in rest:
                touch("touchMove", x, y)
            touch("touchEnd")
        tab.answers("7")
        assert tab.page.evaluate("scrollY") == 0
        x, y = tab.points([[(140, 140)]])[0][0]
        touch("touchStart", x, y)
        for step in range(1, 6):
            touch("touchMove", x, y - 20 * step)
        touch("touchEnd")
        assert tab.page.evaluate("scrollY") == 0
        assert tab.page.evaluate("getComputedStyle(canvas).touchAction") == "none"


def test_a_stylus_is_one_pointer_among_others(tab: Tab) -> None:
    """Two pointers at once draw two strokes."""
    tab.page.evaluate(
        """() => {
          const canvas = document.getElementById("canvas");
          canvas.setPointerCapture = () => {}; // of pointers that are not real
          const box = canvas.getBoundingClientRect();
          const send = (type, pointerId, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
            pointerId, pointerType: "pen", button: 0, clientX: box.x + x, clientY: box.y + y}));
          send("pointerdown", 1, 50, 50); send("pointerdown", 2, 200, 50);
          send("pointermove", 1, 50, 150); send("pointermove", 2, 200, 150);
          send("pointerup", 1, 50, 150); send("pointermove", 1, 150, 200);
          send("pointercancel", 2, 200, 150);
        }"""
    )
    two = tab.ink()
    tab.page.click("#undo")
    assert tab.ink() == pytest.approx(two / 2, rel=0.05)


def test_the_keyboard_alone(tab: Tab) -> None:
    """From the paper's middle of the top: a line down is a 1."""
    tab.press("Tab")
    assert tab.page.evaluate("document.activeElement.id") == "canvas"
    expect(tab.page.locator("#pen")).to_be_visible()
    tab.press("Space")
    assert tab.text("#live") == "Pen down"
    tab.press(*["ArrowDown"] * 16)
    tab.press("Enter")
    assert tab.text("#live") == "Pen up"
    tab.answers("1")
    line = tab.ink()
    tab.press("ArrowRight", "ArrowRight", "Home", "End")  # the pen is up
    assert tab.ink() == line
    tab.press("Space", "PageUp", "PageDown")
    assert tab.ink() > line
    tab.press("Backspace")
    assert tab.text("#live") == "The last stroke is gone"
    assert tab.ink() == line
    tab.press("Control+z")
    assert tab.ink() == 0
    tab.press("Space", "Escape")
    assert tab.text("#live") == "The paper is blank"
    assert tab.ink() == 0
    tab.press("Tab", "Tab")  # the buttons are disabled: the next stop is the help
    assert tab.page.evaluate("document.activeElement.tagName") in ("SUMMARY", "BODY")
    tab.press(*["ArrowLeft"] * 3)


def test_names_for_screen_readers(tab: Tab) -> None:
    tab.draw(SEVEN)
    tab.answers("7")
    paper = tab.page.get_by_role("application", name="Paper to draw a digit on")
    assert paper.count() == 1
    for role, name in [
        ("button", "Undo"), ("button", "Clear"), ("heading", "Answer"), ("list", "Probabilities"),
        ("heading", "What the network sees"), ("img", "The image that the network gets"),
        ("img", "Feature map 1 of conv1 (Conv2d, relu)"), ("region", "Answer"),
    ]:  # fmt: skip
        assert tab.page.get_by_role(role, name=name, exact=True).count() == 1, (role, name)
    described = tab.page.get_attribute("#canvas", "aria-describedby")
    assert "Arrow keys" in tab.text(f"#{described}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window(browser: Any, reader: Client, scheme: str) -> None:
    with opened(browser, reader, viewport=NARROW, color_scheme=scheme) as tab:
        tab.draw(ONE)
        expect(tab.page.locator("#live")).not_to_be_empty()
        box = tab.page.locator("#glance").bounding_box()
        assert 0 <= box["y"] < NARROW["height"] - box["height"]  # seen while one draws
        assert tab.text("#glance").startswith(f"{tab.text('#best')} (")
        width = tab.page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"]
        wide = tab.page.evaluate(
            "() => [...document.querySelectorAll('main *')].filter(n => "
            "n.getBoundingClientRect().right > innerWidth).map(n => n.outerHTML.slice(0, 80))"
        )
        assert wide == []
        paper = tab.page.locator("#canvas").evaluate("n => getComputedStyle(n).backgroundColor")
        assert paper == "rgb(255, 255, 255)"  # what the server gets, in both schemes
        for name in ("Undo", "Clear"):
            assert tab.page.get_by_role("button", name=name).bounding_box()["height"] >= 44


#: The contrast of each text with what is behind it (WCAG 2.2), and the text.
CONTRASTS = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const linear = (p) => (p /= 255) <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = parts(getComputedStyle(node).backgroundColor);
      if (color[3] !== 0) return color;
    }
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("");
    if (!text.trim() || !node.checkVisibility() || node.disabled) continue;
    if (["SCRIPT", "STYLE", "OPTION"].includes(node.tagName)) continue;
    const [a, b] = [parts(getComputedStyle(node).color), behind(node)].map(luminance);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Any, reader: Client, scheme: str) -> None:
    with opened(browser, reader, color_scheme=scheme) as tab:
        two = [[(x + shift, y) for x, y in ONE[0]] for shift in (-60, 60)]
        tab.draw(two)  # the answer has a note
        expect(tab.page.locator("#problem")).to_contain_text("several digits")
        tab.page.click("summary")
        found = tab.page.evaluate(CONTRASTS)
        assert len(found) > 30
        assert [text for ratio, text in found if ratio < 4.5] == []


def test_a_server_that_has_gone(browser: Any, digits: SavedModel) -> None:
    with served(digits) as client:
        tab = Tab(browser, client.port)
    tab.draw(SEVEN)
    expect(tab.page.locator("#problem")).to_contain_text("the server does not answer")
    tab.page.close()


def test_a_picture_for_a_model_of_colors(browser: Any, untaught: Callable[..., SavedModel]) -> None:
    names = [
        "<b>cat</b>",
        "a dog with a long name that goes on and on and on" + 60 * "n",
        "日本 🐟",
    ]
    names += [f"class \u202e{n}" for n in range(20)]
    saved = untaught((3, 8, 8), names, Reading(image_shape=(3, 8, 8), convert="none"))
    colors = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    with served(saved) as client, opened(browser, client, viewport=NARROW) as tab:
        assert tab.text("#title") == "Give it a picture"
        assert not tab.page.locator("#canvas").is_visible()
        file = {"name": "<i>.png", "mimeType": "image/png", "buffer": pen.png(colors)}
        tab.page.set_input_files("#file", file)
        answer = client.predict(pen.png(colors), "image/png").json["predictions"][0]
        tab.answers(on_one_line(answer["label"]))
        shown = tab.page.locator("#bars b").all_text_contents()
        assert shown == [on_one_line(name) for name in answer["probabilities"]][:12]
        cut = "all => all.filter(n => n.scrollWidth > n.clientWidth).map(n => n.textContent)"
        assert tab.page.locator("#bars b").evaluate_all(cut) == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
        # Another one is dropped.
        tab.page.evaluate(
            """(bytes) => {
              const transfer = new DataTransfer();
              transfer.items.add(new File([new Uint8Array(bytes)], "p.png", {type: "image/png"}));
              const event = new DragEvent("drop", {dataTransfer: transfer, cancelable: true});
              document.getElementById("pictures").dispatchEvent(event);
            }""",
            list(pen.png(255 - colors)),
        )
        other = client.predict(pen.png(255 - colors), "image/png").json["predictions"][0]
        expect(tab.page.locator("#bars .value").first).to_have_text(
            f"{100 * other['probability']:.1f} %"
        )
        tab.answers(other["label"])
        tab.page.set_input_files("#file", {**file, "buffer": b"no picture"})
        expect(tab.page.locator("#problem")).to_contain_text("cannot be read as a picture")
        assert tab.text("#best") == ""
        expect(tab.page.locator("#live")).to_be_empty()
        tab.errors = [e for e in tab.errors if "400 (Bad Request)" not in e]


def test_a_model_that_takes_no_pictures(browser: Any, untaught: Callable[..., SavedModel]) -> None:
    saved = untaught((1, 8, 8), ["no", "yes"])
    with served(saved) as client, opened(browser, client) as tab:
        assert tab.text("#title") == "This model takes no pictures"
        assert "--convert" in tab.text("#why")
        assert f"http://127.0.0.1:{client.port}/predict" in tab.text("#curl")
        for hidden in ("#canvas", "#file", "#answer", "#seen"):
            assert not tab.page.locator(hidden).is_visible()
