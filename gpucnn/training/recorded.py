"""Reading the records of a run: metrics.jsonl and outcome.json, which may be damaged."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from gpucnn import files
from gpucnn.errors import cause_of
from gpucnn.nn.arguments import is_whole
from gpucnn.quoting import quoted

#: What is wrong with a line that a training which was killed may leave.
CUT = "is cut short"
_LONGEST_LINE = _LONGEST_OBJECT = 65_536  # bytes: of a line of records, of another file
_MOST_VALUES = 300_000  # of a file, which take 3 times its bytes: those of over 30,000 epochs
_LARGEST = float(np.finfo(np.float32).max)  # a training computes in float32


#: The numbers of a record, with their least and greatest value. It may have other fields.
NUMBERS = {
    "loss": (-_LARGEST, _LARGEST),
    "accuracy": (0, 1),
    "val_loss": (-_LARGEST, _LARGEST),
    "val_accuracy": (0, 1),
    "test_loss": (-_LARGEST, _LARGEST),
    "test_accuracy": (0, 1),
    "images_per_second": (0, _LARGEST),
    "seconds": (0, _LARGEST),
    "learning_rate": (0, _LARGEST),
}


def read_records(file: Path) -> tuple[list[dict[str, Any]], str | None]:
    """The records of the epochs in metrics.jsonl, up to the first line that is none.

    Returns:
        The records; and what is wrong with the next line: `CUT` if it is the last one and has no
        end, None if there is no other line.
    """
    records: list[dict[str, Any]] = []
    values = 0
    try:
        most = math.inf if files.limit_by_user() else _MOST_VALUES
        with files.open_regular(file) as lines:
            while line := lines.readline(_LONGEST_LINE + 1):
                values += sum(map(line.count, (b",", b"{", b"[")))
                if values > most:
                    return records, f"is beyond {most:,} values, and {files.VARIABLE} is not set"
                record = _parsed(line)
                if any(record_problems(record, len(records) + 1, ("loss", "seconds"))):
                    is_cut = len(line) <= _LONGEST_LINE and not line.endswith(b"\n")
                    return records, CUT if is_cut else "is no record of an epoch"
                # The records share the names of their fields.
                records.append({sys.intern(key): value for key, value in record.items()})
    except FileNotFoundError:
        pass
    except OSError as error:
        return [], f"cannot be read: {cause_of(error)}"
    return records, None


def _parsed(line: bytes) -> Any:
    """The value of a line of JSON; None if it is none, or too long."""
    with contextlib.suppress(ValueError, RecursionError):
        if len(line) <= _LONGEST_LINE:
            return json.loads(line.decode())
    return None


def record_problems(record: object, number: int, needed: Collection[str]) -> Iterator[str]:
    """What no training writes in the record of an epoch.

    Args:
        number: of the epoch.
        needed: numbers that it must have; others may be missing or None.
    """
    name = f"the record of epoch {number}"
    if not isinstance(record, dict):
        yield f"{name} is {shown(record)}, and no object"
        return
    if not is_whole(record.get("epoch")) or record["epoch"] != number:
        yield f"{name} says that its epoch is {shown(record.get('epoch'))}"
    for key, (least, most) in NUMBERS.items():
        if key in needed or record.get(key) is not None:
            yield from number_problems(record, key, least, most, name)
    if "val_accuracy" not in record:
        yield f"{name} has no val_accuracy"


def number_problems(
    values: Mapping[str, Any], key: str, least: float, most: float, owner: str
) -> Iterator[str]:
    """What is wrong with a value if it is no finite number from `least` to `most`."""
    value = values.get(key)
    if not is_number(value) or not least <= value <= most:
        known = [f"at least {least:g}"] * (least > -math.inf)
        known += [f"at most {most:g}"] * (most < math.inf)
        bounds = "".join(f", {bound}" for bound in known)
        yield f"{owner} has the {key} {shown(value)}, where a finite number{bounds} is"


def read_outcome(file: Path) -> dict[str, Any]:
    """The values in outcome.json; empty if there is no such file, or if it is damaged.

    Its texts are on one line and of 200 characters at most, then "...".
    """
    found = read_object(file)
    if not _is_outcome(found):
        return {}
    return {key: quoted(each) if isinstance(each, str) else each for key, each in found.items()}


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(files.read_text(file, _LONGEST_OBJECT))
        if isinstance(found, dict):
            return found
    return {}


def _is_outcome(found: dict[str, Any]) -> bool:
    """Whether these are values that `Run.end` writes."""
    seconds, date = found.get("seconds"), found.get("date")
    texts = (found.get(key) for key in ("message", "cause"))
    if not (isinstance(found.get("reason"), str) and isinstance(date, str)):
        return False
    with contextlib.suppress(ValueError):
        datetime.datetime.fromisoformat(date)
        is_time = is_number(seconds) and seconds >= 0
        return is_time and all(isinstance(text, str | None) for text in texts)
    return False


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a number that float32 can hold: it is finite, and so are sums."""
    return type(value) in (int, float) and abs(value) <= _LARGEST


def shown(value: object) -> str:
    """A value for a message."""
    return quoted(repr(value), 40)
