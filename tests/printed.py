"""Checks of what a command printed."""

from __future__ import annotations

import unicodedata
from typing import Any


def check_printed(result: Any, code: int = 0, shown: str = "") -> None:
    """The exit code is `code`, `shown` was printed, and nothing that steers a terminal.

    There are only letters and ends of lines, and no line of a name or a content passes for one of
    gpucnn's.
    """
    assert result.code == code, result.err
    text = result.out + result.err
    for character in set(text) - {"\n"}:
        assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), text
    lines = [line.strip() for line in text.splitlines()]
    assert sum(line.startswith("error:") for line in lines) == (code != 0), text
    assert "fix: forged" not in lines
    assert shown in text
