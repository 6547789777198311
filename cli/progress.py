"""The progress of a training: a bar on a terminal, a line an epoch elsewhere, JSON events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gpucnn.cli.output import Console, loss_text
from gpucnn.quoting import on_its_lines
from gpucnn.training import Callback, History, Trainer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_REDRAW = 0.1  # seconds between two looks of the bar at the count of steps


class JsonEvents(Callback):
    """The events of ``--json``."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def on_train_begin(self, trainer: Trainer) -> None:
        self.console.event(
            {
                "event": "start",
                "run": str(trainer.run.path) if trainer.run else None,
                "device": trainer.backend.name,
                "data": trainer.config.data,
                "model": trainer.config.model,
                "parameters": trainer.model.num_parameters,
            }
        )

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        shown = {key: value for key, value in record.items() if key != "learning_rate"}
        self.console.event({"event": "epoch", **shown})

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        test: dict[str, Any] = history.test or {"loss": None, "accuracy": None}
        self.console.event(
            {
                "event": "end",
                "run": str(trainer.run.path) if trainer.run else None,
                "reason": history.outcome,
                "epochs": len(history.records),
                "seconds": history.seconds,
                "test_loss": test["loss"],
                "test_accuracy": test["accuracy"],
            }
        )


class EpochLines(Callback):
    """A line when training begins, and one an epoch, on stderr."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def on_train_begin(self, trainer: Trainer) -> None:
        self.console.note(*heading(trainer))

    def on_note(self, trainer: Trainer, note: str) -> None:
        self.show(f"note: {note}")

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self.show(epoch_line(trainer, record))

    def show(self, text: str) -> None:
        """Print some lines."""
        self.console.note(*text.split("\n"))


class ProgressBar(EpochLines):
    """`EpochLines` with a bar below them: images a second, time left and the loss."""

    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        self._bar: Progress = _make_bar()
        self._bar.start()
        self._task: TaskID = self._bar.add_task("", total=trainer.total_steps, speed="", figures="")
        self._first_step = trainer.step
        self._begun = time.perf_counter()
        self._next = 0.0

    def on_step_end(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + _REDRAW
            images = (trainer.step - self._first_step) * trainer.config.batch_size
            self._bar.update(
                self._task,
                completed=trainer.step,
                description=f"epoch {trainer.running_epoch}/{trainer.config.epochs}",
                speed=f"{images / (now - self._begun):,.0f} images/s",
            )

    def on_log(self, trainer: Trainer, loss: float, accuracy: float) -> None:
        skipped = f", {trainer.skipped_steps} skipped" * bool(trainer.skipped_steps)
        self._bar.update(self._task, figures=f"loss {loss_text(loss)}{skipped}")

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self._bar.update(self._task, completed=trainer.step)
        super().on_epoch_end(trainer, record)

    def show(self, text: str) -> None:
        shown = on_its_lines(text)
        self._bar.console.print(shown, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def close(self) -> None:
        if hasattr(self, "_bar"):
            self._bar.stop()


def heading(trainer: Trainer) -> list[str]:
    """The model, the data and the run, for a terminal of 80 columns."""
    config = trainer.config
    lines = [
        f"{config.model} on {config.data}: {trainer.model.num_parameters:,} parameters, "
        f"{len(trainer.loader.dataset):,} images, batches of {config.batch_size}"
    ]
    if trainer.run:
        lines.append(f"run: {trainer.run.path}")
    if trainer.step:
        lines[-1] += f", from step {trainer.step:,} of {trainer.total_steps:,}"
    return lines


def epoch_line(trainer: Trainer, record: dict[str, Any]) -> str:
    """An epoch's record in a line of 80 columns."""
    text = (
        f"epoch {record['epoch']}/{trainer.config.epochs}: loss {loss_text(record['loss'])}, "
        f"accuracy {record['accuracy']:.2%}"
    )
    if record["val_loss"] is not None:
        text += f"; val {loss_text(record['val_loss'])}, {record['val_accuracy']:.2%}"
    text += f"; {record['images_per_second']:,.0f} img/s, {record['seconds']:.1f} s"
    if skipped := record.get("skipped_steps"):
        text += f"; {skipped} of {trainer.steps_per_epoch} steps skipped"
    return text


def _make_bar() -> Progress:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=14),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[speed]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=Terminal(stderr=True),
        transient=True,
    )
