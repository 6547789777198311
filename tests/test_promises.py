"""docs/reliability.md: each promise names tests, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text()
SHOWN = re.sub(r"<!--.*?-->", "", PAGE, flags=re.DOTALL)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_promise_has_tests() -> None:
    promised = SHOWN[: SHOWN.index("## What is not promised")]
    promises = re.split(r"^- ", promised, flags=re.MULTILINE)[1:]
    assert len(promises) > 20
    for promise in promises:
        assert TEST.search(promise), promise


def test_every_test_that_is_named_exists() -> None:
    named = set(TEST.findall(SHOWN))
    assert len(named) == len(set(re.findall(r"tests/[\w/.]+::\w+", SHOWN)))
    for file, name in sorted(named):
        assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text(), re.MULTILINE), name


def test_every_script_that_is_named_exists() -> None:
    scripts = re.findall(r"python (tests/\w+\.py)", SHOWN)
    assert len(scripts) == 3
    assert all((ROOT / script).is_file() for script in scripts)
