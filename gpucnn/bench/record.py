"""The results of a benchmark as rows, and the record that keeps them and the machine as JSON."""

from __future__ import annotations

import datetime
import json
import math
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from gpucnn import files
from gpucnn.backend import Backend
from gpucnn.bench.machine import commit, describe
from gpucnn.bench.stopwatch import Ratio, Seconds, Times
from gpucnn.errors import DataError, cause_of
from gpucnn.quoting import quoted
from gpucnn.writing import write_atomic

FORMAT = 1
CEILINGS = {"flop_per_second", "bytes_per_second"}
_AGAIN = "measure again: gpucnn bench ... --save FILE.json"


@dataclass
class BaselineResult:
    """A baseline's part of a row: its time, or its value."""

    layout: str | None = None  # the faster one of those that were tried
    seconds: Seconds | None = None
    value: float | None = None
    ratio: Ratio | None = None


@dataclass
class BenchRow:
    """One thing that was measured. The names of the attributes are those of the JSON.

    Attributes:
        bench: "ops", "train", "infer", "data" or "profile".
        name: as in "conv2d forward" or "cnn".
        case: the shape or the batch, as in "N64 28x28 1->32 3x3 p0 s1" or "batch 128"; of a profile
            "forward" or "backward".
        dtype: it was computed in.
        flop: floating-point operations; a multiply-add counts as two.
        nbytes: bytes, with every input read once and every output written once.
        ok: whether the error keeps to the bound; None: it was not verified.
        error: relative L2 distance from float64; None: not verified, or not finite.
        bound: of the error.
        seconds: of a call; None: it was not timed.
        floor: roofline time: the least seconds that the measured ceilings allow.
        share: roofline fraction: floor / median.
        value: images a second, or megabytes, as `unit` says.
        baselines: their results, by name.
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
    baselines: dict[str, BaselineResult] = field(default_factory=dict)
    skipped: str | None = None

    def set_times(
        self, ours: Times, torch: Times | None = None, *, layout: str | None = None, steps: int = 1
    ) -> None:
        """Put the times of our call into the row, and of PyTorch's, which took turns with it.

        Args:
            layout: of PyTorch's images.
            steps: that a call consists of; the row gets the time of one.
        """
        self.seconds = ours.seconds(steps)
        if torch is not None:
            result = BaselineResult(layout, torch.seconds(steps), None, ours.ratio(torch))
            self.baselines["torch"] = result

    @property
    def key(self) -> tuple[str, str, str, str | None]:
        """Identifies the row in another record."""
        return self.bench, self.name, self.case, self.dtype

    @property
    def title(self) -> str:
        """Name and case, for a message."""
        return f"{self.name} {self.case}".strip()

    @property
    def why_wrong(self) -> str:
        """The error and its bound, for a message."""
        if self.error is None:
            return "the result is not finite"
        return f"error {self.error:.1e}, bound {self.bound or 0:.1e}"


@dataclass
class Record:
    """All rows of one call of `gpucnn bench`. The names of the attributes are those of the JSON.

    Attributes:
        machine: device, driver, versions, threads, BLAS and its core type, CPU, memory.
        commit: of the checkout, else of $GPUCNN_COMMIT, else None.
        date: when it began, ISO 8601, UTC.
        options: of the call.
        ceilings: "flop_per_second" and "bytes_per_second"; None where nothing is timed.
        complete: False if it was interrupted.
        others: CPU contention: the fraction of the CPUs' time that other processes used; None: not
            known.
    """

    machine: dict[str, Any]
    commit: str | None
    date: str
    options: dict[str, Any]
    ceilings: dict[str, float] | None = None
    rows: list[BenchRow] = field(default_factory=list)
    complete: bool = False
    others: float | None = None

    @classmethod
    def begin(cls, backend: Backend, options: Mapping[str, Any]) -> Record:
        """A record of this machine and moment, without rows."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(describe(backend), commit(), now, dict(options))

    @property
    def wrong(self) -> list[BenchRow]:
        """The rows that failed their verification."""
        return [row for row in self.rows if row.ok is False]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON; an older file is replaced when all of it is written.

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
            found = json.loads(files.read_text(path), parse_constant=_refuse)
        except OSError as error:
            raise DataError(
                f"{path} cannot be read",
                cause=cause_of(error),
                fix="give a file that gpucnn bench ... --save FILE.json wrote",
            ) from error
        except (ValueError, RecursionError) as error:  # no JSON, or no text at all
            raise _no_record(path, str(error)) from error
        version = found.pop("format", None) if isinstance(found, dict) else None
        if version is None:
            raise _no_record(path, "it has no format number")
        if version != FORMAT:
            cause = f"its format is {quoted(version)}, this version reads {FORMAT}"
            raise _no_record(path, cause)
        try:
            record: Record = _made(cls, found)
            _made(float | None, record.machine.get("memory"))
            if record.ceilings is not None and set(record.ceilings) != CEILINGS:
                raise ValueError(f"its ceilings are {record.ceilings}")
            return record
        except (TypeError, KeyError, ValueError) as error:
            raise _no_record(path, quoted(error)) from error


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}")


def _no_record(path: object, cause: str) -> DataError:
    return DataError(
        f"{path} is not a record that this version of gpucnn bench reads", cause=cause, fix=_AGAIN
    )


def _made(kind: Any, found: Any) -> Any:
    """JSON values as a value of a type; `TypeError`, `KeyError` or `ValueError` if it is none."""
    outer, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return found
    if outer is types.UnionType:  # with None
        return None if found is None else _made(inner[0], found)
    if outer is list:
        return [_made(inner[0], value) for value in _made(list, found)]
    if outer is dict:
        return {name: _made(inner[1], value) for name, value in _made(dict, found).items()}
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        given = {name: _made(hints[name], value) for name, value in _made(dict, found).items()}
        if missing := hints.keys() - given.keys():
            raise KeyError(*missing)
        if kind in (Seconds, Ratio) and not all(given.values()):
            raise ValueError(f"{kind.__name__.lower()} are {given}")
        made: Any = kind
        return made(**given)
    fits = isinstance(found, (int, float) if kind is float else kind)
    if not fits or (isinstance(found, bool) and kind is not bool):
        raise TypeError(f"{found!r} is no {kind.__name__}")
    if kind is float and not 0 <= found < math.inf:
        raise ValueError(f"{found} is no size")
    return found
