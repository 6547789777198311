"""Foreign text in messages: nothing that a terminal obeys, and no letter lost."""

from __future__ import annotations

import json
import tomllib

import pytest

from gpucnn.errors import GpucnnError
from gpucnn.quoting import LONGEST, on_its_lines, on_one_line, quoted

LETTERS = [
    "plain", "été", "日本語", "ひ\u3000ら", "Ελλάδα", "مرحبا", "می\u200cشود", "नमस्ते", "a\u00a0b",
    "👩\u200d🔬", "❤\ufe0f", "e\u0301", "\U0001fae9", "~!{}\\",
]  # fmt: skip


@pytest.mark.parametrize("text", LETTERS)
def test_letters_of_every_script_stay(text: str) -> None:
    assert on_one_line(text) == on_its_lines(text) == quoted(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x1b]52;c;QQ==\x07", "\\x1b]52;c;QQ==\\x07"),
        ("a\r\tb\x00\x7f", "a\\r\\tb\\x00\\x7f"),
        ("\x9b31m\x85", "\\u009b31m\\u0085"),
        ("gpj.\u202eexe\u2066", "gpj.\\u202eexe\\u2066"),
        ("\u2028\u2029\ufeff\u200b\udcff", "\\u2028\\u2029\\ufeff\\u200b\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_not_seen_becomes_an_escape(text: str, expected: str) -> None:
    assert on_one_line(text) == expected
    assert on_its_lines(f"{text}\n{text}") == f"{expected}\n{expected}"
    if "x" not in expected and "udcff" not in expected:
        assert tomllib.loads(f'a = "{expected}"') == {"a": text}
    if "\\u" in expected and "udcff" not in expected:
        assert json.loads(f'"{expected}"') == text


def test_newlines_stay_only_where_lines_are_meant() -> None:
    assert on_one_line("a\nb") == "a\\nb"
    assert on_its_lines("a\nb") == "a\nb"


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 10**6])
def test_a_long_text_is_cut(length: int) -> None:
    text = quoted("x" * length)
    assert text == "x" * length if length <= LONGEST else text == "x" * LONGEST + "..."


@pytest.mark.parametrize("letter", ["\x07", "\udcff", "\U000e0001"])
def test_escapes_count_as_they_are_shown(letter: str) -> None:
    for text in (letter * (LONGEST - 1), letter * LONGEST, letter * 5000):
        shown = quoted(text)
        assert len(shown) == LONGEST + len("...")
        assert (
            str(GpucnnError(f"unknown: {text}", fix="look")).split("\n")[0] == f"unknown: {shown}"
        )


def test_errors_hold_no_control_characters() -> None:
    error = GpucnnError("a\nerror: \x1b[2J", cause="b\x07\nfix: c", fix="d\x1b")
    assert str(error) == "a\\nerror: \\x1b[2J\ncause: b\\x07\n  fix: c\nfix: d\\x1b"
    assert error.as_dict()["message"] == "a\\nerror: \\x1b[2J"


def test_no_error_repeats_a_long_text() -> None:
    path = "/".join(["x" * 100] * 20)
    error = GpucnnError(f"the name {'y' * 9000} of {path}", cause="z" * 201, fix="a b " * 10**6)
    assert error.message == f"the name {'y' * 200}... of {path}"
    assert error.cause == "z" * 200 + "..."
    assert len(error.fix or "") < 21_000
