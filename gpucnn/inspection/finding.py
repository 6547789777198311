"""`Finding`: something that is wrong with a training, its cause, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from gpucnn.optim import default_learning_rate
from gpucnn.training import Run, TrainConfig
from gpucnn.training.config import flag_name
from gpucnn.training.described import MADE


@dataclass(frozen=True)
class Threshold:
    """From this value on, a measure is a warning.

    Args:
        value: in `unit`.
        unit: of the measure, in words.
        source: where the value comes from.
    """

    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Finding:
    """A warning.

    Args:
        kind: its name, as in "dead-relu"; docs/inspect.md lists them.
        layer: the path of the layer, or None for the whole training.
        value: what was measured, in the unit of `threshold`.
        threshold: the value from which on it is a warning.
        message: what was found, in one sentence.
        cause: why that happens.
        cure: what to type or to write; other cures follow after "; or".
    """

    kind: str
    layer: str | None
    value: float
    threshold: Threshold
    message: str
    cause: str
    cure: str

    @property
    def unit(self) -> str:
        """The unit of `value`."""
        return self.threshold.unit

    def __str__(self) -> str:
        return "\n".join(lines([self]))

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values; of the threshold its value, its unit and its source."""
        fields = asdict(self)
        threshold = fields.pop("threshold")
        return {
            **fields,
            "value": finite(self.value),
            "unit": threshold["unit"],
            "threshold": threshold["value"],
            "source": threshold["source"],
        }


def lines(findings: Iterable[Finding]) -> list[str]:
    """The text of findings: those with one cause and cure that follow each other share it."""
    found = []
    for (cause, cure), group in groupby(findings, key=lambda each: (each.cause, each.cure)):
        found += [f"warning: {each.message}" for each in group]
        first, *others = cure.split("; or ")
        found += [f"  cause: {cause}", f"  fix: {first}", *(f"  or: {each}" for each in others)]
    return found


def finite(number: float | None) -> float | None:
    """A number for JSON, which has no infinity and no NaN: None in place of those."""
    return number if number is None or math.isfinite(number) else None


@dataclass(frozen=True)
class Context:
    """The training that cures are written for.

    Args:
        config: its options; None if they are not known.
        run: its directory; None without one.
        learning_rate: the highest of the training; None if it is not known.
    """

    config: TrainConfig | None = None
    run: Run | None = None
    learning_rate: float | None = None

    def train_again(self, **options: Any) -> str:
        """The command that trains again with other options; the options where no command can.

        None can without a run, and none if its network was made in Python.
        """
        if self.run is None or (self.config and self.config.model == MADE):
            return ", ".join(f"{key}={value!r}" for key, value in options.items())
        flags = (f" {flag_name(key)} {value}" for key, value in options.items())
        return self.run.train_command + "".join(flags)

    def lower_rate(self) -> str:
        """The cure for a learning rate that is too high: the default, or a tenth of it."""
        if self.learning_rate is None:
            return "train again with a tenth of the learning rate"
        return self.train_again(learning_rate=_short(min(self._usual, self.learning_rate / 10)))

    def usual_rate(self) -> str:
        """The cure for a learning rate that is too low: the default."""
        return self.train_again(learning_rate=_short(self._usual))

    def more_epochs(self) -> str:
        """The cure for a training that was too short: twice as many epochs."""
        if self.config is None:
            return "train for twice as many epochs"
        return self.train_again(epochs=2 * self.config.epochs)

    def other_rate(self) -> str:
        """The cure for a training that does not learn: the default learning rate, or more time."""
        if self.config is None or self.learning_rate is None:
            return "train longer, or with another learning rate"
        if self.is_usual:
            return self.more_epochs()
        return self.lower_rate() if self.learning_rate > self._usual else self.usual_rate()

    @property
    def is_low(self) -> bool:
        """Whether the learning rate is known to be below half of the usual ones."""
        return self.learning_rate is not None and self.learning_rate < self._range[0] / 2

    @property
    def is_usual(self) -> bool:
        """Whether the learning rate is among the usual ones."""
        low, high = self._range
        return self.learning_rate is not None and 0.99 * low <= self.learning_rate <= 1.01 * high

    @property
    def _range(self) -> tuple[float, float]:
        """The defaults of the optimizer and of the options, the lower one first."""
        if self.config is None:
            return 0.0, 0.0
        of_optimizer = default_learning_rate(self.config.optimizer)
        return min(of_optimizer, self._usual), max(of_optimizer, self._usual)

    @property
    def rate(self) -> str:
        """The learning rate in words: "the learning rate (0.003)"."""
        if self.learning_rate is None:
            return "the learning rate"
        return f"the learning rate ({self.learning_rate:.3g})"

    @property
    def _usual(self) -> float:
        """The default learning rate of the options; infinity if there are none."""
        if self.config is None:
            return math.inf
        return self.config.default_learning_rate()


def _short(number: float) -> float:
    """A number in two digits."""
    return float(f"{number:.2g}")
