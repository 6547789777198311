"""The grid of a sweep: the values that some options of a training take."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from gpucnn.errors import UsageError, choose
from gpucnn.quoting import quoted
from gpucnn.training.config import FIELDS, check_value, field_type, flag_name, parse_value

MOST_RUNS = 1000  # of a sweep
_PLACES = ("name", "runs_dir")
#: Option of ``gpucnn train`` without its dashes -> field of `TrainConfig`, of those in a sweep.
OPTIONS = {flag_name(key)[2:]: key for key in FIELDS if key not in _PLACES} | {
    "learning-rate": "learning_rate"
}

_FROM = " (from --sweep)"

Settings = dict[str, Any]  # value by field


def parse_grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """The values by field that texts like "lr=1e-3,3e-3" and "seed=0..4" give.

    Values are separated by commas; a range a..b has all whole numbers from a to b.

    Raises:
        UsageError: a text is not of that form, an option is unknown or given twice, a value is not
            acceptable or given twice, or there are more than `MOST_RUNS` combinations.
    """
    grid: dict[str, list[Any]] = {}
    count = 1
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not values:
            raise UsageError(
                f"--sweep {quoted(repr(text))} has no values",
                fix="give an option and its values, as in lr=1e-3,3e-3 or seed=0..4",
            )
        key = choose(OPTIONS, name.strip().lstrip("-").replace("_", "-"), "option", _FROM)
        if key in grid:
            raise UsageError(
                f"--sweep gives {name} twice", fix=f"give all of its values in one: {name}=A,B,C"
            )
        grid[key] = _values(key, name, values)
        count *= len(grid[key])
        if count > MOST_RUNS:
            raise _too_many(count)
    return grid


def settings(grid: dict[str, list[Any]]) -> list[Settings]:
    """All combinations of the values of a grid; those of its last option vary fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def label(values: Settings) -> str:
    """Settings in words, each cut after 200 characters: "lr=0.001, seed=0"."""
    return ", ".join(map(quoted, _words(values)))


def word(value: Any) -> str:
    """A value as it is written on the command line; a number in the shortest form: 1e+09, 0.001."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def folder_name(number: int, count: int, values: Settings) -> str:
    """The name of the directory of run `number` of `count`: "03-lr=0.001-seed=2".

    Its number makes it unique; in the values, characters that a name should not have are "_".
    """
    plain = re.sub(r"[^\w.=+-]", "_", "-".join(_words(values)), flags=re.ASCII)
    return f"{number:0{len(str(count))}}-{plain}"[:100]


def _words(values: Settings) -> list[str]:
    return [f"{flag_name(key)[2:]}={word(value)}" for key, value in values.items()]


def _values(key: str, name: str, text: str) -> list[Any]:
    """The values of a field in a text like "1,3,5..8"."""
    found: list[Any] = []
    for part in text.split(","):
        for value in _range(key, name, part.strip()):
            value = check_value(key, value, "--sweep")
            if value in found:
                raise UsageError(
                    f"--sweep gives {quoted(f'{name}={value}')} twice",
                    cause="equal options give equal runs",
                    fix="give each value once, and other values of seed for more runs",
                )
            found.append(value)
            if len(found) > MOST_RUNS:
                raise _too_many(len(found))
    return found


def _range(key: str, name: str, text: str) -> Sequence[Any]:
    """The values of a range; or the one value that a text is."""
    kind, _ = field_type(key)
    given = quoted(f"{name}={text}")
    first, dots, last = text.partition("..")
    if kind is str or not dots:
        return [parse_value(key, text)]
    if kind is not int:
        raise UsageError(
            f"--sweep {given}: a range is of whole numbers, and {name} takes others",
            fix=f"list the values, as in {name}=A,B,C",
        )
    try:
        low, high = int(first), int(last)
    except ValueError as error:
        raise UsageError(
            f"--sweep {given}: {quoted(error)}", fix=f"give a range as {name}=0..4"
        ) from error
    low, high = (check_value(key, value, "--sweep") for value in (low, high))
    if high < low:
        raise UsageError(
            f"--sweep {given} is an empty range",
            fix=f"give the lower end first: {high}..{low}",
        )
    if high - low >= MOST_RUNS:
        raise _too_many(high - low + 1)
    return range(low, high + 1)


def _too_many(count: int) -> UsageError:
    return UsageError(
        f"--sweep would make {count:,} runs or more",
        cause=f"a sweep has at most {MOST_RUNS:,}",
        fix="give fewer values",
    )
