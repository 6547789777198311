"""The rows of a sweep: its runs with their settings and results, and the check of a record of them.

A record may be from somebody else. Only values that a sweep writes are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gpucnn.errors import UsageError
from gpucnn.nn.arguments import is_whole
from gpucnn.training.config import check_name, check_value
from gpucnn.training.grid import MOST_RUNS, OPTIONS, Settings
from gpucnn.training.recorded import NUMBERS, number_problems, shown

FAILED = DIVERGED, OUT_OF_MEMORY = "diverged", "out of memory"  # states of runs that failed
_STATES = (None, "finished", "early-stopping", "learned nothing")  # of the others
_LAST = ("loss", "accuracy", "val_loss", "val_accuracy")
_RESULTS = ("epochs", "seconds", *_LAST, "test_loss", "test_accuracy")
_LONGEST_NAME = 255  # bytes of the name of a folder


@dataclass
class Row:
    """A run of a sweep.

    Attributes:
        run: the name of its directory.
        settings: its values of the options that the sweep varies, by field.
        state: why it ended, as `History.outcome`, "diverged" or "out of memory"; None before that.
        results: epochs, seconds, loss, accuracy, val_loss, val_accuracy, test_loss, test_accuracy;
            the last ones. None where there is none.
        message: of the error that ended it.
    """

    run: str
    settings: Settings
    state: str | None
    results: dict[str, Any]
    message: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether an error ended it."""
        return self.message is not None

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON values."""
        return {
            "run": self.run,
            "settings": self.settings,
            "state": self.state,
            **self.results,
            "message": self.message,
        }


def results_of(
    records: Sequence[dict[str, Any]], test: dict[str, float] | None, seconds: float | None
) -> dict[str, Any]:
    """The results of a training, as in `Row`."""
    last: dict[str, Any] = records[-1] if records else dict.fromkeys(_LAST)
    tested: dict[str, Any] = test or {"loss": None, "accuracy": None}
    return {
        "epochs": len(records),
        "seconds": seconds,
        **{key: last[key] for key in _LAST},
        "test_loss": tested["loss"],
        "test_accuracy": tested["accuracy"],
    }


def read_rows(record: object) -> list[Row]:
    """The rows of a record: ``{"runs": [...]}`` with a `Row.as_dict` for each run.

    Raises:
        ValueError: no sweep writes it; the text says why.
    """
    runs = record.get("runs") if isinstance(record, dict) else None
    if not isinstance(runs, list):
        raise ValueError("it has no list of runs")
    if not 0 < len(runs) <= MOST_RUNS:
        raise ValueError(f"it has {len(runs):,} runs, and a sweep has 1 to {MOST_RUNS:,}")
    rows: list[Row] = []
    names = set()
    for number, values in enumerate(runs, 1):
        for problem in _problems(values):
            raise ValueError(f"run {number} {problem}")
        results = {key: values[key] for key in _RESULTS}
        row = Row(values["run"], values["settings"], values["state"], results, values["message"])
        if row.run in names:
            raise ValueError(f"run {number} has the name of one before it, {shown(row.run)}")
        if rows and row.settings.keys() != rows[0].settings.keys():
            raise ValueError(f"run {number} sets other options than run 1")
        names.add(row.run)
        rows.append(row)
    return rows


def _problems(values: object) -> Iterator[str]:
    """What no sweep writes for a run; the texts follow its name."""
    if not isinstance(values, dict):
        yield f"is {shown(values)}, and no object"
        return
    missing = [
        key for key in ("run", "settings", "state", "message", *_RESULTS) if key not in values
    ]
    if missing:
        yield f"has no {missing[0]}"
        return
    yield from _name_problems(values["run"])
    yield from _setting_problems(values["settings"])
    state, message = values["state"], values["message"]
    if state not in (*_STATES, *FAILED):
        yield f"has the state {shown(state)}"
    if isinstance(message, str) != (state in FAILED) or not isinstance(message, str | None):
        yield f"has the message {shown(message)} in the state {state}"
    if not is_whole(values["epochs"]) or not 0 <= values["epochs"] < 2**63:
        yield f"has the epochs {shown(values['epochs'])}"
    for key in _RESULTS[1:]:
        if values[key] is not None:
            for problem in number_problems(values, key, *NUMBERS[key], "it"):
                yield problem.removeprefix("it ")


def _name_problems(name: object) -> Iterator[str]:
    try:
        if not isinstance(name, str) or len(name.encode()) > _LONGEST_NAME:
            raise ValueError
        check_name(name)
    except ValueError:  # also for halves of characters
        yield f"has the name {shown(name)}"


def _setting_problems(settings: object) -> Iterator[str]:
    if not isinstance(settings, dict):
        yield f"has the settings {shown(settings)}, and no object"
        return
    for key, value in settings.items():
        if key not in OPTIONS.values():
            yield f"has the setting {shown(key)}, which is no option"
        else:
            try:
                check_value(key, value)
            except UsageError as error:
                yield f"has a setting that is not acceptable: {error.message}"
