"""The tables that `gpucnn bench` prints of a record, and docs/benchmarks.md."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gpucnn.bench.comparison import Change, why_lost
from gpucnn.bench.record import BaselineResult, BenchRow, Record
from gpucnn.bench.tables import NOTHING, Table, billions_per_second, number, percent, time

_WIDTH = 80
_PASSES = ("conv2d forward", "conv2d backward_input", "conv2d backward_weight")
_FIRST = {
    **{("train", model): ("batch 128",) for model in ("cnn", "lenet", "mlp")},
    **{("infer", model): ("batch 1", "batch 128") for model in ("cnn", "lenet")},
}
_WHOLE, _GLANCE = "a whole training", "at a glance"  # tables with rows of several kinds
_KINDS = {"train": "training", "infer": "inference"}
_INTRODUCTION = Path(__file__).with_name("data") / "introduction.md"

Column = tuple[str, Callable[[BenchRow], str]]


def heading(record: Record, width: int | None = _WIDTH) -> str:
    """The machine and its ceilings, in lines of so many columns; None: in one line."""
    machine = record.machine
    parts = [
        str(machine.get("gpu") or machine.get("cpu")),
        f"{machine['threads']} threads" if "threads" in machine else "",
        str(machine.get("blas", "")),
        f"torch {machine.get('torch')}" if record.options.get("baselines") else "",
    ]
    if record.ceilings is not None:
        flop, moved = record.ceilings["flop_per_second"], record.ceilings["bytes_per_second"]
        parts.append(f"ceilings {flop / 1e9:,.0f} GFLOP/s and {moved / 1e9:,.0f} GB/s")
    text = f"{machine.get('device')}: " + ", ".join(part for part in parts if part)
    if width is None:
        return text
    return textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False)


def line(row: BenchRow, width: int | None = _WIDTH) -> str:
    """One row as it comes, cut to so many columns; None: whole."""
    parts = [time(row.seconds)] if row.seconds else []
    if problem := _problem(row):
        parts = [problem]
    elif row.unit and row.value is not None:
        parts.append(f"{number(row.value)} {row.unit}")
    elif row.flop and row.seconds:
        parts.append(f"{billions_per_second(row.flop, row.seconds)} GFLOP/s")
    if row.share is not None:
        parts.append(f"{percent(row.share)} of roof")
    parts += [f"x{_ratio(row)} {name}" for name in row.baselines]
    text = ", ".join(parts) or ("right" if row.ok else "counted")
    whole = f"{row.bench}: {row.title}: {text}"
    return whole if width is None or len(whole) <= width else whole[: width - 3] + "..."


def tables(record: Record) -> list[Table]:
    """All rows; those of one name are in one table."""
    groups: dict[str, list[BenchRow]] = {}
    for row in record.rows:
        groups.setdefault(_title(row), []).append(row)
    beside = any(row.baselines for row in record.rows)
    return [_table(title, rows, beside) for title, rows in groups.items()]


def changes(found: Sequence[Change], lost: Sequence[BenchRow] = ()) -> Table:
    """The speed of the rows relative to an older record, and the rows that are lost."""
    lines = [
        [f"{change.row.bench}: {change.row.title}", f"{change.speed:.2f}", change.by]
        for change in found
    ]
    notes = [f"{row.bench}: {row.title}: {why_lost(row)}" for row in lost]
    if found:
        mean = statistics.geometric_mean(change.speed for change in found)
        lines.append(["geometric mean", f"{mean:.2f}", ""])
    else:
        notes.insert(0, "no row in common with the older record")
    return Table("speed relative to the older record", ["speed", "compared by"], lines, notes)


def page(records: Sequence[Record]) -> str:
    """docs/benchmarks.md."""
    introduction = _INTRODUCTION.read_text(encoding="utf-8").rstrip()
    return "\n\n".join([introduction, *map(_chapter, records)]) + "\n"


def _title(row: BenchRow) -> str:
    """The title of the table that a row is in."""
    if row.bench in ("ops", "data"):
        return row.name if row.bench == "ops" else "data"
    if row.bench == "train" and not row.case.startswith("batch"):
        return _WHOLE
    return f"{_KINDS.get(row.bench, row.bench)}, {row.name}"


def _table(title: str, rows: Sequence[BenchRow], beside: bool) -> Table:
    """The table of the rows with one title; `beside`: with the columns of the baseline."""
    if title in (_WHOLE, _GLANCE):
        columns, notes = _TOTALS, []
    elif rows[0].bench == "ops":
        columns, notes = _OPERATIONS, list(_mean(rows))
    else:
        columns, notes = _STEPS, list(_evenness(rows))
    columns = [column for column in columns if beside or not column[0].endswith("torch")]
    lines, problems = [], []
    for row in rows:
        label = row.case if row.name in title else f"{row.name}, {row.case}"
        label += f", {row.dtype}" * (row.dtype not in (None, "float32"))
        if problem := _problem(row):
            problems.append(f"{label}: {problem}")
        else:
            lines.append([label, *(cell(row) for _, cell in columns)])
    return Table(title, [header for header, _ in columns], lines, problems + notes)


def _problem(row: BenchRow) -> str | None:
    """Why a row has no results."""
    if row.skipped:
        return f"skipped: {row.skipped}"
    return f"WRONG: {row.why_wrong}" if row.ok is False else None


def _mean(rows: Sequence[BenchRow]) -> Iterator[str]:
    """The geometric mean, to which twice and half as fast count the same."""
    ratios = [ratio.median for row in rows if (ratio := _torch(row).ratio) is not None]
    if len(ratios) > 1:
        mean = statistics.geometric_mean(ratios)
        yield f"geometric mean of the {len(ratios)} speeds beside torch: {mean:.2f}"


def _evenness(rows: Sequence[BenchRow]) -> Iterator[str]:
    """How much the batch size changes images/s in a training."""
    plain = [row for row in rows if re.fullmatch(r"batch \d+", row.case) and row.value]
    if len(plain) > 1 and plain[0].bench == "train":
        ours, theirs = (
            _lowest_of_highest(values)
            for values in ([r.value for r in plain], [_torch(r).value for r in plain])
        )
        yield (
            f"{plain[0].case} to {plain[-1].case.removeprefix('batch ')}: "
            f"the lowest images/s are {ours} of the highest" + f" (torch {theirs})" * bool(theirs)
        )


def _lowest_of_highest(values: Iterable[float | None]) -> str:
    """As in: 80%; empty if a value is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return percent(min(known) / max(known)) if len(known) == len(found) else ""


