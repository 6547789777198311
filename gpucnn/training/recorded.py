"""Reading the records of a run: metrics.jsonl and outcome.json, which may be damaged."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from pathlib import Path
from typing import Any

from gpucnn import files


def read_records(file: Path) -> tuple[list[dict[str, Any]], str | None]:
    """The records of the epochs in metrics.jsonl, up to the first line that is none.

    Returns:
        The records, and what is left of the text: None, or from that line on.
    """
    try:
        text = files.read_text(file)
    except FileNotFoundError:
        return [], None
    except (OSError, ValueError) as error:
        return [], str(error)
    records: list[Any] = []
    lines = text.splitlines(keepends=True)
    for place, line in enumerate(lines):
        record = None
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line)
        if not _is_record(record):
            return records, "".join(lines[place:])
        records.append(record)
    return records, None


def read_outcome(file: Path) -> dict[str, Any]:
    """The values in outcome.json; empty if there is no such file, or if it is damaged."""
    found = read_object(file)
    return found if _is_outcome(found) else {}


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(files.read_text(file))
        if isinstance(found, dict):
            return found
    return {}


def _is_record(found: Any) -> bool:
    """Whether a value is the record of an epoch, as `History` has it."""
    return (
        isinstance(found, dict)
        and type(found.get("epoch")) is int
        and all(is_number(found.get(key)) for key in ("loss", "seconds"))
        and all(found.get(key) is None or is_number(found[key]) for key in _MAY_BE_NONE)
        and "val_accuracy" in found
    )


_MAY_BE_NONE = ("accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy")


def _is_outcome(found: dict[str, Any]) -> bool:
    """Whether these are values that `Run.end` writes."""
    seconds, date = found.get("seconds"), found.get("date")
    texts = (found.get(key) for key in ("message", "cause"))
    if not (isinstance(found.get("reason"), str) and isinstance(date, str)):
        return False
    with contextlib.suppress(ValueError):
        datetime.datetime.fromisoformat(date)
        return is_number(seconds) and all(isinstance(text, str | None) for text in texts)
    return False


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number; a whole one may be larger than every float."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
