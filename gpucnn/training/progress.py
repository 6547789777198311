"""What a checkpoint must have to be resumed: the same options, and numbers that the run can have.

A file may be whole, digest and all, and still hold values that no training wrote.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gpucnn.data.dataset import is_scaling
from gpucnn.errors import UsageError
from gpucnn.nn.arguments import is_whole
from gpucnn.quoting import quoted
from gpucnn.training.checkpoint import Checkpoint, DamagedError, require
from gpucnn.training.described import MADE
from gpucnn.training.divergence import first_bad
from gpucnn.training.recorded import number_problems, record_problems, shown


class Limits(NamedTuple):
    """The facts of a run that bound the progress of its checkpoints.

    Attributes:
        steps_per_epoch: batches of an epoch.
        total_steps: of the whole training.
        images: those of an epoch.
        validates: whether it has a validation set.
        clips: whether it clips gradients, and so may skip steps.
    """

    steps_per_epoch: int
    total_steps: int
    images: int
    validates: bool
    clips: bool = False


_PROGRESS = {
    "records": list, "seconds": float, "epoch_seconds": float, "config": dict, "data_sha256": str
}  # fmt: skip
_DESCRIPTION = {"step": int, "image_shape": list, "class_names": list}


def require_form(checkpoint: Checkpoint) -> None:
    """Check that a checkpoint has the values that resuming reads, of their types.

    Raises:
        DamagedError: it lacks one.
    """
    require(checkpoint.progress, _PROGRESS, "the checkpoint")
    require(checkpoint.description, _DESCRIPTION, "the checkpoint")


def require_same(now: Mapping[str, Any], then: Mapping[str, Any], longer: bool) -> None:
    """Check that the options that decide the result are those of the checkpoint.

    Args:
        now: `TrainConfig.deciding` of the training that resumes.
        then: the same of the one that was interrupted.
        longer: whether the number of epochs may differ.

    Raises:
        UsageError: it names what has changed.
    """
    free = {"epochs"} if longer else set()
    if MADE in (now["model"], then.get("model")):  # no name: the weights fit, and this tells more
        free.add("model")
    changed = [key for key in now if now[key] != then.get(key) and key not in free]
    if changed:
        raise UsageError(
            f"{', '.join(changed)} cannot be changed when a run is resumed",
            cause="; ".join(
                f"{key} was {quoted(then.get(key))}, now it is {now[key]}" for key in changed
            ),
            fix="put config.toml back as it was, or start another run",
        )


# The numbers that a record has.
_RECORD = ("loss", "accuracy", "images_per_second", "seconds", "learning_rate")
_VALIDATED = ("val_loss", "val_accuracy")
_TESTED = ("test_loss", "test_accuracy")


def require_progress(checkpoint: Checkpoint, limits: Limits, state: Mapping[str, Any]) -> None:
    """Check that a run of these limits can have this checkpoint.

    Args:
        state: name -> an array of the shape and kind that the checkpoint's must have.

    Raises:
        DamagedError: it cannot; the cause names the first wrong value.
    """
    for problem in _problems(checkpoint, limits, state):
        raise DamagedError(
            "the checkpoint cannot be resumed: its progress is not one of this run",
            cause=problem,
            fix="use an intact copy of the run, or train again",
        )


def _problems(checkpoint: Checkpoint, limits: Limits, state: Mapping[str, Any]) -> Iterator[str]:
    step, progress = checkpoint.description.get("step"), checkpoint.progress
    if not is_whole(step) or not 0 <= step <= limits.total_steps:
        yield f"its step is {shown(step)}, where a whole number from 0 to {limits.total_steps} is"
        return
    epochs, step_in_epoch = divmod(step, limits.steps_per_epoch)
    epoch = checkpoint.description.get("epoch")
    if not is_whole(epoch) or epoch != epochs:
        yield f"its epoch is {shown(epoch)}, and {epochs} epochs are done after step {step}"
    for key in ("scale", "offset"):
        if not is_scaling(given := checkpoint.description.get(key, 0.0)):
            yield f"its {key} is {shown(given)}"
    for key in ("seconds", "epoch_seconds"):
        yield from number_problems(progress, key, 0, math.inf, "it")
    records = progress.get("records")
    if not isinstance(records, list):
        yield f"its records are {shown(records)}, and no list"
        return
    # A validation that was interrupted has written no record for the last epoch yet.
    least = epochs - (step_in_epoch == 0 and step > 0)
    if not least <= len(records) <= epochs:
        yield f"it has {len(records)} records after {epochs} epochs"
    for number, record in enumerate(records, 1):
        yield from _record(record, number, limits)
    yield from _state(checkpoint.state, state, step, limits.images)
    if limits.clips:
        yield from _skipped(checkpoint.state, records, step, limits.steps_per_epoch)
    if bad := first_bad(checkpoint.weights):
        yield f"its weights {bad} are not finite"


def _record(record: object, number: int, limits: Limits) -> Iterator[str]:
    tested = [key for key in _TESTED if isinstance(record, dict) and key in record]
    validated = _VALIDATED if limits.validates else ()
    yield from record_problems(record, number, (*_RECORD, *validated, *tested))
    if not isinstance(record, dict):
        return
    name = f"the record of epoch {number}"
    if limits.clips:
        yield from number_problems(record, "skipped_steps", 0, limits.steps_per_epoch - 1, name)
        if not is_whole(record.get("skipped_steps")):
            yield f"{name} has the skipped_steps {shown(record.get('skipped_steps'))}"
    for key in () if limits.validates else _VALIDATED:
        if record.get(key) is not None:
            yield f"{name} has a {key}, and the run has no validation set"


def _state(
    found: Mapping[str, Any], expected: Mapping[str, Any], step: int, images: int
) -> Iterator[str]:
    for name in sorted(found.keys() ^ expected.keys()):
        yield f"its state has {'no' if name in expected else 'an unknown'} {quoted(name)}"
    for name, array in expected.items():
        given = found[name]
        if (given.shape, given.dtype.kind) != (tuple(array.shape), np.dtype(array.dtype).kind):
            yield f"its {name} is {given.dtype} {given.shape}, not {array.dtype} {array.shape}"
    if bad := first_bad(found):
        yield f"its {bad} is not finite"
    counter = "steps" if "steps" in expected else "step_count"
    if (counted := found[counter].tolist()) != [step]:
        yield f"its {counter} is {counted}, and its step {step}"
    if not 0 <= found["totals"][1] <= images:
        yield f"it counts {found['totals'][1]:g} right answers of {images} images"


def _skipped(
    found: Mapping[str, Any], records: list[dict[str, Any]], step: int, steps_per_epoch: int
) -> Iterator[str]:
    """The steps that were not skipped: all but those of the records, and of the present epoch."""
    recorded = sum(record["skipped_steps"] for record in records)
    most, present = step - recorded, step - len(records) * steps_per_epoch
    if not most - present <= (counted := int(found["step_count"][0])) <= most:
        yield f"its step_count is {counted} at step {step}, and its records skip {recorded} steps"
