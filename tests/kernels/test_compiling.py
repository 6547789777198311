"""How many kernels a training compiles before its first step is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kernel_variants
import numpy as np
import pytest

from gpucnn import models
from gpucnn.data import Dataset, Splits
from gpucnn.training import TrainConfig, Trainer

# Of `cnn` with Adam on batches of 64, on a GPU of 132 multiprocessors; fewer are better.
PROGRAMS = 28


def test_the_first_step_of_cnn_compiles_few_kernels_most_of_them_in_parallel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = kernel_variants.Recorder(132)
    compiled: list[str] = []
    in_parallel: list[Any] = []
    submit = ThreadPoolExecutor.submit
    monkeypatch.setattr(
        ThreadPoolExecutor, "submit", lambda *args: (in_parallel.append(args), submit(*args))[1]
    )
    monkeypatch.setattr(
        recorder, "_compile", lambda kernel: (compiled.append(kernel.text), kernel)[1]
    )
    with kernel_variants._as_simulator(recorder):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (64, 1, 28, 28)).astype(np.uint8)
        labels = rng.integers(0, 10, len(images)).astype(np.int32)
        config = TrainConfig(model="cnn", device="sim", batch_size=64, optimizer="adam")
        data = Splits(Dataset("noise", images, labels, 10))
        trainer = Trainer(models.get("cnn", 10), data, config)
        assert compiled == []  # to build the model is no reason to compile a kernel
        trainer.train_step()
    assert len(compiled) == len(set(compiled)) <= PROGRAMS
    assert len(compiled) - len(in_parallel) <= 3  # what gathers the batch
