"""What a training compiles in a process with an empty cache, and in the next process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakecuda import run

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

# One step of `cnn`. Prints of each program that NVRTC compiles if it has a text, and its options.
STEP = """
import json
import numpy as np
from cupy.cuda import compiler
from gpucnn import models
from gpucnn.data import Dataset, Splits
from gpucnn.training import TrainConfig, Trainer

programs = []
compile = compiler._NVRTCProgram.compile

def counted(self, options=(), *rest):
    programs.append((self.src != "", options))
    return compile(self, options, *rest)

compiler._NVRTCProgram.compile = counted
images, labels = np.zeros((64, 1, 28, 28), np.uint8), np.zeros(64, np.int32)
data = Splits(Dataset("black", images, labels, 10))
config = TrainConfig(model="cnn", device="cuda", batch_size=64, optimizer="adam")
trainer = Trainer(models.get("cnn", 10), data, config)
trainer.train_step()
print(json.dumps(programs))
"""
# Our kernels, and those that CuPy makes of array expressions; fewer are better.
PROGRAMS = 28 + 2


@pytest.mark.slow
def test_programs_of_a_cold_start_and_of_a_warm_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("FAKECUDA_EXECUTE", "0")

    def programs() -> Any:
        done = subprocess.run(
            [sys.executable, "-c", STEP], stdout=subprocess.PIPE, text=True, check=True
        )
        return json.loads(done.stdout)

    cold, warm = programs(), programs()
    texts = [is_text for is_text, _ in cold]
    assert 20 < sum(texts) <= PROGRAMS
    # CuPy compiles an empty text for each set of options: for ours, and for those of expressions.
    assert len(texts) - sum(texts) <= 2
    assert not [option for _, options in cold for option in options if option.startswith("-D")]
    assert not any(is_text for is_text, _ in warm)
