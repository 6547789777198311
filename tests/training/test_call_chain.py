"""The calls from `fit_trainer` to a primitive, so that a reader can follow them."""

from __future__ import annotations

import traceback

from gpucnn import backend as backends
from gpucnn import data, models
from gpucnn.training import TrainConfig, Trainer, fit_trainer

LONGEST = 12  # frames; a function that only passes on should call the next one itself


def test_few_frames_lead_to_a_primitive(monkeypatch):
    splits = data.load("digits")
    config = TrainConfig(data="digits", device="cpu", model="softmax", epochs=1, limit_batches=1)
    trainer = Trainer(models.get("softmax", splits.classes), splits, config)
    backend = type(backends.get("cpu"))
    matmul, chains = backend.matmul, []

    def spy(*args, **options):
        names = [frame.name for frame in traceback.extract_stack()]
        chains.append(names[names.index("fit_trainer") :])
        return matmul(*args, **options)

    monkeypatch.setattr(backend, "matmul", spy)
    fit_trainer(trainer)
    assert chains
    assert max(map(len, chains)) <= LONGEST + 1, chains  # the spy is one of them
