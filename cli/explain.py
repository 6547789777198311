"""gpucnn explain"""

from __future__ import annotations

import click

from gpucnn.cli import lesson_text
from gpucnn.cli.completion import offer
from gpucnn.cli.output import Console, output_options
from gpucnn.errors import UsageError
from gpucnn.explain import TOPICS, explain, topic_module


@click.command()
@click.argument("topic", required=False, shell_complete=offer(*TOPICS))
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=NUMBERS",
    help='numbers of your own, as x="1 2 0; 0 1 3" or stride=2; may be repeated',
)
@output_options
def command(topic: str | None, inputs: tuple[str, ...], console: Console) -> None:
    """Explain TOPIC forward and backward: one small case, number by number.

    The library computes all numbers. Without TOPIC, list the topics and their inputs.
    """
    given = dict(_name_and_numbers(text) for text in inputs)
    if topic is None:
        if given:
            raise UsageError("--input without a topic", fix=f"name one of {', '.join(TOPICS)}")
        console.result("\n\n".join(map(_listing, TOPICS)))
        for name, about in TOPICS.items():
            console.event({"event": "topic", "topic": name, "about": about})
        return
    lesson = explain(topic, **given)
    console.result(lesson_text.text(lesson))
    console.event({"event": "lesson", **lesson.as_dict()})


def _name_and_numbers(text: str) -> tuple[str, str]:
    name, equals, numbers = text.partition("=")
    if not equals:
        raise UsageError(
            f"--input {text[:60]!r} has no name", fix='give NAME=NUMBERS, as in x="1 2; 3 4"'
        )
    return name.strip(), numbers


def _listing(topic: str) -> str:
    """A topic, and the inputs that it takes with their defaults."""
    lines = [f"{topic}: {TOPICS[topic]}"]
    for name, known in topic_module(topic).INPUTS.items():
        lines.append(f"  --input {name}={known.default!r}  {known.about}")
    return "\n".join(lines)
