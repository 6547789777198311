"""Lessons as one page of HTML: its style, its script and all numbers are inside of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources

from gpucnn.explain import topic_module
from gpucnn.explain.lesson import Lesson

_SCRIPTS = ("lesson.js", "graph.js", "number.js", "fields.js", "address.js", "page.js")


def page(lessons: Sequence[Lesson], given: Mapping[str, str] | None = None) -> str:
    """The page; its menu has one topic for each lesson.

    Args:
        given: for a page with a server, which computes with other numbers: the inputs that were
            given for the first lesson, by name. None for a file.
    """
    data = {
        "given": None if given is None else dict(given),
        "lessons": [lesson.as_dict() for lesson in lessons],
        "inputs": {
            lesson.topic: {n: i.about for n, i in topic_module(lesson.topic).INPUTS.items()}
            for lesson in lessons
        },
    }
    parts = {
        "policy": policy(),
        "style": _file("page.css"),
        "script": _script(),
        # No "<": a text that holds "</script>" does not end the block.
        "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    }
    return re.sub(r"<!--(\w+)-->", lambda found: parts[found[1]], _file("page.html"))


def policy() -> str:
    """The Content-Security-Policy: only the page's own style and script, and its own server."""
    return (
        f"default-src 'none'; style-src {_hash(_file('page.css'))}; "
        f"script-src {_hash(_script())}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _file(name: str) -> str:
    return resources.files("gpucnn.explain").joinpath("data", name).read_text(encoding="utf-8")


def _script() -> str:
    return '"use strict";\n{\n' + "\n".join(map(_file, _SCRIPTS)) + "}\n"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
