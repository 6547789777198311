"""gpucnn bench ops | train | infer | data | all"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gpucnn.backend.cpu.diagnosis import blas_problem
from gpucnn.backend.cpu.parallel import set_threads
from gpucnn.backend.cuda.algorithms import ALGORITHMS
from gpucnn.bench import baselines, report
from gpucnn.bench.comparison import Change, check_same_machine, compare, why_lost
from gpucnn.bench.convolutions import SUITES
from gpucnn.bench.record import BenchRow, Record
from gpucnn.bench.session import DTYPES, KINDS, Bench, Options, Task
from gpucnn.cli.completion import offer
from gpucnn.cli.group import Group
from gpucnn.cli.options import Number, Whole, device_option
from gpucnn.cli.output import Console, OutputError, output_options, width_of
from gpucnn.cli.output_paths import check_picture, check_target
from gpucnn.cli.tables import RowProgress, text
from gpucnn.errors import Interrupted, UsageError, VerificationError
from gpucnn.writing import write_atomic

_HELP = {
    "ops": "Every primitive, on the shapes of a suite.",
    "train": "Training steps of the models, and the costs of a whole training.",
    "infer": "The models on one image, and on a batch.",
    "data": "Reading, shuffling, gathering and augmenting.",
    "all": "All of these.",
}
_CONTENTION = 0.05  # CPU contention above this fraction is reported
_KEEP = "to keep the rows that are measured until then, give --save FILE.json"
_FILES = offer(files=True)


def _flag(name: str, help: str, offered: Any = None, **options: Any) -> Any:
    return click.option(*name.split(), help=help, shell_complete=offered, **options)


_NAMES = (*baselines.installed(), "none")
_OLD, _PNG = {"metavar": "OLD.json"}, {"metavar": "FILE.png", "type": Path}
_SPEED = {"metavar": "SPEED", "type": Number(min=0, min_open=True)}
_FLAGS = (
    device_option,
    _flag("--suite", f"shapes: {', '.join(SUITES)} [mnist; on sim quick]", offer(*SUITES)),
    _flag(
        "--dtype", f"type of ops: {', '.join(DTYPES)} [float32]", offer(*DTYPES), default="float32"
    ),
    _flag("--verify/--no-verify", "check results first [yes]", default=True),
    _flag("--baseline", "torch, or none [torch if it can be used]", offer(*_NAMES), metavar="NAME"),
    _flag("--threads", "threads of the CPU backend [all usable cores]", type=Whole(1)),
    _flag("--seconds", "time for each call, about [0.5; quick 0.1]", type=Number(min=0)),
    _flag("--seed", "seed of the data [drawn]", type=click.IntRange(0)),
    _flag("--data-dir", "look for MNIST in this folder only [the cache directory]", _FILES),
    _flag("--save", "keep the results", _FILES, metavar="FILE.json", type=Path),
    _flag("--compare old", "speed relative to a saved record", _FILES, **_OLD),
    _flag("--fail-under", "exit 6 if a row has less than this of its speed in OLD.json", **_SPEED),
    _flag("--plot", "the roofline as a picture", _FILES, **_PNG),
)


_ALGORITHM = _flag(
    "--algorithm",
    f"algorithm of the CUDA kernels: {', '.join(ALGORITHMS)} [by the sizes]",
    offer(*ALGORITHMS),
    metavar="NAME",
)


@click.group("bench", cls=Group)
def command() -> None:
    """Verify, time, and compare with the roofline and PyTorch.

    Each result is compared with float64 before it is timed; a wrong one is not timed, and the
    command ends with exit code 6. The ceilings of the machine are measured in the same call.
    PyTorch, where it is installed, takes turns with gpucnn in the same process; a ratio is a speed
    ratio: above 1 gpucnn is faster. After Ctrl-C the file of --save has the rows measured so far.
    """


def _add(name: str, kinds: tuple[str, ...]) -> None:
    def measure(console: Console, **flags: Any) -> None:
        _bench(kinds, console, **flags)

    decorated: Callable[..., None] = output_options(measure)
    for flag in reversed((*_FLAGS, _ALGORITHM) if kinds == ("ops",) else _FLAGS):
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
    options = _options(console, **flags)
    before = None if old is None else Record.load(old)
    if save is not None:
        check_target(save, "--save", ".json")
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
        if before is not None:
            check_same_machine(before, bench.record.machine, old)
        try:
            _head(bench, console)
            tasks = bench.tasks(kinds)
            progress.total = len(tasks)
            _measure(bench, tasks, console, progress, save)
        except OutputError as error:
            error.fix = f"the rows that were measured are in {save}" if save else _KEEP
            raise
    record = bench.record
    console.result(text(report.tables(record), width_of(sys.stdout)))
    if plot is not None:
        from gpucnn.bench.roofline_plot import draw

        write_atomic(plot, draw(record), "--plot FILE")
        console.note(f"plot: {plot}")
    changes, lost = list[Change](), list[BenchRow]()
    if before is not None:
        changes, lost = compare(before, record)
        console.result(text([report.changes(changes, lost)], width_of(sys.stdout)))
    _judge(record, changes, lost, fail_under, old)
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
            "lost": [{"name": row.name, "case": row.case, "why": why_lost(row)} for row in lost],
        }
    )


def _options(
    console: Console,
    device: str,
    suite: str | None,
    baseline: str | None,
    seconds: float | None,
    seed: int | None,
    **flags: Any,
) -> Options:
    """The options with the values of those that were not given."""
    device = console.device(device)
    suite = suite or ("quick" if device == "sim" else "mnist")
    return Options(
        device=device,
        suite=suite,
        baselines=None if baseline is None else () if baseline == "none" else (baseline,),
        seconds=(0.1 if suite == "quick" else 0.5) if seconds is None else seconds,
        seed=random.randrange(2**32) if seed is None else seed,
        **flags,
    )


def _head(bench: Bench, console: Console) -> None:
    """Show the machine, and why its times are slow, missing or not verified."""
    record, options = bench.record, bench.options
    shown = ("machine", "commit", "date", "options", "ceilings")
    console.event({"event": "start", **{key: getattr(record, key) for key in shown}})
    console.note(*report.heading(record, width_of(sys.stderr)).split("\n"))
    if bench.backend.name == "cpu" and (problem := blas_problem()):
        console.note(f"note: {problem.cause}: {problem.fix}")
    if bench.backend.name == "cpu" and options.dtype == "float64" and options.verify:
        console.note("note: float64 on the CPU is the reference: it is timed, and not verified")
    if (error := bench.no_torch) is not None:
        console.note(f"note: no baseline: {error.message}: {error.cause}")
    if not bench.watch.ticks:
        console.note("note: the simulator does not time: rows are verified and counted")


def _measure(
    bench: Bench, tasks: list[Task], console: Console, progress: RowProgress, save: Path | None
) -> None:
    """Save each row as soon as it is measured, so that an interrupted call leaves a record."""
    record = bench.record
    try:
        for row in bench.run(tasks):
            if save is not None:
                record.save(save)
            progress.row(row)
            console.event({"event": "row", **asdict(row)})
    except KeyboardInterrupt:
        kept = f": the {len(record.rows)} rows that were measured are in {save}"
        raise Interrupted(
            "interrupted" + kept * bool(save and record.rows), fix=None if save else _KEEP
        ) from None
    if bench.watch.ticks and (record.others or 0) > _CONTENTION:
        console.note(
            f"note: other processes used {record.others:.0%} of the CPUs' time: the times are "
            "invalid; measure again when the machine is idle"
        )
    if save is not None:
        record.save(save)
        console.note(f"saved: {save}")


def _judge(
    record: Record,
    changes: list[Change],
    lost: list[BenchRow],
    fail_under: float | None,
    old: str | None,
) -> None:
    """Raise `VerificationError` if a row is wrong, lost, or slower than it may be."""
    if wrong := record.wrong:
        raise VerificationError(
            f"{len(wrong)} of {len(record.rows)} rows are wrong",
            cause="; ".join(f"{row.title}: {row.why_wrong}" for row in wrong),
            fix=f"run again with --seed {record.options['seed']} for the same data",
        )
    if fail_under is None:
        return
    if not changes:
        raise UsageError(
            f"{old} has no row in common with what was measured",
            fix="compare with a record of the same command, --suite and --dtype",
        )
    if lost:
        raise VerificationError(
            f"{len(lost)} of the rows of {old} cannot be compared: they were not measured",
            cause="; ".join(f"{row.title}: {why_lost(row)}" for row in lost),
            fix="see why they were skipped, or compare with a record of the same command",
        )
    if slow := [change for change in changes if change.speed < fail_under]:
        raise VerificationError(
            f"{len(slow)} of {len(changes)} rows have less than {fail_under:g} of their old speed",
            cause="; ".join(f"{c.row.title}: {c.speed:.2f}" for c in slow),
            fix="measure again on an idle machine; gpucnn profile shows where the time goes",
        )
