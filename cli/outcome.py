"""The end of a training: its result, its pictures, and the next command."""

from __future__ import annotations

import shlex
from dataclasses import replace

from gpucnn.cli.output import Console, loss_text
from gpucnn.errors import GpucnnError
from gpucnn.inspection.monitor import FILE as WARNINGS
from gpucnn.training import History, Run, Trainer
from gpucnn.training.history import best_epoch
from gpucnn.training.metrics import guessing
from gpucnn.training.report import LARGEST
from gpucnn.training.used import tested


def summary(history: History, trainer: Trainer) -> str:
    """The reason for the end, and the results on the images that were tested."""
    epochs = len(history.records)
    text = f"{history.outcome}: {epochs} epoch{'s' * (epochs != 1)} in {history.seconds:.1f} s"
    if history.test is not None:
        accuracy, loss = history.test["accuracy"], history.test["loss"]
        if (part := tested(trainer.config)) == "test set":
            text += f", test accuracy {accuracy:.2%}, test loss {loss_text(loss)}"
        else:
            text += f", accuracy {accuracy:.2%} and loss {loss_text(loss)} on the {part}"
        if _best(history, trainer.run) is not None:
            text += " with the last weights"
    if skipped := sum(record.get("skipped_steps", 0) for record in history.records):
        text += f"; {skipped} step{'s' * (skipped != 1)} skipped: their gradients were not finite"
    return text


def save_pictures(trainer: Trainer, run: Run | None, console: Console) -> None:
    """Save curves and confusion matrix into the run, or say in a line why not."""
    if run is None or not trainer.records:
        return
    # The weights of an interrupted training are later ones than those of its last evaluation.
    judged = None if trainer.step_in_epoch or trainer.record_due else trainer.judged
    report = judged and judged.report()
    part = "validation set" if trainer.test is None else tested(trainer.config)
    try:
        # not before: few commands draw
        from gpucnn.reports.pictures import save_pictures as save
        from gpucnn.reports.summary import shown_records

        files = save(run, shown_records(run) or trainer.records, report, part)
        console.note(f"pictures: {files[0]}" + "".join(f", {file.name}" for file in files[1:]))
        if report and (K := len(report.class_names)) > LARGEST:
            console.note(f"note: the confusion matrix of {K:,} classes is not drawn")
    except GpucnnError as error:
        console.without("pictures of the run", error)
    except Exception as error:  # the training is saved, and no picture may make it fail
        console.note(f"note: no pictures of the run: {type(error).__name__}: {error}")


def what_next(history: History, trainer: Trainer, run: Run) -> str:
    """The next command to type; or advice, if nothing was learned."""
    if history.outcome == "learned nothing":
        return _why_nothing(history, trainer, run)
    text = f"next: gpucnn predict {shlex.quote(str(run.path))}{run.trust_flag} FILE"
    if (best := _best(history, run)) is not None:
        text = (
            f"note: predict and evaluate take the best weights, of epoch {best}; with"
            f" --weights last, those of epoch {len(history.records)}\n{text}"
        )
    return text


def _best(history: History, run: Run | None) -> int | None:
    """The epoch of the weights that are used by default, if they are not the last."""
    if run is None or run.weights_file() == run.last:
        return None
    best = best_epoch(history.records)
    return best if best != len(history.records) else None


def _why_nothing(history: History, trainer: Trainer, run: Run) -> str:
    """The results of a training that learned nothing, and advice: that of its warnings, if any."""
    labels = trainer.loader.dataset.labels
    loss, accuracy = guessing(trainer.config.loss, labels)
    last = history.records[-1]
    rate, usual = (
        config.resolved("cpu").learning_rate or 0.0  # `resolved` never leaves it None
        for config in (trainer.config, replace(trainer.config, learning_rate=None))
    )
    advice = f"lower the learning rate, now {rate:g}, as in --lr {min(usual, rate / 10):.2g}"
    if rate < usual:
        advice = f"raise the learning rate, now {rate:g}, as in --lr {usual:.2g}"
    elif last["loss"] < 2 * loss:
        advice = f"try more --epochs or another --lr than {rate:g}, and look at the labels"
    warnings = run.path / WARNINGS
    if warnings.exists() and warnings.stat().st_size:
        advice = f"see the warnings above, or gpucnn inspect {shlex.quote(str(run.path))}"
    return (
        f"note: the last epoch had accuracy {last['accuracy']:.2%} and loss"
        f" {loss_text(last['loss'])}; guessing gives {accuracy:.2%} and {loss:.4f}\n  fix: {advice}"
    )
