"""The health of a training is measured beside its graphs, which stay."""

from __future__ import annotations

from typing import Any

import pytest
from fakecuda import run
from findings import Listener

from gpucnn.inspection.updates import LayerStep
from gpucnn.training import Trainer

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

from fakecuda.trainings import assert_same, mixed, train


class Keeper(Listener):
    """Keeps the measures of each step that it looks at, the fourth and later ones."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, LayerStep]] = []

    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        self._every, self._due = 4, 4

    def measure(self, trainer: Trainer) -> None:
        meter: Any = self._meter
        self.seen.append(meter())
        super().measure(trainer)


def test_a_measurement_leaves_the_graphs() -> None:
    keepers = Keeper(), Keeper()
    eager, replayed = (
        train(graph, mixed(), keeper) for graph, keeper in zip((False, None), keepers, strict=True)
    )
    plain = train(None, mixed())
    assert_same(eager, replayed)
    assert_same(eager, plain)
    assert replayed.replays == plain.replays
    assert keepers[0].seen == keepers[1].seen
    assert len(keepers[0].seen) >= 2
