"""What `gpucnn bench` prints of a record, and docs/benchmarks.md, which is made of records."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gpucnn.bench.record import Change, Record, Row
from gpucnn.bench.tables import (
    WIDTH,
    Table,
    baselines,
    beside,
    number,
    per_second,
    percent,
    ratio,
    tables,
    time,
    why_wrong,
    wrapped,
)

_PASSES = ("conv2d forward", "conv2d backward_input", "conv2d backward_weight")
_FIRST = {
    **{("train", model): ("batch 128",) for model in ("cnn", "lenet", "mlp")},
    **{("infer", model): ("batch 1", "batch 128") for model in ("cnn", "lenet")},
}
_VERBS = {"train": "training,", "infer": "inference,"}
_INTRODUCTION = """\
# Benchmarks

Written by

    gpucnn bench report docs/benchmarks/*.json > docs/benchmarks.md

from what `gpucnn bench all --save FILE.json` measured. A row with an "error" was compared with
float64 before it was timed; that is the relative L2 distance. What is measured and what it is set
beside take turns in one process, in float32 and with the same number of threads; PyTorch is in the
faster of its two layouts, and on a GPU lets cuDNN try its algorithms, without TF32.

"x torch" is a speed ratio, the median over pairs of turns: above 1 gpucnn is the faster. "±" is
half of what lies between the tenth and the ninetieth percentile of the times. "roof" is the share
of what the machine's two ceilings allow, which were measured in the same call: the arithmetic of
large matrix products (on a GPU of a loop of multiply-adds) and the bytes of a large copy. For a
whole network the roof is that of the arithmetic of its matrix products alone. Shares
may be above 100 %: what lies in a cache can be faster than the copy, and operations are counted as
the definition takes them, of which minimal filtering, here and in cuDNN, leaves some out."""


def heading(record: Record) -> str:
    """On what it is measured, and the ceilings."""
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
    return wrapped(f"{machine.get('device')}: " + ", ".join(part for part in parts if part), "  ")


def line(row: Row) -> str:
    """One row as it comes, in 80 columns."""
    parts = [time(row.seconds)] if row.seconds else []
    if row.skipped:
        parts = [f"skipped: {row.skipped}"]
    elif row.ok is False:
        parts = [f"WRONG: {why_wrong(row)}"]
    elif row.unit and row.value is not None:
        parts.append(f"{number(row.value)} {row.unit}")
    elif row.flop and row.seconds:
        parts.append(f"{per_second(row.flop, row.seconds)} GFLOP/s")
    if row.share is not None:
        parts.append(f"{percent(row.share)} of roof")
    parts += [f"x{ratio(peer)} {name}" for name, peer in row.baselines.items()]
    text = ", ".join(parts) or ("right" if row.ok else "counted")
    whole = f"{row.bench}: {row.title}: {text}"
    return whole if len(whole) <= WIDTH else whole[: WIDTH - 3] + "..."


def table(record: Record) -> str:
    """All rows, in 80 columns."""
    found: list[str] = []
    header: list[str] = []
    for each in tables(record):
        names = [column.header for column in each.columns]
        found.append(("\n" if found and names != header else "") + each.text(names != header))
        header = names
    return "\n".join(found)


def changes(found: Sequence[Change], lost: Sequence[Row] = ()) -> str:
    """How fast the rows are, relative to an older record, and which it had that are not there."""
    gone = [f"{row.bench}: {row.title}: {why_lost(row)}" for row in lost]
    if not found:
        return "\n".join(["no row in common with the older record", *gone])
    room = WIDTH - 22
    lines = [f"{'speed relative to the older record':{room}} {'speed':>7}  compared by"]
    for change in found:
        title = f"{change.row.bench}: {change.row.title}"
        lines.append(f"{title[:room]:{room}} {change.speed:7.2f}  {change.by}")
    mean = statistics.geometric_mean(change.speed for change in found)
    return "\n".join([*lines, f"{'geometric mean':{room}} {mean:7.2f}", *gone])


def why_lost(row: Row) -> str:
    """Why a row cannot be compared with what it was; of `record.lost`."""
    return f"skipped: {row.skipped}" if row.skipped else "is not there any more"


def page(records: Sequence[Record]) -> str:
    """docs/benchmarks.md."""
    return "\n\n".join([_INTRODUCTION, *map(_chapter, records)]) + "\n"


def _chapter(record: Record) -> str:
    machine = record.machine
    name = (
        f"{machine.get('gpu') or machine.get('cpu')} ({machine.get('device')}), {record.date[:10]}"
    )
    facts = [f"{key}: {value}" for key, value in machine.items() if key not in ("device", "memory")]
    if machine.get("memory"):
        facts.append(f"memory: {machine['memory'] / 1e9:.0f} GB")
    facts.append(f"commit: {record.commit or 'unknown'}")
    if record.ceilings is not None:
        flop, moved = record.ceilings["flop_per_second"], record.ceilings["bytes_per_second"]
        facts.append(f"ceilings: {flop / 1e9:,.0f} GFLOP/s, {moved / 1e9:,.1f} GB/s")
    if record.others is not None:
        facts.append(f"other processes took {record.others:.0%} of the processors' time")
    if not record.options.get("verify", True):
        facts.append("not verified: no result was compared with float64")
    if not record.complete:
        facts.append("interrupted: rows are missing")
    chapter = [f"## {name}", "\n".join(f"- {'; '.join(fact.splitlines())}" for fact in facts)]
    chapter += [each.markdown() for each in (*_glance(record), *tables(record))]
    return "\n\n".join(chapter)


def _glance(record: Record) -> Iterator[Table]:
    """What most people ask for first; nothing if it was not measured."""
    names = baselines(record)
    first = [
        replace(row, name=f"{_VERBS[row.bench]} {row.name}")
        for row in record.rows
        if row.case in _FIRST.get((row.bench, row.name), ())
    ]
    found = beside("at a glance", first, names)
    for each in tables(record):
        if each.title in _PASSES:
            found.notes += [f"{each.title}: {note}" for note in each.notes]
    if found.lines or found.notes:
        yield found
