"""The page in headless Chromium, used with a mouse, a keyboard and a screen reader."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import browsers
import pytest
from browsers import WIDE, closing, expect

from gpucnn.explain import TOPICS, explain
from gpucnn.explain.page import page
from gpucnn.explain.server import Server

pytestmark = browsers.MARKS
browser = browsers.browser

LESSONS = {topic: explain(topic).as_dict() for topic in TOPICS}
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "all.html"
    path.write_text(page([explain(topic) for topic in TOPICS]), encoding="utf-8")
    return path.as_uri()


class Tab(browsers.Tab):
    """A page of lessons."""

    def topic(self, topic: str) -> None:
        self.page.click(f"#topics [data-topic={topic}]")

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_text_contents()

    def keys(self, selector: str) -> set[str]:
        """The numbers whose cells match."""
        return set(self.page.locator(selector).evaluate_all("all => all.map(c => c.dataset.key)"))

    def focus(self) -> str:
        """The accessible name of what has the focus, as far as this page gives one."""
        return self.page.evaluate(
            "(({ariaLabel, textContent, id}) => ariaLabel ?? (textContent.trim() || id))"
            "(document.activeElement)"
        )

    def cell(self, key: str) -> Any:
        return self.page.locator(f'td[data-key="{key}"]')


def opened(browser: Any, address: str, **options: Any) -> AbstractContextManager[Tab]:
    return closing(Tab(browser, address, **options))


@pytest.fixture
def tab(browser: Any, file: str) -> Iterator[Tab]:
    with opened(browser, file) as tab:
        yield tab


def name_of(array: str, index: list[int]) -> str:
    return array + (f"[{','.join(map(str, index))}]" if index else "")


def element(topic: str, array: str, index: list[int]) -> dict[str, Any]:
    (found,) = [
        each
        for step in LESSONS[topic]["steps"]
        for each in step["elements"]
        if (step["result"], each["index"]) == (array, index)
    ]
    return found


def sources(found: dict[str, Any]) -> set[str]:
    return {name_of(*cell) for term in found["terms"] for cell in term["cells"]}


@pytest.mark.parametrize("topic", TOPICS)
def test_every_step_shows_the_texts_of_the_lesson(tab: Tab, topic: str) -> None:
    """From the first to the last, and back again."""
    lesson = LESSONS[topic]
    tab.topic(topic)
    assert tab.texts("#title") == [lesson["title"]]
    assert tab.texts("#text p") == lesson["introduction"]
    last = len(lesson["steps"])
    there = [("ArrowRight", position) for position in range(1, last + 1)]
    back = [("ArrowLeft", position) for position in range(last - 1, 0, -1)]
    for key, position in there + back:
        step = lesson["steps"][position - 1]
        tab.press(key)
        assert tab.texts("#pass") == [f"{step['part']} \u00b7 step {position} of {last}"]
        assert tab.texts("#rule") == [step["rule"]]
        assert tab.texts("#formula") == [step["formula"]]
        assert tab.texts("#text p") == [step["text"]]
        assert tab.texts("#elements li") == [
            f"{name_of(step['result'], each['index'])} = {each['equation']}"
            for each in step["elements"]
        ]
        cells = tab.page.locator("#graph td").evaluate_all(
            "all => all.map(c => [c.dataset.key.split('[')[0], c.textContent])"
        )
        for array in lesson["arrays"]:
            unknown = array["name"] in [step["result"] for step in lesson["steps"][position:]]
            texts = [text for name, text in cells if name == array["name"]]
            assert texts == (["?"] * len(array["shown"]) if unknown else array["shown"])


def test_the_page_needs_the_texts_only(browser: Any, tmp_path: Path) -> None:
    """Without the numbers beside them, and with texts that are no numbers, it shows the same."""

    def changed(part: Any) -> Any:
        if isinstance(part, list):
            return [changed(each) for each in part]
        if not isinstance(part, dict):
            return part
        kept = {name: changed(each) for name, each in part.items() if name[:5] != "value"}
        shown = kept.get("shown")
        if shown is not None:
            kept["shown"] = [f"<{s}>" for s in shown] if isinstance(shown, list) else f"<{shown}>"
        if "equation" in kept:
            kept["equation"] = f"<{kept['equation']}>"
        return kept

    text = page([explain("conv")])
    start, end = (re.search(f, text) for f in ('id="data">', r"</script>\s*<script>"))
    assert start is not None
    assert end is not None
    data = changed(json.loads(text[start.end() : end.start()]))
    path = tmp_path / "texts.html"
    embedded = json.dumps(data).replace("<", "\\u003c")
    path.write_text(text[: start.end()] + embedded + text[end.start() :], encoding="utf-8")
    with opened(browser, path.as_uri()) as tab:
        tab.page.click("#last")
        for array in LESSONS["conv"]["arrays"]:
            texts = tab.texts(f"[data-array={array['name']}] td")
            assert texts == [f"<{shown}>" for shown in array["shown"]]
        assert tab.texts("#elements li")[0] == "dx[0,0] = <1 * 1 = 1>"
        tab.cell("dx[0,0]").hover()
        assert tab.texts("#sum .total") == ["= <1>"]


def test_the_buttons_and_the_arrows_step_both_ways(tab: Tab) -> None:
    tab.topic("conv")

    def at() -> str:
        return tab.page.locator("#timeline [aria-current=step]").text_content()

    assert at() == "Start"
    assert tab.page.is_disabled("#previous")
    moves = ["#next", "#next", "#previous", "#last", "#previous", "#first"]
    keys = ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowLeft"]
    places = ["1", "2", "1", "6", "5", "Start", "1", "2", "1", "6", "6", "Start", "Start"]
    for move, expected in zip(moves + keys, places, strict=True):
        tab.page.click(move) if move.startswith("#") else tab.press(move)
        assert at() == expected


@pytest.mark.parametrize(
    ("topic", "array", "index"),
    [
        ("conv", "y", [0, 1]),
        ("conv", "dw", [1, 0]),
        ("conv", "dx", [1, 1]),
        ("conv", "db", []),
        ("pool", "ymax", [1, 1]),
        ("chain-rule", "dq", []),
        ("softmax", "L", []),
        ("step", "w1_new", [0, 1]),
    ],
)
def test_a_number_under_the_mouse_shows_its_sources_and_terms(
    tab: Tab, topic: str, array: str, index: list[int]
) -> None:
    found = element(topic, array, index)
    tab.topic(topic)
    tab.page.click("#last")
    tab.cell(name_of(array, index)).hover()
    assert tab.keys("td.source") == sources(found)
    assert tab.keys("td.target") == {name_of(array, index)}
    terms = tab.page.locator("#sum .terms button")
    assert terms.count() == len(found["terms"])
    assert tab.texts("#sum .total") == [f"{found['closing']} = {found['shown']}".strip()]
    for n, term in enumerate(found["terms"]):
        assert term["text"] in terms.nth(n).text_content()
        assert term["shown"] in terms.nth(n).text_content()
        terms.nth(n).focus()
        assert tab.keys("td.active") == {name_of(*cell) for cell in term["cells"]}
    assert tab.keys("td.source") == sources(found)


def test_lines_run_from_each_source_to_the_number(tab: Tab) -> None:
    tab.topic("conv")
    tab.page.click("#timeline [data-step='2']")
    tab.cell("y[0,1]").hover()
    assert tab.page.locator(".paths path").count() == len(sources(element("conv", "y", [0, 1])))
    tab.page.click("#last")
    tab.cell("dx[0,1]").hover()  # those of w stand in the same column, and have outlines only
    assert tab.page.locator(".paths path.back").count() == 2


def test_lines_of_the_backward_pass_run_back(tab: Tab) -> None:
    tab.topic("chain-rule")
    tab.page.click("#timeline [data-step='2']")
    assert tab.page.locator(".line.back").count() == 0
    tab.page.click("#last")
    lines = tab.page.locator(".lines .line.back")
    ends = lines.evaluate_all(
        "all => all.map(l => [l.getPointAtLength(0).x, l.getPointAtLength(l.getTotalLength()).x])"
    )
    assert len(ends) == 5  # into df, and from there to dq, dz, dx and dy
    assert all(start > end for start, end in ends)
    forward = tab.page.locator(".lines .line:not(.back)").evaluate_all(
        "all => all.map(l => l.getPointAtLength(0).x < l.getPointAtLength(l.getTotalLength()).x)"
    )
    assert forward == [True] * 4


def test_a_given_number_shows_what_it_goes_into(tab: Tab) -> None:
    tab.topic("conv")
    tab.page.click("#timeline [data-step='2']")
    tab.cell("x[1,1]").hover()
    assert tab.keys("td.source") == {"y[0,0]", "y[0,1]", "y[1,0]", "y[1,1]"}
    assert "goes into" in tab.texts("#sum")[0]


def test_a_number_that_is_not_reached_is_not_shown(tab: Tab) -> None:
    tab.topic("conv")
    tab.cell("y[0,0]").hover()
    assert tab.keys("td.source, td.target") == set()
    assert tab.texts("td[data-key='y[0,0]']") == ["?"]
    assert not tab.cell("dx[0,0]").is_visible()


def test_a_number_that_was_chosen_stays_when_the_mouse_leaves(tab: Tab) -> None:
    tab.topic("conv")
    tab.page.click("#last")
    tab.cell("dw[0,0]").click()
    tab.cell("dw[1,1]").hover()
    assert tab.keys("td.target") == {"dw[1,1]"}
    tab.page.hover("#title")
    assert tab.keys("td.target") == {"dw[0,0]"}


def test_the_keyboard_alone(tab: Tab) -> None:
    """Tab reaches every control and grid once; arrows, Enter and Escape do the rest."""
    tab.topic("conv")
    tab.page.focus(".skip")
    reached = []
    for _ in range(80):
        tab.press("Tab")
        if tab.page.evaluate("document.activeElement === document.body"):
            break
        reached.append(tab.focus())
    expected = [
        *TOPICS, "Next", "Last", "Introduction",
        "x row 0 column 0: 1", "w row 0 column 0: 1", "b: 0.5",
        "y row 0 column 0: not computed yet",
        *(f"input-{name}" for name in LESSONS["conv"]["inputs"]),
    ]  # fmt: skip
    assert reached == expected
    tab.cell("x[0,0]").focus()
    tab.press("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "End", "ArrowRight")
    assert tab.focus() == "x row 2 column 2: 1"
    assert tab.texts("#pass")[0].startswith("Start")
    tab.page.focus("#timeline [tabindex='0']")
    tab.press("ArrowRight", "ArrowRight")
    assert tab.focus() == "Step 2, forward: weighted sum of a window"


def test_numbers_and_terms_by_the_keyboard(tab: Tab) -> None:
    tab.topic("conv")
    tab.page.focus("#next")
    tab.press("Enter", "Space")
    assert tab.texts("#pass") == ["forward \u00b7 step 2 of 6"]
    tab.cell("y[0,0]").focus()
    tab.press("ArrowRight")
    found = element("conv", "y", [0, 1])
    assert tab.keys("td.source") == sources(found)
    spoken = tab.texts("#live")[0]
    assert spoken == f"y[0,1] = {found['text']} = 4.5".replace("*", "times")
    tab.press("Enter", "ArrowDown", "ArrowDown")
    assert tab.keys("td.active") == {"x[1,1]", "w[1,0]"}
    tab.press("Escape")
    assert tab.focus() == "y row 0 column 1: 4.5"
    assert tab.keys("td.active") == set()
    tab.page.focus("#elements button")
    tab.press("ArrowDown", "ArrowDown")
    assert tab.keys("td.target") == {"y[1,0]"}
    tab.press("Enter", "Escape")
    assert tab.focus().startswith("y[1,0] = ")
    tab.press("ArrowRight")
    assert tab.texts("#pass") == ["backward \u00b7 step 3 of 6"]
    assert tab.focus() == LESSONS["conv"]["steps"][2]["rule"]


def test_names_for_screen_readers(tab: Tab) -> None:
    tab.topic("conv")
    tab.page.click("#timeline [data-step='2']")
    assert "forward \u00b7 step 2 of 6: weighted sum" in tab.texts("#live")[0]
    by_role = tab.page.get_by_role
    for role, name in [
        ("grid", "x, the image, 3 x 3 pixels"), ("gridcell", "x row 0 column 1: 2"),
        ("gridcell", "b: 0.5"), ("button", "Previous"), ("navigation", "Topics"),
        ("region", "The arrays, from left to right"), ("textbox", "x the image"),
        ("heading", "All numbers of this step"), ("list", "Terms of y[0,0]"),
    ]:  # fmt: skip
        assert by_role(role, name=name, exact=True).count() == 1, (role, name)
    assert by_role("button", pressed=True).all_text_contents() == ["conv"]
    snapshot = tab.page.locator("body").aria_snapshot()
    assert not re.search(r"^\s*- (button|gridcell|textbox|grid|list)$", snapshot, re.MULTILINE)
    assert tab.page.locator("svg:not([aria-hidden=true])").count() == 0


def test_focus_can_be_seen(tab: Tab) -> None:
    tab.topic("conv")
    for selector in ("#next", "td[data-key='x[0,0]']", "#input-x"):
        tab.press("Tab")
        tab.page.focus(selector)
        outline = tab.page.locator(selector).evaluate(
            "node => [getComputedStyle(node).outlineStyle, getComputedStyle(node).outlineWidth]"
        )
        assert outline == ["solid", "3px"]


def test_the_file_asks_for_nothing(tab: Tab, file: str) -> None:
    for topic in TOPICS:
        tab.topic(topic)
        tab.page.click("#last")
        tab.page.locator("#graph td").first.hover()
    assert set(tab.asked) == {file, "data:,"} or tab.asked == [file]


def test_a_file_has_commands_for_other_numbers(tab: Tab) -> None:
    tab.topic("conv")
    assert tab.page.locator("#form input:not([readonly])").count() == 0
    assert tab.page.input_value("#input-x") == LESSONS["conv"]["inputs"]["x"]
    assert tab.texts("#command") == [
        'gpucnn explain conv --input x="1 2 0; 0 1 3; 2 1 1" --html conv.html\n'
        "gpucnn explain conv --serve"
    ]
    assert "put your own numbers in place of these" in tab.texts("#numbers-hint")[0]


#: Goes to each number of each step: its key, the text of its box, where the stage is (also before
#: the first number), whether a part of the box is hidden, and how many pixels of it are empty.
EACH_NUMBER = """() => {
    const [lens, stage] = ["#lens", "#stage"].map((id) => document.querySelector(id));
    const found = [];
    for (const step of document.querySelectorAll("#timeline button")) {
        step.click();
        const start = stage.offsetTop;
        for (const cell of document.querySelectorAll("#graph td:not(.unknown)")) {
            if (!cell.checkVisibility()) continue;
            cell.focus({ preventScroll: true });
            const inner = document.querySelector("#sum").lastChild.getBoundingClientRect();
            const outer = lens.getBoundingClientRect();
            const hidden = lens.scrollHeight > lens.clientHeight
                || lens.scrollWidth > lens.clientWidth
                || inner.bottom > outer.bottom || inner.right > outer.right;
            found.push({
                step: Number(step.dataset.step), key: cell.dataset.key, text: lens.innerText,
                start, top: stage.offsetTop, hidden, empty: outer.bottom - inner.bottom,
            });
        }
    }
    return found;
}"""


@pytest.fixture(scope="module")
def each_number(browser: Any, file: str) -> Callable[[str, int], list[dict[str, Any]]]:
    @cache
    def found(topic: str, width: int) -> list[dict[str, Any]]:
        with opened(browser, f"{file}#{topic}", viewport={"width": width, "height": 900}) as tab:
            return tab.page.evaluate(EACH_NUMBER)

    return found


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("topic", TOPICS)
def test_the_whole_calculation_can_be_seen(each_number: Any, topic: str, width: int) -> None:
    found = each_number(topic, width)
    assert [each for each in found if each["hidden"]] == []
    last = {each["key"]: each["text"] for each in found}
    assert len(last) == sum(len(array["shown"]) for array in LESSONS[topic]["arrays"])
    for step in LESSONS[topic]["steps"]:
        for each in step["elements"]:
            text = last[name_of(step["result"], each["index"])]
            assert text.rstrip().endswith(each["shown"])
            assert all(term["text"] in text for term in each["terms"])
    if width == 360:
        assert max(each["empty"] for each in found) < 20


@pytest.mark.parametrize("topic", TOPICS)
def test_the_numbers_stay_under_the_mouse(each_number: Any, topic: str) -> None:
    """The box of one number may be above them; no calculation makes it higher."""
    found = each_number(topic, 1280)
    results = {step["result"] for step in LESSONS[topic]["steps"]}
    for n in range(1, len(LESSONS[topic]["steps"]) + 1):
        here = [each for each in found if each["step"] == n]
        top = here[0]["start"]
        for each in here:
            if each["key"].split("[")[0] in results:
                assert each["top"] == top, each
            assert each["top"] >= top, each  # a long list of uses may move the stage, once
            top = each["top"]


@pytest.mark.parametrize("topic", TOPICS)
def test_the_stage_is_as_high_as_its_graph(browser: Any, file: str, topic: str) -> None:
    empty = """() => {
        const all = [...document.querySelectorAll(".card")].map((c) => c.getBoundingClientRect());
        const lowest = Math.max(...all.map((card) => card.bottom));
        return document.querySelector("#stage").getBoundingClientRect().bottom - lowest;
    }"""
    with opened(browser, f"{file}#{topic}") as tab:
        for _ in LESSONS[topic]["steps"]:
            assert tab.page.evaluate(empty) < 40
            tab.press("ArrowRight")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "360"])
def test_the_legend(browser: Any, file: str, size: dict[str, int]) -> None:
    """It shows what the stage shows, in the same colors and lines."""
    style = "(node, name) => getComputedStyle(node)[name]"
    with opened(browser, f"{file}#conv/6", viewport=size, reduced_motion="no-preference") as tab:

        def look(selector: str, name: str) -> str:
            return tab.page.locator(selector).first.evaluate(style, name)

        assert tab.page.get_by_role("region", name="Colors, frames and lines").is_visible()
        for kind, part in (("", ".part:not(.gradient) td:not(.source)"), (".back", ".gradient td")):
            for name in ("backgroundColor", "borderTopStyle"):
                assert look(f"#legend .box{kind}", name) == look(f"#graph {part}", name)
        lines = {"": "solid", ".back": "dashed", ".value": "dotted"}
        for kind, line in lines.items():
            assert look(f"#legend .stroke{kind}", "borderTopStyle") == line
            drawn = f".lines .line{kind or ':not(.back, .value)'}"
            assert look(f"#legend .stroke{kind}", "borderTopColor") == look(drawn, "stroke")
            assert (look(drawn, "strokeDasharray") == "none") == (line == "solid")
        assert not tab.page.locator("#legend-update").is_visible()
        tab.page.click("#timeline [data-step='2']")
        assert look(".lines .line.now", "strokeDasharray") == "none"
        tab.topic("step")
        assert tab.page.locator("#legend-update").is_visible()


def at(tab: Tab, topic: str, step: int) -> None:
    """Wait until the page shows a step, and check its address."""
    last = len(LESSONS[topic]["steps"])
    expect(tab.page.locator("#title")).to_have_text(LESSONS[topic]["title"])
    text = f"step {step} of {last}" if step else f"{last} steps follow"
    expect(tab.page.locator("#pass")).to_contain_text(text)
    assert tab.page.evaluate("location.hash").partition("?")[0] == f"#{topic}/{step}"


def test_the_address_has_the_topic_and_the_step(tab: Tab) -> None:
    at(tab, "chain-rule", 0)
    tab.topic("conv")
    tab.press("ArrowRight", "ArrowRight")
    at(tab, "conv", 2)
    tab.page.reload()
    at(tab, "conv", 2)
    tab.page.click("#last")
    tab.press("ArrowRight")  # there is no more: no entry in the history
    tab.topic("pool")
    back = [("conv", 6), ("conv", 2), ("conv", 1), ("conv", 0), ("chain-rule", 0)]
    for place in back:
        tab.page.go_back()
        at(tab, *place)
    for place in [*back[-2::-1], ("pool", 0)]:
        tab.page.go_forward()
        at(tab, *place)
    assert tab.page.locator("#topics [aria-pressed=true]").text_content() == "pool"
    assert tab.page.input_value("#input-x") == LESSONS["pool"]["inputs"]["x"]


@pytest.mark.parametrize(
    ("fragment", "topic", "step"),
    [
        ("#conv/3", "conv", 3), ("#conv", "conv", 0), ("#conv/", "conv", 0),
        ("#conv/99", "conv", 6), ("#conv/-2", "conv", 0), ("#conv/1.5", "conv", 1),
        ("#conv/two", "conv", 0),
        ("#conv/3?x=5&y=2", "conv", 3), ("#conw/3", "chain-rule", 0), ("#/3", "chain-rule", 0),
        ("#", "chain-rule", 0), ("#%", "chain-rule", 0), ("#__proto__/1", "chain-rule", 0),
    ],
)  # fmt: skip
def test_links(browser: Any, file: str, fragment: str, topic: str, step: int) -> None:
    """A page that is opened by a link, and one that is open when its address is changed."""
    with opened(browser, file + fragment) as tab:
        at(tab, topic, step)
        assert tab.page.evaluate("location.hash") == f"#{topic}/{step}"  # a file has no numbers
        assert tab.page.input_value("#input-x") == LESSONS[topic]["inputs"]["x"]
        tab.page.evaluate("location.hash = '#pool/2'")
        at(tab, "pool", 2)
        tab.page.go_back()
        at(tab, topic, step)


def test_the_link_to_the_words_keeps_the_step(tab: Tab) -> None:
    tab.topic("conv")
    tab.press("ArrowRight")
    tab.page.focus(".skip")
    tab.press("Enter")
    tab.page.wait_for_function("location.hash === '#conv/1'")
    at(tab, "conv", 1)


def test_hostile_texts_are_texts(browser: Any, tmp_path: Path) -> None:
    lesson = explain("conv")
    lesson.title = "</script><img src=x onerror=alert(1)>"
    lesson.introduction = ["<b>bold</b>"]
    path = tmp_path / "hostile.html"
    path.write_text(page([lesson]), encoding="utf-8")
    with opened(browser, path.as_uri()) as tab:
        assert tab.texts("#title") == [lesson.title]
        assert tab.texts("#text p") == ["<b>bold</b>"]
        assert tab.page.locator("img, #text b").count() == 0
        assert not tab.page.locator("nav").is_visible()


def test_light_and_dark(browser: Any, file: str) -> None:
    papers = []
    for scheme in ("light", "dark"):
        with opened(browser, file, color_scheme=scheme) as tab:
            papers.append(tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == ["rgb(246, 247, 249)", "rgb(14, 18, 24)"]


def test_motion_only_where_it_is_wanted(browser: Any, file: str) -> None:
    animations = []
    for motion in ("reduce", "no-preference"):
        with opened(browser, file, reduced_motion=motion) as tab:
            tab.page.click("#last")
            animations.append(tab.page.evaluate("document.getAnimations().length"))
    assert animations[0] == 0
    assert animations[1] > 0


#: Elements that can be seen and are partly left or right of the window; wide grids may scroll.
OUTSIDE = """width => [...document.querySelectorAll("body *")]
    .filter(node => node.checkVisibility() && !node.closest(".scroll, .unseen, .skip, svg"))
    .filter(node => {
        const {left, right} = node.getBoundingClientRect();
        return left < -0.5 || right > width + 0.5;
    }).map(node => node.outerHTML)"""


#: 200 % zoom halves the width of the window.
@pytest.mark.parametrize("size", [NARROW, {"width": 640, "height": 450}], ids=["360", "zoom"])
def test_a_narrow_window_cuts_nothing_off(browser: Any, file: str, size: dict[str, int]) -> None:
    with opened(browser, file, viewport=size, has_touch=True) as tab:
        for topic in TOPICS:
            tab.topic(topic)
            for step in (0, len(LESSONS[topic]["steps"])):
                tab.page.click(f"#timeline [data-step='{step}']")
                assert tab.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
                assert tab.page.evaluate(OUTSIDE, size["width"]) == []


def test_a_graph_that_is_too_large_scrolls_to_each_result(tab: Tab) -> None:
    tab.topic("step")
    shown = """node => {
        const [inner, outer] = [node, document.querySelector("#stage")].map(
            each => each.getBoundingClientRect());
        return inner.top >= outer.top && inner.bottom <= outer.bottom
            && inner.left >= outer.left && inner.right <= outer.right;
    }"""
    for step in LESSONS["step"]["steps"]:
        tab.press("ArrowRight")
        for name in {step["result"]} - {None}:
            assert tab.page.locator(f"[data-array={name}]").evaluate(shown), name


def test_a_tap_chooses_a_number(browser: Any, file: str) -> None:
    with opened(browser, file, viewport=NARROW, has_touch=True) as tab:
        tab.topic("conv")
        tab.page.tap("#last")
        tab.cell("dw[1,0]").tap()
        expect(tab.cell("dw[1,0]")).to_have_class(re.compile("target"))
        assert tab.keys("td.source") == sources(element("conv", "dw", [1, 0]))
        tab.page.locator("#sum button").nth(1).tap()
        expect(tab.page.locator("td.active")).to_have_count(2)
        assert tab.keys("td.active") == {"dy[0,1]", "x[1,1]"}


def test_wide_numbers_scroll_in_their_card(browser: Any, tmp_path: Path) -> None:
    wide = explain("conv", x=[[-123456.0] * 6] * 2, w=[[1.0]])
    path = tmp_path / "wide.html"
    path.write_text(page([wide]), encoding="utf-8")
    with opened(browser, path.as_uri(), viewport=NARROW) as tab:
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
        sizes = tab.page.locator("[data-array=x] .scroll").evaluate(
            "node => [node.scrollWidth, node.clientWidth]"
        )
        assert sizes[0] > sizes[1]


@pytest.fixture
def served(browser: Any) -> Iterator[Tab]:
    with Server([explain(topic) for topic in ("conv", "chain-rule")], {}, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        tab = Tab(browser, server.address)
        yield tab
        tab.page.close()
        server.shutdown()
        thread.join()
        ours = f"{server.address}lesson?topic="
        others = [url for url in tab.asked if not url.startswith((ours, "data:"))]
        assert {url.partition("#")[0] for url in others} == {server.address}


def change(tab: Tab, name: str, text: str) -> None:
    with tab.page.expect_response("**/lesson?*"):
        tab.page.fill(f"#input-{name}", text)
        tab.press("Enter")


def test_numbers_of_ones_own(served: Tab) -> None:
    served.page.click("#last")
    change(served, "w", "0 3")
    expected = explain("conv", w="0 3").as_dict()
    expect(served.page.locator("[data-array=dw] td")).to_have_count(2)
    shown = {a["name"]: a["shown"] for a in expected["arrays"]}
    for name, numbers in shown.items():
        assert served.texts(f"[data-array={name}] td") == numbers
    assert served.texts("#pass") == ["backward \u00b7 step 6 of 6"]
    assert served.page.input_value("#input-dy") == expected["inputs"]["dy"]
    change(served, "w", "")
    expect(served.page.locator("[data-array=dw] td")).to_have_count(4)
    assert served.page.input_value("#input-w") == LESSONS["conv"]["inputs"]["w"]
    assert served.errors == []


def test_a_wrong_number_keeps_the_lesson(served: Tab) -> None:
    before = served.texts("#graph td")
    change(served, "x", "1 2; 3 <b>")
    error = served.page.locator("#error-x")
    expect(error).to_contain_text("the input x is")
    expect(error).to_contain_text("fix: give x as rows")
    assert served.page.get_attribute("#input-x", "aria-describedby") == "error-x"
    assert served.page.get_attribute("#input-x", "aria-invalid") == "true"
    assert served.texts("#graph td") == before
    held = served.page.locator("#held")
    expect(held).to_contain_text("until every marked field is right")
    change(served, "b", "7")  # x is still wrong, and says so in its own place
    assert "the input x is" in error.text_content()
    assert served.texts("#error-b") == [""]
    assert held.is_visible()
    change(served, "x", "1 2; 3 4")
    expect(error).to_have_text("")
    expect(held).to_be_hidden()
    assert served.texts("[data-array=b] td") == ["7"]
    assert served.page.get_attribute("#input-x", "aria-invalid") is None
    assert {"400" in text for text in served.errors} == {True}  # Chromium logs the answers itself


def marked(tab: Tab, *names: str) -> None:
    """Wait until these fields are marked as wrong, and no others."""
    fields = tab.page.locator("#form input[aria-invalid=true]")
    expect(fields).to_have_count(len(names))
    assert set(fields.evaluate_all("all => all.map((field) => field.name)")) == set(names)
    for name in LESSONS["conv"]["inputs"]:
        error = tab.page.locator(f"#error-{name}")
        expect(error).to_have_text("" if name not in names else re.compile("fix: "))


def test_each_wrong_field_is_marked(served: Tab) -> None:
    change(served, "x", "one")
    change(served, "stride", "0")
    marked(served, "x", "stride")
    change(served, "w", "1 2; 3")
    marked(served, "x", "stride", "w")
    change(served, "stride", "1")
    marked(served, "x", "w")
    change(served, "x", "")
    marked(served, "w")
    change(served, "w", "1 2 3 4")  # right by itself; it does not fit to x
    error = served.page.locator("#error-w")
    expect(error).to_contain_text("the filter has 1 x 4 pixels, the image 3 x 3")
    marked(served, "w")
    change(served, "b", "7")  # right, and fits: the error stays where it belongs
    marked(served, "w")
    change(served, "padding", "1")  # now it fits
    marked(served)
    expect(served.cell("b")).to_have_text("7")
    expect(served.page.locator("[data-array=w] td")).to_have_count(4)


def test_the_address_has_the_numbers(served: Tab) -> None:
    served.topic("conv")
    served.press("ArrowRight", "ArrowRight")
    change(served, "w", "0 3")
    width = served.page.locator("[data-array=w] td")
    expect(width).to_have_count(2)
    change(served, "b", "-1.5")
    expect(served.cell("b")).to_have_text("-1.5")
    assert served.page.evaluate("location.hash") == "#conv/2?w=0+3&b=-1.5"
    served.page.reload()
    expect(served.cell("b")).to_have_text("-1.5")
    at(served, "conv", 2)
    assert served.page.input_value("#input-w") == "0 3"
    change(served, "w", "")  # the default again
    expect(width).to_have_count(4)
    assert served.page.evaluate("location.hash") == "#conv/2?b=-1.5"
    served.page.go_back()
    expect(width).to_have_count(2)
    expect(served.page.locator("#input-w")).to_have_value("0 3")
    served.page.go_back()
    expect(served.cell("b")).to_have_text("0.5")
    expect(served.page.locator("#input-b")).to_have_value("0.5")
    served.page.go_back()
    expect(width).to_have_count(4)
    at(served, "conv", 2)
    assert served.errors == []


def test_an_answer_for_an_old_address_is_too_late(served: Tab) -> None:
    change(served, "w", "0 3")
    width = served.page.locator("[data-array=w] td")
    expect(width).to_have_count(2)
    late = []
    served.page.route("**/lesson?*", lambda route: late.append(route))
    served.page.go_back()
    expect(served.page.locator("#input-w")).to_have_value("")  # the numbers are asked for
    served.page.go_forward()
    expect(served.page.locator("#input-w")).to_have_value("0 3")
    with served.page.expect_response("**/lesson?*"):
        late[0].continue_()
    served.press("ArrowRight")
    at(served, "conv", 1)
    assert width.count() == 2
    assert served.page.evaluate("location.hash") == "#conv/1?w=0+3"


def test_a_link_with_wrong_numbers(served: Tab) -> None:
    served.page.evaluate("location.hash = '#conv/1?x=one&b=2&q=3&constructor=4&stride=0'")
    marked(served, "x", "stride")
    assert served.page.input_value("#input-x") == "one"
    assert served.page.input_value("#input-b") == "2"
    at(served, "conv", 1)
    change(served, "x", "1 2; 3 4")
    marked(served, "stride")
    change(served, "stride", "")
    marked(served)
    expect(served.cell("b")).to_have_text("2")


def test_a_server_that_has_gone_away(served: Tab) -> None:
    served.page.route("**/lesson?*", lambda route: route.abort())
    served.page.fill("#input-x", "1")
    served.press("Enter")
    error = served.page.locator("#error-x")
    expect(error).to_have_text("the server does not answer\nfix: start it again")


def test_the_numbers_of_another_topic_are_not_sent(served: Tab) -> None:
    change(served, "x", "1 2; 3 4")
    served.topic("chain-rule")
    change(served, "z", "4")
    expect(served.cell("z")).to_have_text("4")
    assert served.page.input_value("#input-x") == "-2"
    served.page.click("#last")
    assert served.texts("[data-array=dx] td") == ["4"]
    assert served.errors == []
