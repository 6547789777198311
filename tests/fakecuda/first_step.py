"""Trains `cnn` for one step, as the first thing in a process, and prints how long it took, as JSON.

CUPY_CACHE_DIR=empty FAKECUDA_EXECUTE=0 python tests/fakecuda/run.py tests/fakecuda/first_step.py

    seconds     wall time: of importing CuPy, then of making the trainer, then of the step
    programs    what NVRTC compiled: whether it has a text, and its options
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import numpy as np

from gpucnn import models
from gpucnn.data import Dataset, Splits
from gpucnn.training import TrainConfig, Trainer


def main() -> None:
    times = [time.perf_counter()]
    from cupy.cuda import compiler

    programs: list[Any] = []
    compile = compiler._NVRTCProgram.compile

    def counted(self: Any, options: Any = (), *rest: Any) -> Any:
        programs.append((self.src != "", options))
        return compile(self, options, *rest)

    compiler._NVRTCProgram.compile = counted
    times.append(time.perf_counter())
    images, labels = np.zeros((64, 1, 28, 28), np.uint8), np.zeros(64, np.int32)
    config = TrainConfig(model="cnn", device="cuda", batch_size=64, optimizer="adam")
    splits = Splits(Dataset("black", images, labels, 10))
    trainer = Trainer(models.get("cnn", 10), splits, config)
    times.append(time.perf_counter())
    trainer.train_step()
    times.append(time.perf_counter())
    seconds = [round(end - start, 3) for start, end in itertools.pairwise(times)]
    print(json.dumps({"seconds": seconds, "programs": programs}))


if __name__ == "__main__":
    main()
