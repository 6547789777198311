"""What was measured, on which machine, and how to set two such records side by side."""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gpucnn.backend import Backend
from gpucnn.bench.machine import commit, describe
from gpucnn.errors import DataError, UsageError
from gpucnn.training.files import write_atomic

Numbers = TypeVar("Numbers", "Seconds", "Ratio")

FORMAT = 1
# Times of two machines that differ in one of these are not of the same thing.
_SAME = ("device", "gpu", "cpu", "threads", "blas_core")


@dataclass(frozen=True)
class Seconds:
    """Of one call; `host` is until it returned: on a GPU the time to launch."""

    median: float
    p10: float
    p90: float
    host: float


@dataclass(frozen=True)
class Ratio:
    """Their time over ours, pair by pair: above 1 ours is the faster."""

    median: float
    p10: float
    p90: float


@dataclass(frozen=True)
class Peer:
    """A baseline's part of a row: a time, or the value of what is not a time."""

    layout: str | None = None  # the faster one, of those it was tried in
    seconds: Seconds | None = None
    value: float | None = None
    ratio: Ratio | None = None


@dataclass
class Row:
    """One thing that was measured.

    Attributes:
        bench: "ops", "train", "infer" or "data".
        name: what: "conv2d forward", "cnn".
        case: on what: "N64 28x28 1->32 3x3 p0 s1", "batch 128".
        dtype: it was computed in.
        flop: floating-point operations, a multiply-add counted as two.
        nbytes: every input read once and every output written once.
        ok: whether the error keeps to the bound; None: it was not verified.
        error: relative L2 distance from float64; None: not verified, or not finite.
        bound: of the error.
        seconds: of a call; None: it was not timed.
        floor: seconds below which the measured ceilings do not let it be.
        share: floor / median: of the roofline.
        value: of what is not a time, in `unit`.
        baselines: by their names.
        skipped: why it was left out.
    """

    bench: str
    name: str
    case: str
    dtype: str | None = None
    flop: float | None = None
    nbytes: float | None = None
    ok: bool | None = None
    error: float | None = None
    bound: float | None = None
    seconds: Seconds | None = None
    floor: float | None = None
    share: float | None = None
    value: float | None = None
    unit: str | None = None
    baselines: dict[str, Peer] = field(default_factory=dict)
    skipped: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str | None]:
        """What makes it the same row of another record."""
        return self.bench, self.name, self.case, self.dtype

    @property
    def title(self) -> str:
        """Its name for a message."""
        return f"{self.name} {self.case}".strip()


@dataclass
class Record:
    """All rows of one call of `gpucnn bench`.

    Attributes:
        machine: device, driver, versions, threads, BLAS and its core type, CPU, memory.
        commit: of the checkout, else of $GPUCNN_COMMIT, else None.
        date: when it began, ISO 8601, UTC.
        options: of the call.
        ceilings: "flop_per_second" and "bytes_per_second"; None where nothing is timed.
        complete: False if it was interrupted.
        others: share of the CPUs' time that other processes took meanwhile; None: not known.
    """

    machine: dict[str, Any]
    commit: str | None
    date: str
    options: dict[str, Any]
    ceilings: dict[str, float] | None = None
    rows: list[Row] = field(default_factory=list)
    complete: bool = False
    others: float | None = None

    @classmethod
    def begin(cls, backend: Backend, options: Mapping[str, Any]) -> Record:
        """Without rows, of this machine and moment."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(describe(backend), commit(), now, dict(options))

    @property
    def wrong(self) -> list[Row]:
        """The rows that failed their verification."""
        return [row for row in self.rows if row.ok is False]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON; what was there is kept until all of it is written.

        Raises:
            StorageError: it cannot be written there.
        """
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False)
        write_atomic(Path(path), text.encode() + b"\n", "--save FILE")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Record:
        """Read what `save` wrote.

        Raises:
            DataError: it is missing, no record, or a record of another format.
        """
        try:
            found = json.loads(Path(path).read_text())
        except OSError as error:
            raise DataError(
                f"{path} cannot be read",
                cause=error.strerror,
                fix="give a file that gpucnn bench ... --save FILE.json wrote",
            ) from error
        except ValueError as error:  # no JSON, or no text at all
            raise DataError(
                f"{path} is not a record of gpucnn bench", cause=str(error), fix=_AGAIN
            ) from error
        format_ = found.pop("format", None) if isinstance(found, dict) else None
        if format_ != FORMAT:
            raise DataError(
                f"{path} is not a record that this version reads",
                cause="it does not say its format"
                if format_ is None
                else f"its format is {format_!r}, this version reads {FORMAT}",
                fix=_AGAIN,
            )
        try:
            record = cls(**{**found, "rows": [_row(row) for row in found["rows"]]})
            record.machine.keys(), record.options.keys()
            return record
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise DataError(
                f"{path} is not a whole record of gpucnn bench", cause=str(error), fix=_AGAIN
            ) from error


