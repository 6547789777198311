"""Foreign text for a message: names and contents of files, variables of the environment.

A terminal obeys control characters, and a newline can forge a line of output. So they are shown as
escapes: a file may be called "a\\x1b[2J". Letters of every script stay as they are.
"""

from __future__ import annotations

import os
import re
import unicodedata

LONGEST = 200  # characters of a foreign text in a message
_MOST = 20_000  # of a message, which may hold the log of a compiler
_LONG_WORD = re.compile(rf"[^\s/]{{{LONGEST + 1},}}")  # a path is many words
#: Controls, formats (as those that reverse the direction), halves of characters, ends of lines.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # Persian, Indian scripts and emoji are written with them


def on_one_line(text: str) -> str:
    """A text with each character that is not seen, also a newline, as an escape."""
    if text.isprintable():
        return text
    return "".join(_escape(c) if _is_unseen(c) else c for c in text)


def on_its_lines(text: str) -> str:
    """The same for a text of several lines, which it stays."""
    return "\n".join(map(on_one_line, text.split("\n")))


def quoted(text: object, longest: int = LONGEST) -> str:
    """A text on one line, cut after `longest` characters."""
    whole = text if isinstance(text, str) else str(text)
    shown = on_one_line(whole[: longest + 1])  # an escape is longer than its character
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


def quoted_path(path: str | os.PathLike[str]) -> str:
    """A path, whose names are cut after `LONGEST` characters, with blanks or without."""
    return "/".join(map(quoted, os.fspath(path).split("/")))


def for_message(text: str) -> str:
    """The part of a message on its lines, with the words in it cut after `LONGEST` characters."""
    whole = text if len(text) <= _MOST else f"{text[:_MOST]}..."
    return _LONG_WORD.sub(lambda word: f"{word[0][:LONGEST]}...", on_its_lines(whole))


def _escape(character: str) -> str:
    """An escape that Python reads; beyond ASCII, TOML reads it too."""
    code = ord(character)
    if code < 0x80:
        return repr(character)[1:-1]
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN and character not in _JOINERS
