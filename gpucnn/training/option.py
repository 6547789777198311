"""One option of a training: its default, help text and limits, and the check of a value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpucnn.errors import UsageError, choose
from gpucnn.quoting import quoted

_HUGE = 2**63  # the largest integers of TOML and NumPy are below it
_LONGEST = 4096  # characters: no path of Linux is longer
_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    others: tuple[Callable[[str], object], Callable[[str], str]] | None = None,
    low: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field of a dataclass with its help text and limits; only ``low`` itself is allowed.

    Args:
        others: (whether a value is allowed besides the choices, how to write such a value).
    """
    limits = {"choices": choices, "others": others, "low": low, "above": above, "below": below}
    return dataclasses.field(default=default, metadata={"help": help, **limits})


def check(field: dataclasses.Field[Any], kind: type, value: Any, source: str) -> Any:
    """``value`` in the type of a field.

    Args:
        field: made by `option`.
        kind: its type.
        source: the origin of the value, for the message: " (from --lr)", or "".

    Raises:
        UsageError: it is of another type, or outside of the limits.
    """
    key, limits, fix = field.name, field.metadata, _wanted(field, kind)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and not -_HUGE < value < _HUGE:
        # The number may be too long for a message.
        raise UsageError(f"{key} is a number of {value.bit_length()} bits{source}", fix=fix)
    shown = quoted(repr(value))
    if isinstance(value, str) and len(value) > _LONGEST:
        raise UsageError(f"{key} is a text of {len(value):,} characters{source}", fix=fix)
    if isinstance(value, str) and "\0" in value:
        raise UsageError(f"{key} is {shown}{source}, which is no text in UTF-8", fix=fix)
    if isinstance(value, str) and value != value.encode(errors="ignore").decode():
        raise UsageError(
            f"{key} is {shown}{source}, which is no text in UTF-8",
            cause="the locale has no such letters, or the name has bytes of another encoding",
            fix="set LC_ALL=C.UTF-8 if the name is in UTF-8; otherwise rename it",
        )
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{key} is {shown}{source}, which is not {_NOUNS[kind]}", fix=fix)
    is_other, form = limits["others"] or (None, None)
    if limits["choices"] and not (is_other and is_other(value)):
        choose(dict.fromkeys(limits["choices"]), value, key, source, form(value) if form else "")
    if isinstance(value, (int, float)) and not (
        math.isfinite(value)
        and (limits["low"] is None or value >= limits["low"])
        and (limits["above"] is None or value > limits["above"])
        and (limits["below"] is None or value < limits["below"])
    ):
        raise UsageError(f"{key} is {value}{source}, which is out of range", fix=fix)
    return value


def _wanted(field: dataclasses.Field[Any], kind: type) -> str:
    """The values that a field takes, in words."""
    limits = field.metadata
    if limits["choices"]:
        return f"{field.name} is one of {', '.join(limits['choices'])}"
    noun = "a finite number" if kind is float else _NOUNS[kind]
    parts = [f"{field.name} takes {noun}"]
    if limits["low"] is not None:
        parts.append(f"of at least {limits['low']}")
    if limits["above"] is not None:
        parts.append(f"greater than {limits['above']}")
    if limits["below"] is not None:
        parts.append(("and " if len(parts) > 1 else "") + f"less than {limits['below']}")
    return " ".join(parts)