def _torch(row: BenchRow) -> BaselineResult:
    return row.baselines.get("torch", BaselineResult())


def _ratio(row: BenchRow) -> str:
    ratio = _torch(row).ratio
    return NOTHING if ratio is None else f"{ratio.median:.2f}"


def _amount(row: BenchRow, side: BenchRow | BaselineResult) -> str:
    """The value of a side in the row's unit, or without one its time."""
    return time(side.seconds) if side.value is None else f"{number(side.value)} {row.unit}"


def _spread(row: BenchRow) -> str:
    """Half of the range from the tenth to the ninetieth percentile, relative to the median."""
    if row.seconds is None:
        return NOTHING
    return percent((row.seconds.p90 - row.seconds.p10) / 2 / row.seconds.median)


def _error(row: BenchRow) -> str:
    """Relative L2, as in: 3e-07"""
    return NOTHING if row.error is None else f"{row.error:.0e}" if row.error else "0"


_TIME: list[Column] = [("time", lambda row: time(row.seconds)), ("±", _spread)]
_CHECKED: list[Column] = [("roof", lambda row: percent(row.share)), ("error", _error)]
_BESIDE: list[Column] = [("x torch", _ratio)]
_OPERATIONS: list[Column] = [
    *_TIME,
    ("GFLOP/s", lambda row: billions_per_second(row.flop, row.seconds)),
    ("GB/s", lambda row: billions_per_second(row.nbytes, row.seconds)),
    *_CHECKED,
    *_BESIDE,
]
_STEPS: list[Column] = [
    *_TIME,
    ("images/s", lambda row: number(row.value)),
    *_CHECKED,
    ("torch", lambda row: number(_torch(row).value)),
    *_BESIDE,
]
_TOTALS: list[Column] = [
    ("gpucnn", lambda row: _amount(row, row)),
    ("torch", lambda row: _amount(row, _torch(row))),
    *_BESIDE,
]


def _chapter(record: Record) -> str:
    machine = record.machine
    name = f"{machine.get('gpu') or machine.get('cpu')} ({machine.get('device')})"
    facts = [f"{key}: {value}" for key, value in machine.items() if key not in ("device", "memory")]
    if machine.get("memory"):
        facts.append(f"memory: {machine['memory'] / 1e9:.0f} GB")
    facts.append(f"commit: {record.commit or 'unknown'}")
    if record.ceilings is not None:
        flop, moved = record.ceilings["flop_per_second"], record.ceilings["bytes_per_second"]
        facts.append(f"ceilings: {flop / 1e9:,.0f} GFLOP/s, {moved / 1e9:,.1f} GB/s")
    if record.others is not None:
        facts.append(f"CPU contention: other processes used {record.others:.0%} of the CPUs' time")
    if not record.options.get("verify", True):
        facts.append("not verified: no result was compared with float64")
    if not record.complete:
        facts.append("interrupted: rows are missing")
    return "\n\n".join(
        [
            f"## {name}, {record.date[:10]}",
            "\n".join(f"- {'; '.join(fact.splitlines())}" for fact in facts),
            *(table.markdown() for table in (*_glance(record), *tables(record))),
        ]
    )


def _glance(record: Record) -> Iterator[Table]:
    """The results that most readers look for first; nothing if they were not measured."""
    first = [
        replace(row, name=f"{_KINDS.get(row.bench, row.bench)}, {row.name}")
        for row in record.rows
        if row.case in _FIRST.get((row.bench, row.name), ())
    ]
    notes = [
        f"{table.title}: {note}"
        for table in tables(record)
        if table.title in _PASSES
        for note in table.notes
    ]
    if first or notes:
        table = _table(_GLANCE, first, any(row.baselines for row in record.rows))
        yield table._replace(notes=[*table.notes, *notes])
