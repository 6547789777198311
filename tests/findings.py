"""What the tests of inspections share: a monitor that listens, and the kinds of findings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpucnn import data
from gpucnn.inspection import Finding, Health, HealthMonitor
from gpucnn.training import Trainer

EVERY, FIRST = 20, 10  # steps between two measurements of a watched training, and the first

Kinds = set[tuple[str, str | None]]


class Listener(HealthMonitor):
    """A monitor that measures often, and keeps what it tells."""

    share = 1e9

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        self.steps_between, self._due = EVERY, trainer.step + FIRST

    def tell(self, text: str) -> None:
        self.told.append(text)


def find_kinds(findings: Sequence[Finding] | Health) -> Kinds:
    """The kind and the layer of each finding, which has a cause and a cure."""
    found = findings.findings if isinstance(findings, Health) else findings
    for finding in found:
        assert finding.message
        assert finding.cause
        assert finding.cure
    return {(finding.kind, finding.layer) for finding in found}


def save(file: Path, train: data.Dataset, test: data.Dataset) -> Path:
    """Write two parts of a data set into an npz file."""
    parts = {"train": train, "test": test}
    images = {f"x_{name}": part.images[:, 0] for name, part in parts.items()}
    np.savez(file, **images, **{f"y_{name}": part.labels for name, part in parts.items()})
    return file
