"""The lines of docs/lessons.md: where each idea lives.

python tests/lesson_table.py --write    puts the right line numbers into docs/lessons.md

A place is written as a path with the number of a line, and the name that is defined there:
`gpucnn/functions/loss.py:12` `mean_squared_error`. The name of a method has its class.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "lessons.md"
PLACE = re.compile(r"`([\w./]+):(\d+)` `([\w.]+)`")


class NotDefined(LookupError):
    """A file does not define a name."""


def line_of(path: str, name: str) -> int:
    """The line, from 1, on which a Python or CUDA file defines a name.

    Raises:
        NotDefined: it defines no such name.
    """
    lines = (ROOT / path).read_text().splitlines()
    start, indent = 0, ""
    for part in name.split("."):
        word = re.escape(part)
        patterns = (rf"{indent}(class|def) {word}\b", rf"{indent}{word}\b[^=(]*=", rf".*\b{word}\(")
        for pattern in patterns if path.endswith(".py") else patterns[2:]:
            found = [n for n in range(start, len(lines)) if re.match(pattern, lines[n])]
            if found:
                break
        else:
            raise NotDefined(f"{path} does not define {name}")
        start, indent = found[0], "    "
    return start + 1


def updated(page: str) -> str:
    """The page with the right line numbers."""
    return PLACE.sub(lambda place: f"`{place[1]}:{line_of(place[1], place[3])}` `{place[3]}`", page)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    PAGE.write_text(updated(PAGE.read_text()))
