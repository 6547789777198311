"""The sweeps of `gpucnn train --sweep`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gpucnn.cli import outcome
from gpucnn.cli.output import Console, OutputError
from gpucnn.cli.preparation import (
    configure,
    load,
    make_trainer,
    prepare_resumed,
    require_trust,
    resumed_config,
)
from gpucnn.cli.progress import JsonEvents
from gpucnn.data import Splits
from gpucnn.errors import DivergedError, GpucnnError, Interrupted, OutOfMemoryError, UsageError
from gpucnn.nn.summary import aligned
from gpucnn.quoting import quoted
from gpucnn.training import Callback, TrainConfig, Trainer, fit_trainer
from gpucnn.training.code import Code
from gpucnn.training.config import check_name, flag_name
from gpucnn.training.grid import Settings, label, parse_grid, settings, word
from gpucnn.training.history import History
from gpucnn.training.sweep import Spread, Sweep, metric_of, spreads
from gpucnn.training.sweep_rows import DIVERGED, OUT_OF_MEMORY, Row
from gpucnn.training.used import tested

Shown = Callable[[type[JsonEvents]], list[Callback]]  # the callbacks that show a training


class RunEvents(JsonEvents):
    """The events of a run in a sweep: `JsonEvents` without "end", which is that of the sweep."""

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        pass


class _Data:
    """Reads data, and keeps those that were read last: most sweeps have one data set."""

    def __init__(self) -> None:
        self._key: Any = None
        self._data: Splits | None = None

    def __call__(self, config: TrainConfig, console: Console) -> Splits:
        key = (config.data, config.data_dir, config.validation, config.reading)
        if self._data is None or key != self._key:
            self._data = None  # there need not be room for both
            self._data, self._key = load(config, console), key
        return self._data


def start(
    texts: Sequence[str],
    given: dict[str, Any],
    flags: dict[str, Any],
    named_by: str | None,
    trust_code: bool,
    dry_run: bool,
    console: Console,
    shown: Shown,
) -> None:
    """Make a sweep, and train its runs; or with `dry_run` list them.

    Args:
        texts: the values of ``--sweep``.
        given: the other options, of all sources.
        flags: those of them on the command line; None stands for one that is not there.
        named_by: the file of options that `given` has a model of, if it has one.
        shown: makes the callbacks that show a training, with these JSON events.

    Raises:
        UsageError, DataError: a run cannot be trained with its options; nothing was written.
        Interrupted: Ctrl-C or SIGTERM; `resume` goes on.
    """
    grid = parse_grid(texts)
    for key in grid:
        if flags.get(key) is not None:
            raise UsageError(
                f"{flag_name(key)} and --sweep give the same option", fix="leave one of them out"
            )
    name = given.pop("name", None)
    if name is not None:
        check_name(name)
    data = _Data()
    runs: list[tuple[Settings, TrainConfig, Code | None]] = []
    devices = []
    quiet = Console(quiet=True)
    for values in settings(grid):
        try:
            config = configure({**given, **values}, quiet)
            code = Code.parse(config.model)
            if "model" not in values and flags["model"] is None:
                require_trust(code, named_by or config.weights, trust_code)
            config = replace(config, device=(quiet if runs else console).device(config.device))
            trainer = make_trainer(config, data(config, console), code, quiet)
            if config.weights is not None:
                trainer.start_from(config.weights)
        except GpucnnError as error:
            error.message = f"{label(values)}: {error.message}"
            raise
        runs.append((values, config, code))
        devices.append(trainer.backend)
    if dry_run:
        for values, _, _ in runs:
            console.event({"event": "run", "settings": values})
            console.result(label(values))
        return
    runs_dir = runs[0][1].runs_dir
    sweep = Sweep.create(runs_dir, name, runs, devices)
    _Session(sweep, {}, True, console, shown, data).train()


def resume(
    sweep: Sweep, flags: dict[str, Any], trust_code: bool, console: Console, shown: Shown
) -> None:
    """Go on with a sweep: finished runs are not repeated, an interrupted one goes on.

    Args:
        flags: the options that may change when a run is resumed.

    Raises:
        UsageError: another option was given.
        Interrupted: as in `start`.
    """
    resumed_config(sweep.run(sweep.rows[0]), flags)  # refuses the others, also if nothing is left
    _Session(sweep, flags, trust_code, console, shown, _Data()).train()


@dataclass
class _Session:
    """The training of the runs of a sweep; for the arguments see `resume`."""

    sweep: Sweep
    flags: dict[str, Any]
    trust_code: bool
    console: Console
    shown: Shown
    data: _Data

    def train(self) -> None:
        """Train the runs that have no result yet, and show the table."""
        try:
            with self.sweep.lock():
                self._train_all()
            _show(self.sweep, self.console)
        except KeyboardInterrupt:
            raise Interrupted("interrupted", fix=self._go_on) from None
        except OutputError as error:
            error.fix = self._go_on
            raise

    @property
    def _go_on(self) -> str:
        return f"go on with: {self.sweep.resume_command}"

    def _train_all(self) -> None:
        sweep, console = self.sweep, self.console
        console.note(f"sweep: {sweep.path}, {len(sweep.rows)} runs")
        console.event({"event": "sweep", "path": str(sweep.path), "runs": len(sweep.rows)})
        for number, row in enumerate(sweep.rows, 1):
            if row.state is None:
                console.note("", f"run {number} of {len(sweep.rows)}: {label(row.settings)}")
                self._train_one(row)
                console.note(_line(row, self.sweep.run(row).config()))
                path = str(sweep.run(row).path)
                console.event({"event": "run", **row.as_dict(), "run": path})

    def _train_one(self, row: Row) -> None:
        """Train a run, or go on with it, and record its result or that it diverged."""
        run = self.sweep.run(row)
        try:
            config = resumed_config(run, self.flags)
            quiet = Console(quiet=True)
            trainer = prepare_resumed(run, config, self.trust_code, quiet, self.data)
            if config.weights is not None and not run.has_checkpoint():
                self.console.note(trainer.start_from(config.weights))
            history = fit_trainer(trainer, self.shown(RunEvents), run=run, resume=True)
        except (DivergedError, OutOfMemoryError) as error:
            state = DIVERGED if isinstance(error, DivergedError) else OUT_OF_MEMORY
            self.sweep.fail(row, state, error.message)
        except GpucnnError as error:
            if error.fix is not None:
                error.fix = error.fix.replace(run.resume_command, self.sweep.resume_command)
            raise
        else:
            self.sweep.finish(row, history)
            outcome.save_pictures(trainer, run, quiet)


def _names(config: TrainConfig) -> dict[str, str]:
    """The metrics of a run in words."""
    part = tested(config)
    return {
        "val_accuracy": "validation accuracy",
        "test_accuracy": "test accuracy" if part == "test set" else f"accuracy on the {part}",
        "accuracy": "training accuracy",
    }


def _line(row: Row, config: TrainConfig) -> str:
    """The result of a run with these options in a line."""
    if row.has_failed:
        return f"{row.state}: {quoted(row.message)}"
    results = ((name, row.results[key]) for key, name in _names(config).items())
    shown = [f"{name} {result:.2%}" for name, result in results if result is not None]
    return f"{row.state}: {', '.join(shown)}"


def _show(sweep: Sweep, console: Console) -> None:
    """The table of a sweep, and its last events."""
    metric = metric_of(sweep.rows)
    found = spreads(sweep.rows, metric)
    for spread in found:
        console.event({"event": "setting", "metric": metric, **asdict(spread)})
    failed = sum(row.has_failed for row in sweep.rows)
    results = {"finished": len(sweep.rows) - failed, "failed": failed}
    console.event({"event": "end", "path": str(sweep.path), **results})
    over = " over the seeds" * any("seed" in row.settings for row in sweep.rows)
    names = _names(sweep.run(sweep.rows[-1]).config())
    title = f"{names[metric]} of the last epoch{over}"
    console.note("")
    console.result("\n".join([title, *_table(found)]))
    console.note(f"results: {sweep.path / 'sweep.csv'}")


def _table(found: Sequence[Spread]) -> list[str]:
    """A line for each combination of the settings other than the seed."""
    keys = list(found[0].settings)
    failures = any(spread.failed for spread in found)
    head = [flag_name(key)[2:] for key in keys]
    rows = [[*head, "runs", "mean", "std", "lowest", "highest", *(["failed"] * failures)]]
    for spread in found:
        numbers = (spread.mean, spread.std, spread.lowest, spread.highest)
        rows.append(
            [
                *(_short(spread.settings[key]) for key in keys),
                str(spread.runs),
                *("-" if number is None else f"{number:.2%}" for number in numbers),
                *([str(spread.failed)] if failures else []),
            ]
        )
    return aligned(rows, left=len(keys))


def _short(value: Any) -> str:
    """A setting in at most 24 characters: of a long path, the end."""
    text = word(value)
    return text if len(text) <= 24 else f"...{text[-21:]}"
