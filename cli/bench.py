"""gpucnn bench ops | train | infer | data | all"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gpucnn.backend.cpu.diagnosis import blas_problem
from gpucnn.backend.cpu.parallel import set_threads
from gpucnn.bench import baselines, report
from gpucnn.bench.record import Change, Record, Row, check_same_machine, compare, lost
from gpucnn.bench.session import DTYPES, KINDS, Bench, Options
from gpucnn.bench.shapes import SUITES
from gpucnn.bench.tables import why_wrong
from gpucnn.cli.completion import offer
from gpucnn.cli.group import Group
from gpucnn.cli.options import device_option
from gpucnn.cli.output import Console, OutputError, output_options
from gpucnn.cli.output_paths import check_picture, check_target
from gpucnn.cli.rows import RowProgress
from gpucnn.errors import Interrupted, UsageError, VerificationError
from gpucnn.training.files import write_atomic

_HELP = {
    "ops": "Every primitive, on the shapes of a suite.",
    "train": "Training steps of the models, and what a whole training costs.",
    "infer": "The models on one image, and on a batch.",
    "data": "Reading, shuffling, gathering and augmenting.",
    "all": "All of these.",
}
_DISTURBED = 0.05  # share of the CPUs' time from which on others are told of
_KEEP = "to keep what is measured until then, give --save FILE.json"
_FILES = offer(files=True)
_FLAGS = (
    device_option,
    click.option(
        "--suite",
        help=f"shapes: {', '.join(SUITES)} [mnist; on sim quick]",
        shell_complete=offer(*SUITES),
    ),
    click.option(
        "--dtype",
        default="float32",
        help=f"of ops: {', '.join(DTYPES)} [float32]",
        shell_complete=offer(*DTYPES),
    ),
    click.option("--verify/--no-verify", default=True, help="check results first [yes]"),
    click.option(
        "--baseline",
        metavar="NAMES",
        help="as torch, or none [those installed]",
        shell_complete=offer(*baselines.installed(), "none"),
    ),
    click.option("--threads", type=click.IntRange(1), help="of the CPU backend [all usable cores]"),
    click.option("--seconds", type=float, help="on timing a call, about [0.5; quick 0.1]"),
    click.option("--seed", type=click.IntRange(0), help="of the data [drawn]"),
    click.option(
        "--data-dir", help="the folder of MNIST [the cache directory]", shell_complete=_FILES
    ),
    click.option(
        "--save", type=Path, metavar="FILE.json", help="keep the results", shell_complete=_FILES
    ),
    click.option(
        "--compare",
        "old",
        metavar="OLD.json",
        help="speed relative to a saved record",
        shell_complete=_FILES,
    ),
    click.option(
        "--fail-under",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SPEED",
        help="exit 6 if a row has less than this of its speed in OLD.json",
    ),
    click.option(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="the roofline as a picture",
        shell_complete=_FILES,
    ),
)


@click.group("bench", cls=Group)
def command() -> None:
    """Check, time, and set beside the roofline and PyTorch.

    Each result is compared with float64 before it is timed; one that is wrong is not timed, and the
    command ends with exit code 6. The ceilings of the machine are measured in the same call. What
    is installed of PyTorch takes turns with gpucnn in the same process; a ratio is a speed ratio:
    above 1 gpucnn is the faster. Ctrl-C keeps what was measured in --save.
    """


def _add(name: str, kinds: tuple[str, ...]) -> None:
    def measure(console: Console, **flags: Any) -> None:
        _bench(kinds, console, **flags)

    decorated: Callable[..., None] = output_options(measure)
    for flag in reversed(_FLAGS):
        decorated = flag(decorated)
    command.command(name, help=_HELP[name])(decorated)


for _name in KINDS:
    _add(_name, (_name,))
_add("all", tuple(KINDS))


@command.command("report")
@click.argument("records", nargs=-1, required=True, metavar="RECORD.json...", shell_complete=_FILES)
def _report(records: tuple[str, ...]) -> None:
    """Print saved records as a page of Markdown."""
    click.echo(report.page([Record.load(path) for path in records]), nl=False)


def _bench(
    kinds: tuple[str, ...],
    console: Console,
    *,
    threads: int | None,
    save: Path | None,
    old: str | None,
    fail_under: float | None,
    plot: Path | None,
    **flags: Any,
) -> None:
    if fail_under is not None and old is None:
        raise UsageError(
            "--fail-under has nothing to compare with",
            cause="no record was given",
            fix="add --compare OLD.json",
        )
    if fail_under is not None and math.isnan(fail_under):
        raise UsageError(
            "--fail-under is nan",
            cause="it must be a number",
            fix="give one such as --fail-under 0.9",
        )
    options = _options(flags, console)
    before = None if old is None else Record.load(old)
    if save is not None:
        check_target(save, "--save")
    if plot is not None:
        check_picture(plot, options.device)
        if "ops" not in kinds:
            raise UsageError(
                "there is nothing for --plot to draw",
                cause="the roofline is of the operations",
                fix="use gpucnn bench ops or all",
            )
    if threads is not None:
        set_threads(threads)
    with RowProgress(console) as progress:
        bench = Bench(options, progress.now)
        record = bench.record
        if before is not None:
            check_same_machine(before, record.machine, old)
        try:
            _head(bench, console)
            progress.total = bench.count(kinds)
            _measure(bench, kinds, console, progress, save)
        except OutputError as error:
            error.fix = f"the rows that were measured are in {save}" if save else _KEEP
            raise
    console.result(report.table(record))
    if plot is not None:
        _draw(record, plot)
        console.note(f"plot: {plot}")
    changes = [] if before is None else compare(before, record)
    gone = [] if before is None else lost(before, record)
    if before is not None:
        console.result(report.changes(changes, gone))
    _judge(record, changes, gone, fail_under, old)
    console.event(
        {
            "event": "end",
            "complete": True,
            "rows": len(record.rows),
            "skipped": sum(row.skipped is not None for row in record.rows),
            "compared": [
                {"name": c.row.name, "case": c.row.case, "speed": c.speed, "by": c.by}
                for c in changes
            ],
            "lost": [
                {"name": row.name, "case": row.case, "why": report.why_lost(row)} for row in gone
            ],
        }
    )


def _options(flags: dict[str, Any], console: Console) -> Options:
    device = console.device(flags["device"])
    suite = flags["suite"] or ("quick" if device == "sim" else "mnist")
    names = flags["baseline"]
    chosen = baselines.installed() if names is None else [] if names == "none" else names.split(",")
    return Options(
        device=device,
        suite=suite,
        dtype=flags["dtype"],
        verify=flags["verify"],
        baselines=tuple(dict.fromkeys(name.strip() for name in chosen)),
        data_dir=flags["data_dir"],
        seconds=(0.1 if suite == "quick" else 0.5)
        if flags["seconds"] is None
        else flags["seconds"],
        seed=random.randrange(2**32) if flags["seed"] is None else flags["seed"],
    )


def _head(bench: Bench, console: Console) -> None:
    """What is measured on what, and what speaks against it."""
    record = bench.record
    console.event(
        {
            "event": "start",
            "machine": record.machine,
            "commit": record.commit,
            "date": record.date,
            "options": record.options,
            "ceilings": record.ceilings,
        }
    )
    console.note(report.heading(record))
    if bench.backend.name == "cpu" and (problem := blas_problem()):
        console.note(f"note: {problem.cause}: {problem.fix}")
    if not bench.watch.ticks:
        console.note("note: the simulator does not time: rows are verified and counted")


def _measure(
    bench: Bench, kinds: tuple[str, ...], console: Console, progress: RowProgress, save: Path | None
) -> None:
    """Each row is saved when it is there, so that whatever ends the call leaves a record."""
    record = bench.record
    try:
        for row in bench.run(kinds):
            if save is not None:
                record.save(save)
            progress.row(row)
            console.event({"event": "row", **asdict(row)})
    except KeyboardInterrupt:
        kept = f"the {len(record.rows)} rows that were measured are"
        raise Interrupted(
            f"interrupted: {kept} in {save}" if save and record.rows else "interrupted",
            fix=None if save else _KEEP,
        ) from None
    if (record.others or 0) > _DISTURBED:
        console.note(
            f"note: other processes took {record.others:.0%} of the CPUs' time meanwhile: "
            "measure again when they rest"
        )
    if save is not None:
        record.save(save)
        console.note(f"saved: {save}")


def _draw(record: Record, path: Path) -> None:
    from gpucnn.plots import roofline

    assert record.ceilings is not None  # `_bench` refuses to plot what is not timed
    points = []
    for row in record.rows:
        if row.seconds is not None and row.flop and row.nbytes:
            rivals = [peer.seconds for peer in row.baselines.values() if peer.seconds is not None]
            points += [
                roofline.Point(row.name, row.flop, row.nbytes, found.median, i > 0)
                for i, found in enumerate((row.seconds, *rivals))
            ]
    flop, nbytes = record.ceilings["flop_per_second"], record.ceilings["bytes_per_second"]
    write_atomic(path, roofline.draw(points, flop, nbytes, report.heading(record)), "--plot FILE")


def _judge(
    record: Record,
    changes: list[Change],
    gone: list[Row],
    fail_under: float | None,
    old: str | None,
) -> None:
    """Raise `VerificationError` if a row is wrong, lost, or slower than it may be."""
    if wrong := record.wrong:
        raise VerificationError(
            f"{len(wrong)} of {len(record.rows)} rows are wrong",
            cause="; ".join(f"{row.title}: {why_wrong(row)}" for row in wrong),
            fix=f"run again with --seed {record.options['seed']} for the same data",
        )
    if fail_under is None:
        return
    if not changes:
        raise UsageError(
            f"{old} has no row in common with what was measured",
            fix="compare with a record of the same command, --suite and --dtype",
        )
    if gone:
        raise VerificationError(
            f"{len(gone)} of the rows of {old} cannot be compared: they were not measured",
            cause="; ".join(f"{row.title}: {report.why_lost(row)}" for row in gone),
            fix="give them what they need, or compare with a record of the same command",
        )
    if slow := [change for change in changes if change.speed < fail_under]:
        raise VerificationError(
            f"{len(slow)} of {len(changes)} rows have less than {fail_under:g} of their old speed",
            cause="; ".join(f"{c.row.title}: {c.speed:.2f}" for c in slow),
            fix="measure again on a machine at rest; if it stays, look into them by gpucnn profile",
        )
