"""gpucnn explain"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gpucnn.cli import lesson_text
from gpucnn.cli.address import ANY_PORT, PORT, run_server
from gpucnn.cli.completion import offer
from gpucnn.cli.output import Console, output_options
from gpucnn.cli.output_paths import PAGE, check_target
from gpucnn.errors import UsageError
from gpucnn.explain import TOPICS, Lesson, explain
from gpucnn.explain.page import page
from gpucnn.explain.server import Server
from gpucnn.writing import write_atomic


@click.command()
@click.argument("topic", required=False, shell_complete=offer(*TOPICS))
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=NUMBERS",
    help='numbers of your own, as x="1 2 0; 0 1 3" or stride=2; may be repeated',
)
@click.option(
    "--html",
    metavar="FILE.html",
    type=Path,
    help="write a page for a browser, which needs no network",
    shell_complete=offer(files=True),
)
@click.option(
    "--serve", is_flag=True, help="show the page on this machine, with fields for numbers"
)
@click.option("--port", type=PORT, help=f"port of --serve, {ANY_PORT}")
@click.option("--open", "open_", is_flag=True, help="open the page of --serve in a browser")
@output_options
def command(
    topic: str | None,
    inputs: tuple[str, ...],
    html: Path | None,
    serve: bool,
    port: int | None,
    open_: bool,
    console: Console,
) -> None:
    """Explain TOPIC forward and backward: one small case, number by number.

    The library computes all numbers. Without TOPIC, list the topics and their inputs.
    With --html or --serve, make a page of TOPIC, or of all topics.
    """
    given = dict(_name_and_numbers(text) for text in inputs)
    if topic is None and given:
        raise UsageError("--input without a topic", fix=f"name one of {', '.join(TOPICS)}")
    if html is not None and serve:
        raise UsageError("--html and --serve exclude each other", fix="give one of them")
    if not serve and (port is not None or open_):
        raise UsageError(f"{'--open' if open_ else '--port'} is for --serve", fix="add --serve")
    if html is not None or serve:
        if html is not None:
            check_target(html, "--html", *PAGE)
        lessons = [explain(name, **given) for name in ([topic] if topic else TOPICS)]
        if html is not None:
            _write(lessons, html, console)
        else:
            with Server(lessons, given, port) as server:
                run_server(server.serve_forever, server.address, open_, console)
        return
    if topic is None:
        console.result(lesson_text.listing(), colored=True)
        for name, about in TOPICS.items():
            console.event({"event": "topic", "topic": name, "about": about})
        return
    lesson = explain(topic, **given)
    console.result(lesson_text.text(lesson), colored=True)
    console.event({"event": "lesson", **lesson.as_dict()})


def _write(lessons: Sequence[Lesson], path: Path, console: Console) -> None:
    write_atomic(path, page(lessons).encode(), "--html FILE")
    console.note(f"page: {path}")
    console.event({"event": "page", "topics": [each.topic for each in lessons], "file": str(path)})


def _name_and_numbers(text: str) -> tuple[str, str]:
    name, equals, numbers = text.partition("=")
    if not equals:
        raise UsageError(
            f"--input {text[:60]!r} has no name", fix='give NAME=NUMBERS, as in x="1 2; 3 4"'
        )
    return name.strip(), numbers
