"""Damage in the directory of a run: files that no training leaves so."""

from __future__ import annotations

from gpucnn.errors import cause_of
from gpucnn.quoting import quoted
from gpucnn.training.checkpoint import UNREADABLE, read_metadata
from gpucnn.training.description import is_epoch
from gpucnn.training.recorded import CUT, read_records, shown
from gpucnn.training.run import Run


def find_damage(run: Run) -> str | None:
    """The first damaged file of a run, and what is wrong with it; None if there is none.

    It reads what the weights say of themselves, and not their digest, which `evaluate` checks. It
    is not for a run that a process is training in: its files change meanwhile.
    """
    has_ended = run.outcome_file.exists()
    if has_ended and not run.outcome():
        return f"{run.outcome_file.name} does not say how the training ended"
    records, problem = read_records(run.metrics)
    # A training that was killed may leave a part of a line, which the resumed one removes.
    if problem is not None and (has_ended or problem != CUT):
        return f"line {len(records) + 1} of {run.metrics.name} {problem}"
    if not (has_ended or run.has_checkpoint()):
        return None  # it was killed before its first checkpoint
    for file in (run.last, *[run.best] * run.best.exists()):
        name = f"{file.parent.name}/{file.name}"
        try:
            epoch = read_metadata(file)["epoch"]
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read: {quoted(cause_of(error))}"
        except UNREADABLE as error:
            return f"{name} is cut short or altered: {quoted(error)}"
        if not is_epoch(epoch):
            return f"{name} is cut short or altered: its epoch is {shown(epoch)}"
        if epoch > len(records):
            return f"{run.metrics.name} has {len(records)} epochs, and {name} is of epoch {epoch}"
    return None