_AGAIN = "measure again: gpucnn bench ... --save FILE.json"


class Change(NamedTuple):
    """A row in two records."""

    row: Row  # of the new one
    speed: float  # relative to the old: above 1 it has become faster
    by: str  # what was compared: "time", "value", or the baseline that both were set beside


def check_same_machine(old: Record, machine: Mapping[str, Any], path: object) -> None:
    """Raise `UsageError` if `old` is of another machine, device, or number of threads."""
    differ = [
        f"{key} was {old.machine.get(key)}, now it is {machine.get(key)}"
        for key in _SAME
        if old.machine.get(key) != machine.get(key)
    ]
    if differ:
        raise UsageError(
            f"{path} cannot be compared with",
            cause="; ".join(differ),
            fix="compare with a record of this machine and device: gpucnn bench ... --save FILE",
        )


def compare(old: Record, new: Record) -> list[Change]:
    """How fast each row is that both have, relative to the old one.

    Where both were timed beside the same version of a baseline, the ratios to it are compared: what
    else the machine was doing slows both sides and cancels. Otherwise the times are. Of what is not
    a time the values are compared.
    """
    before = {row.key: row for row in old.rows}
    same = {name for name in new.machine if new.machine[name] == old.machine.get(name)}
    return [
        change
        for row in new.rows
        if row.key in before and (change := _change(before[row.key], row, same)) is not None
    ]


def lost(old: Record, new: Record) -> list[Row]:
    """Rows of `old` that were measured there and that `new` skipped or has not, though it ran
    their kind; what it skipped is told by its own row.
    """
    kinds = {row.bench for row in new.rows}
    now = {row.key: row for row in new.rows}
    return [
        now.get(row.key, row)
        for row in old.rows
        if row.bench in kinds
        and (row.seconds is not None or row.value is not None)
        and (row.key not in now or now[row.key].skipped is not None)
    ]


def _change(old: Row, new: Row, same: set[str]) -> Change | None:
    """`same` holds the baselines whose version is the same in both."""
    if old.seconds is None or new.seconds is None:
        if not (old.value and new.value and old.unit == new.unit):
            return None
        more_is_better = (new.unit or "").endswith("/s")  # less, of bytes and of seconds
        speed = new.value / old.value if more_is_better else old.value / new.value
        return Change(new, speed, "value")
    for name, peer in new.baselines.items():
        then = old.baselines.get(name)
        if name in same and then is not None and then.ratio is not None and peer.ratio is not None:
            return Change(new, peer.ratio.median / then.ratio.median, name)
    return Change(new, old.seconds.median / new.seconds.median, "time")


def _row(found: dict[str, Any]) -> Row:
    """A row from JSON; `TypeError` or `ValueError` if it cannot be one."""
    peers = {
        name: Peer(
            peer["layout"], _numbers(Seconds, peer["seconds"]), peer["value"],
            _numbers(Ratio, peer["ratio"]),
        )
        for name, peer in found["baselines"].items()
    }  # fmt: skip
    row = Row(**{**found, "seconds": _numbers(Seconds, found["seconds"]), "baselines": peers})
    hash(row.key)
    return row


def _numbers(kind: type[Numbers], found: dict[str, float] | None) -> Numbers | None:
    if found is None:
        return None
    numbers = kind(**found)
    if not all(isinstance(n, int | float) and 0 < n < math.inf for n in found.values()):
        raise ValueError(f"{kind.__name__.lower()} are {found}")
    return numbers
