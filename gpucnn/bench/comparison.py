"""Two records of one machine beside each other: which rows became faster, and which are lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gpucnn.bench.record import BenchRow, Record
from gpucnn.errors import UsageError

# Times of two machines that differ in one of these cannot be compared.
_SAME = ("device", "gpu", "cpu", "threads", "blas_core")


class Change(NamedTuple):
    """A row in two records."""

    row: BenchRow  # of the new one
    speed: float  # relative to the old one: above 1 it became faster
    by: str  # what was compared: "time", "value", or the baseline that both were timed beside


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


def compare(old: Record, new: Record) -> tuple[list[Change], list[BenchRow]]:
    """The rows that both have, and the rows that are lost.

    Where both were timed beside the same version of a baseline, the ratios to it are compared: the
    load of the machine slows both and cancels out. Otherwise the times are compared, or else the
    values.

    A row is lost if it was measured in `old`, and is missing or skipped in `new`. Only kinds of
    rows that `new` ran count. A skipped row is the one of `new`.
    """
    before = {row.key: row for row in old.rows}
    now = {row.key: row for row in new.rows}
    same = {name for name in new.machine if new.machine[name] == old.machine.get(name)}
    changes = [_change(before[key], row, same) for key, row in now.items() if key in before]
    kinds = {row.bench for row in new.rows}
    lost = [
        now.get(key, row)
        for key, row in before.items()
        if row.bench in kinds
        and (row.seconds is not None or row.value is not None)
        and (key not in now or now[key].skipped is not None)
    ]
    return [change for change in changes if change is not None], lost


def why_lost(row: BenchRow) -> str:
    """Why a row that is lost cannot be compared."""
    return f"skipped: {row.skipped}" if row.skipped else "is missing"


def _change(old: BenchRow, new: BenchRow, same: set[str]) -> Change | None:
    """`same` holds the baselines whose version is the same in both."""
    if old.seconds is None or new.seconds is None:
        if not (old.value and new.value and old.unit == new.unit):
            return None
        more_is_better = (new.unit or "").endswith("/s")  # fewer bytes or seconds are better
        speed = new.value / old.value if more_is_better else old.value / new.value
        return Change(new, speed, "value")
    for name, now in new.baselines.items():
        then = old.baselines.get(name)
        if name in same and then is not None and then.ratio is not None and now.ratio is not None:
            return Change(new, now.ratio.median / then.ratio.median, name)
    return Change(new, old.seconds.median / new.seconds.median, "time")
