"""How many kernels a training compiles before its first step is done."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from kernel_variants import Recorder, as_simulator

from gpucnn import models
from gpucnn.backend.cuda.sources import Kernel
from gpucnn.data import Dataset, Splits
from gpucnn.training import TrainConfig, Trainer

# Of `cnn` with Adam on batches of 64, on a GPU of 132 multiprocessors; fewer are better.
PROGRAMS = 28


class Compiler(Recorder):
    """Notes the text of each kernel, and whether it is compiled by the thread that launches."""

    def __init__(self) -> None:
        super().__init__(132)
        self.compiled: list[tuple[str, bool]] = []

    def _compile(self, kernel: Kernel) -> Any:
        launches = threading.current_thread() is threading.main_thread()
        self.compiled.append((kernel.text, launches))
        return super()._compile(kernel)


def test_the_first_step_of_cnn_compiles_few_kernels_most_of_them_in_parallel() -> None:
    images = np.zeros((64, 1, 28, 28), np.uint8)
    data = Splits(Dataset("black", images, np.zeros(64, np.int32), 10))
    config = TrainConfig(model="cnn", device="sim", batch_size=64, optimizer="adam")
    compiler = Compiler()
    with as_simulator(compiler):
        trainer = Trainer(models.get("cnn", 10), data, config)
        assert compiler.compiled == []  # the model is built without a kernel
        trainer.train_step()
    texts = [text for text, _ in compiler.compiled]
    assert len(texts) == len(set(texts)) <= PROGRAMS
    assert sum(launches for _, launches in compiler.compiled) <= 3  # those that gather the batch
