"""The rows of `gpucnn bench data`, and the script of PyTorch's training."""

from __future__ import annotations

import gzip
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import random
from gpucnn.bench import baselines, loading
from gpucnn.bench.session import Bench, Options

INSTALLED = tuple(baselines.installed())


@pytest.fixture
def bench(hasty: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.setattr(loading, "IMAGES", 500)
    options = Options(suite="quick", seconds=0, baselines=INSTALLED, data_dir=str(tmp_path))
    return Bench(options)


def rows_of(bench):
    return [task() for task in loading.tasks(bench)]


@pytest.mark.slow
def test_rows(bench):
    rows = {row.name + row.case[:5] * (row.name == "read"): row for row in rows_of(bench)}
    assert list(rows) == ["readmnist", "readdigit", "shuffle", "gather", "augment"]
    assert "gpucnn data fetch mnist" in rows.pop("readmnist").skipped
    for row in rows.values():
        assert row.ok is not False
        assert row.seconds is not None
        assert row.unit == "images/s"
    assert rows["readdigit"].value == pytest.approx(1797 / rows["readdigit"].seconds.median)
    assert rows["shuffle"].ok
    assert rows["gather"].ok
    assert rows["gather"].nbytes == 128 * 784 * 5
    for name in ("shuffle", "gather"):
        assert set(rows[name].baselines) == set(INSTALLED)


@pytest.mark.slow
def test_a_shuffle_that_loses_an_image_is_wrong(bench, monkeypatch):
    monkeypatch.setattr(random, "permutation", lambda n, *rest: np.arange(n) // 2 * 2)
    rows = {row.name: row for row in rows_of(bench)}
    assert rows["shuffle"].ok is False
    assert rows["shuffle"].seconds is None


@pytest.mark.slow
def test_reading_mnist(hasty, mnist_dir):
    bench = Bench(Options(suite="quick", seconds=0, data_dir=str(mnist_dir)))
    bench.watch.least = 1
    row = loading.tasks(bench)[0]()
    assert (row.name, row.case) == ("read", "mnist")
    assert row.value == pytest.approx(70_000 / row.seconds.median)


def write_idx(folder: Path, count: int, packed: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    for part in ("train", "t10k"):
        for name, header, array in (
            (f"{part}-images-idx3-ubyte", 16, images),
            (f"{part}-labels-idx1-ubyte", 8, np.arange(count, dtype=np.uint8) % 10),
        ):
            content = bytes(header) + array.tobytes()
            file = folder / (f"{name}.gz" if packed else name)
            file.write_bytes(gzip.compress(content) if packed else content)
    return images


@pytest.mark.skipif(not INSTALLED, reason="PyTorch is not installed")
class TestScript:
    """data/torch_train.py, which imports nothing of gpucnn."""

    @pytest.fixture
    def script(self) -> dict[str, Any]:
        return runpy.run_path(str(baselines.SCRIPT))

    @pytest.mark.parametrize("packed", [False, True])
    def test_it_reads_mnists_files(self, script, tmp_path, packed):
        images = write_idx(tmp_path, 30, packed)
        found, labels = script["read_mnist"](tmp_path, "t10k")
        np.testing.assert_array_equal(found[:, 0], images)
        assert labels.tolist() == [k % 10 for k in range(30)]

    @pytest.mark.slow
    def test_it_tells_of_an_epoch_and_of_the_end(self, tmp_path):
        write_idx(tmp_path, 100, packed=False)
        script = [sys.executable, "-P", str(baselines.SCRIPT), "--data-dir", str(tmp_path)]
        options = ["--model", "lenet", "--batch-size", "16", "--limit-batches", "2"]
        done = subprocess.run([*script, *options], capture_output=True, text=True, check=True)
        events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
        assert [event["event"] for event in events] == ["epoch", "end"]
        assert events[0]["epoch"] == 1
        assert 0 < events[0]["loss"] < 10
        assert 0 <= events[1]["test_accuracy"] <= 1

    def test_the_rate_follows_our_cosine(self, script):
        import torch

        from gpucnn import schedules

        network = script["network"]("softmax")
        images = torch.zeros((10, 1, 28, 28), dtype=torch.uint8)
        labels = torch.zeros(10, dtype=torch.int64)
        training = script["Training"](
            network, images, labels, batch_size=4, learning_rate=0.1, steps=6
        )
        rates = []
        for _ in range(6):
            rates.append(training.optimizer.param_groups[0]["lr"])
            training.step()
        np.testing.assert_allclose(rates, schedules.table("cosine", 0.1, 6), rtol=1e-6)
        assert training.steps_per_epoch == 3
        assert training.accuracy(images, labels, batch_size=4) in (0.0, 1.0)
        assert training.network.training
