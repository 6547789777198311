"""Lessons as one page of HTML: its style, its script and all numbers are inside of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpucnn.explain import topic_module
from gpucnn.explain.lesson import Lesson
from gpucnn.web import Page

_PAGE = Page(
    "gpucnn.explain",
    "gpucnn explain",
    ("lesson.js", "graph.js", "number.js", "fields.js", "address.js", "page.js"),
)


def page(lessons: Sequence[Lesson], given: Mapping[str, str] | None = None) -> str:
    """The page; its menu has one topic for each lesson.

    Args:
        given: for a page with a server, which computes with other numbers: the inputs that were
            given for the first lesson, by name. None for a file.
    """
    return _PAGE.html(
        {
            "given": None if given is None else dict(given),
            "lessons": [lesson.as_dict() for lesson in lessons],
            "inputs": {
                lesson.topic: {n: i.about for n, i in topic_module(lesson.topic).INPUTS.items()}
                for lesson in lessons
            },
        }
    )


def policy() -> str:
    """The Content-Security-Policy of the page."""
    return _PAGE.policy()
