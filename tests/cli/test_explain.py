"""gpucnn explain: what it prints, in how many columns and which colors, and its errors."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from typing import Any

import numpy as np
import pytest

from gpucnn.cli import lesson_text
from gpucnn.explain import TOPICS, explain, topic_module

ESCAPE = re.compile(r"\x1b\[[\d;]*m")
COLOR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4)\d(?:;\d+)*m")

#: Long numbers: in four digits they take ten characters.
LONG = np.array([-1e6, 1e6, -1.2345e-7, 123456.7, 1e-7, -999999.4, -1.1111e-5])
#: The largest arrays of each topic, and what must be given with them.
LARGE: dict[str, dict[str, tuple[int, ...]]] = {
    "chain-rule": {"x": (), "y": (), "z": ()},
    "dense": {"x": (6, 6), "w": (6, 6), "b": (6,), "dy": (6, 6)},
    "conv": {"x": (6, 6), "w": (6, 6), "b": ()},
    "pool": {"x": (6, 6)},
    "softmax": {"z": (6,)},
    "step": {"x": (6, 6), "w1": (6, 6), "b1": (6,), "w2": (6, 6), "b2": (6,)},
}
OTHERS = {
    "conv": {"w": (1, 1), "dy": (6, 6)},
    "pool": {"kernel": 6},
    "step": {"rate": 1e6},
    "softmax": {"label": 5},
}


def _cases() -> list[Any]:
    cases = [pytest.param(topic, {}, id=topic) for topic in TOPICS]
    for topic, shapes in LARGE.items():
        for scale in (1, 1e-7, -1e-6):
            long = {name: scale * np.resize(LONG, shape) for name, shape in shapes.items()}
            if topic == "step":
                long["label"] = np.arange(6)
            cases.append(pytest.param(topic, long, id=f"{topic}-{scale:g}"))
            other = {
                name: scale * np.resize(LONG, value) if isinstance(value, tuple) else value
                for name, value in OTHERS.get(topic, {}).items()
            }
            cases.append(pytest.param(topic, long | other, id=f"{topic}-other-{scale:g}"))
    cases.append(pytest.param("pool", {"kernel": 1, "stride": 1, "x": np.ones((6, 6))}, id="ties"))
    cases.append(pytest.param("conv", {"padding": 2, "stride": 2}, id="padding"))
    return cases


@pytest.mark.parametrize(("topic", "inputs"), _cases())
def test_long_numbers_stay_finite_and_fit_in_80_columns(topic: str, inputs: dict[str, Any]) -> None:
    lesson = explain(topic, **inputs)
    json.dumps(lesson.as_dict(), allow_nan=False)
    lines = lesson_text.text(lesson).splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line != line.rstrip() for line in lines)
    heads = {line.lstrip().partition(" =")[0] for line in lines if " =" in line}
    for step in lesson.steps:
        for element in step.elements:
            index = f"[{','.join(map(str, element.index))}]" if element.index else ""
            assert f"{step.result}{index}" in heads


@pytest.mark.parametrize("topic", TOPICS)
def test_each_step_is_printed_with_its_rule(run: Any, topic: str) -> None:
    result = run("explain", topic)
    assert result.code == 0
    assert result.err == ""
    lesson = explain(topic)
    words = " ".join(result.out.split())
    for text in (lesson.title, *lesson.introduction, *(step.text for step in lesson.steps)):
        assert " ".join(text.split()) in words
    for number, step in enumerate(lesson.steps, 1):
        assert f"\n{number}. {step.rule}\n" in result.out
    parts = [step.part.upper() for step in lesson.steps]
    headings = [line for line in result.out.splitlines() if line in parts]
    assert headings == list(dict.fromkeys(parts))
    # The command at the end gives this lesson again.
    _, *words = shlex.split(result.out.splitlines()[-1])
    assert run(*words).out == result.out


def test_a_calculation_is_printed(run: Any) -> None:
    out = run("explain", "conv").out
    assert "y[0,1] = 2 * 1 + 0 * (-1) + 1 * 2 + 3 * 0 + 0.5 = 4.5\n" in out
    assert "dx[0,1] = 1 * (-1) + 0.5 * 1 = -0.5\n" in out
    out = run("explain", "pool", "--input", "x=1 2; 3 4").out
    assert "ymax[0,0] = max(1, 2, 3, 4) = 4\n" in out
    assert "dxmax[0,0] = 0\n" in out
    assert "dxmax[1,1] = dy[0,0] = 1\n" in out
    assert "dxavg[1,1] = 1 / 4 = 0.25\n" in out


@pytest.mark.parametrize("topic", TOPICS)
def test_json_is_one_event(run: Any, topic: str) -> None:
    (event,) = run("explain", topic, "--json").events
    assert event == {"event": "lesson", **explain(topic).as_dict()}


def test_own_numbers(run: Any) -> None:
    result = run(
        "explain", "chain-rule", "--input", "x=1", "--input", " z = 2.5e0 ", "--json"
    )  # fmt: skip
    (event,) = result.events
    assert event["inputs"] == {"x": "1", "y": "5", "z": "2.5"}
    values = {array["name"]: array["values"] for array in event["arrays"]}
    assert (values["f"], values["dx"], values["dz"]) == (15, 2.5, 6)


def test_topics_are_listed(run: Any) -> None:
    result = run("explain")
    assert result.code == 0
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    for topic, about in TOPICS.items():
        assert any(line.split() == [topic, *about.split()] for line in lines)
        for name, known in topic_module(topic).INPUTS.items():
            assert re.search(rf"^  {name}\b.*  {re.escape(known.about)}$", result.out, re.MULTILINE)
    examples = [line[line.index("gpucnn explain") :] for line in lines if "gpucnn" in line]
    assert len(examples) == 3
    for example in examples:
        if "--serve" not in example:
            assert run(*shlex.split(example)[1:]).code == 0
    events = run("explain", "--json").events
    assert [event["topic"] for event in events] == list(TOPICS)


BAD = ("many", "", "nan", "inf", "1e400", "1 2; 3", "1 2 3 4 5 6 7", "-1e7")


@pytest.mark.parametrize("topic", TOPICS)
def test_bad_numbers_end_in_an_error(run: Any, topic: str) -> None:
    for name in topic_module(topic).INPUTS:
        for text in BAD:
            result = run("explain", topic, "--input", f"{name}={text}", "--json")
            assert result.code == 2, (name, text)
            (event,) = result.events
            assert event["event"] == "error"
            assert name in event["message"]
            assert event["fix"]
            assert "Traceback" not in result.err
            assert "bug" not in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cnov"], "unknown topic 'cnov'"),
        (["--input", "x=1"], "--input without a topic"),
        (["conv", "--input", "1 2"], "--input '1 2' has no name"),
        (["conv", "--input", "=1"], "unknown input ''"),
        (["conv", "--input", "v=1"], "unknown input 'v'"),
        (["softmax", "--input", "label=3"], "the input label is 3"),
        (["pool", "--input", "kernel=5"], "the window has 5 x 5 pixels"),
    ],
)
def test_wrong_use_ends_in_an_error(run: Any, words: list[str], message: str) -> None:
    result = run("explain", *words)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith(f"error: {message}")
    assert "fix: " in result.err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch


def test_color_is_for_terminals(plain_environment: pytest.MonkeyPatch) -> None:
    lesson = explain("step")
    plain = lesson_text.text(lesson)
    assert not ESCAPE.search(plain)
    with plain_environment.context() as patch:
        patch.setattr(sys, "stdout", _Terminal())
        colored = lesson_text.text(lesson)
        patch.setenv("NO_COLOR", "1")
        without = lesson_text.text(lesson)
        patch.setenv("TERM", "dumb")
        dumb = lesson_text.text(lesson)
    assert COLOR.search(colored)
    assert not COLOR.search(without)
    assert dumb == plain
    assert ESCAPE.sub("", colored) == ESCAPE.sub("", without) == plain


def test_color_can_be_forced(run: Any, plain_environment: pytest.MonkeyPatch) -> None:
    for words in (["explain", "conv"], ["explain"]):
        plain = run(*words).out
        assert not ESCAPE.search(plain)
        with plain_environment.context() as patch:
            patch.setenv("FORCE_COLOR", "1")
            forced = run(*words).out
            assert run(*words, "--json").events
        assert ESCAPE.search(forced)
        assert ESCAPE.sub("", forced) == plain


def test_the_width_of_the_terminal_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lesson = explain("softmax")
    texts = set()
    for columns in ("20", "80", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        texts.add(lesson_text.text(lesson))
    assert len(texts) == 1
