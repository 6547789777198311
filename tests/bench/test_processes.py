"""What is seen of a process from outside: times, memory, sizes, the first batch, its failure."""

from __future__ import annotations

import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from gpucnn.bench import accuracy, baselines, installed, processes
from gpucnn.bench.record import Row
from gpucnn.bench.session import Bench, Options
from gpucnn.errors import GpucnnError

TRAIN = [sys.executable, "-m", "gpucnn", "train", "--data", "digits", "--model", "softmax"]
INSTALLED = tuple(baselines.installed())


@pytest.fixture
def bench(hasty: None) -> Bench:
    return Bench(Options(suite="quick"))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_until_an_epoch_is_told():
    told = 'import time; time.sleep(0.2); print(\'{"event": "epoch"}\', flush=True)'
    start = time.perf_counter()
    seconds = processes._until_epoch(python(f"{told}; time.sleep(1)"))
    assert 0.2 < seconds < time.perf_counter() - start - 0.5


def test_gpucnn_train_tells_of_its_first_batch():
    assert processes._until_epoch([*TRAIN, "--dry-run", "--json", "--quiet"]) > 0


def test_the_memory_is_the_processs_and_not_ours():
    here = bytearray(400 << 20)
    here[::4096] = b"x" * len(here[::4096])  # this process has taken it
    small = processes._peak(python("pass"))
    large = processes._peak(python("x = bytearray(200 << 20); x[::4096] = b'x' * (200 << 8)"))
    assert small < 100
    assert 200 < large < 300


def test_a_process_that_fails():
    with pytest.raises(GpucnnError, match="ended with 3") as error:
        processes._output(python("import sys; print('why', file=sys.stderr); sys.exit(3)"))
    assert error.value.cause == "why"
    with pytest.raises(GpucnnError, match="ended with 3"):
        processes._peak(python("raise SystemExit(3)"))


def test_a_training_that_tells_of_no_epoch():
    with pytest.raises(GpucnnError, match="too early"):
        processes._until_epoch(python("pass"))


def test_a_row_whose_process_fails_is_skipped(bench, monkeypatch):
    monkeypatch.setattr(processes, "_RUNS", 1)
    monkeypatch.setattr(processes, "_READY", "raise SystemExit('no\\nreason')")
    first, second = list(processes.rows(bench))[-2:]
    assert first.seconds is not None
    assert second.seconds is None
    assert second.skipped == "a process to be measured ended with 1: reason"


def test_options_in_the_environment_are_not_passed_on(monkeypatch):
    monkeypatch.setenv("GPUCNN_EPOCHS", "7")
    monkeypatch.setenv("GPUCNN_CACHE_DIR", "/somewhere")
    code = "import os; print([key in os.environ for key in ('GPUCNN_EPOCHS', 'GPUCNN_CACHE_DIR')])"
    assert processes._output(python(code)) == ["[False, True]"]


def test_turns_are_compared_in_pairs():
    ours, theirs = iter([9, 1, 2, 1, 2, 1]), iter([9, 2, 4, 2, 4, 2])
    row = processes._timed(
        Row("train", "import", "x"), lambda: next(ours), {"t": lambda: next(theirs)}
    )
    assert row.seconds is not None
    assert row.seconds.median == 1
    assert row.baselines["t"].ratio is not None
    assert row.baselines["t"].ratio.p10 == row.baselines["t"].ratio.p90 == 2


def test_rows_of_the_quick_suite(bench, monkeypatch):
    monkeypatch.setattr(processes, "_RUNS", 1)
    rows = list(processes.rows(bench))
    assert [row.name for row in rows[-3:]] == ["install size", "import", "import"]
    assert 0 <= len(rows) - processes.count(bench) <= 1  # the extra `fast` may be there
    assert rows[-2].seconds is not None
    assert rows[-1].seconds is not None
    assert list(accuracy.rows(bench)) == []
    assert accuracy.count(bench) == 0


def test_without_mnist_rows_are_skipped(hasty, monkeypatch, tmp_path):
    bench = Bench(Options(suite="mnist", data_dir=str(tmp_path)))
    monkeypatch.setattr(processes, "_RUNS", 1)
    monkeypatch.setattr(processes, "_import", lambda code: 1.0)
    rows = list(processes.rows(bench)) + list(accuracy.rows(bench))
    assert len(rows) >= processes.count(bench) + accuracy.count(bench)
    skipped = [row for row in rows if row.skipped]
    assert {row.name for row in skipped} == {"first batch", "peak memory", "to 98%", "to 99%"}
    assert all("--data-dir" in row.skipped and str(tmp_path) not in row.skipped for row in skipped)


def test_an_extra_that_is_installed_has_a_size_of_its_own(bench, monkeypatch):
    sizes = {(): 10e6, ("fast",): 30e6}
    monkeypatch.setattr(installed, "nbytes", lambda name, extras=(): sizes[tuple(extras)])
    assert [(row.case, row.value) for row in processes._sizes(bench)] == [
        ("with dependencies", 10.0),
        ("with the extra fast", 30.0),
    ]
    sizes["fast",] = 10e6
    assert len(list(processes._sizes(bench))) == 1


def test_nothing_is_started_on_the_simulator(bench, monkeypatch):
    monkeypatch.setattr(bench.watch, "ticks", False)
    assert list(processes.rows(bench)) == list(accuracy.rows(bench)) == []


def test_the_first_batch_and_the_memory_of_a_training(hasty, mnist_dir, monkeypatch):
    monkeypatch.setattr(processes, "_RUNS", 1)
    monkeypatch.setattr(processes, "_STEPS", 1)
    bench = Bench(Options(suite="mnist", data_dir=str(mnist_dir)))
    row = processes._first_batch(bench, Row("train", "first batch", ""), "softmax")
    assert 0 < row.seconds.median < 30
    row = processes._memory(bench, Row("train", "peak memory", ""), 8)
    assert 50 < row.value < 2000


class TestAccuracy:
    """With numbers in place of a training."""

    def run(self, monkeypatch: pytest.MonkeyPatch, *rights: float, steps: int = 10) -> Any:
        now = [0.0]
        monkeypatch.setattr(accuracy.time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(accuracy, "_EVERY", 4)

        def step() -> None:
            now[0] += 1

        right = iter(rights)

        def look() -> float:
            now[0] += 100  # which does not count
            return next(right)

        return accuracy._train(steps, accuracy.Training(step, lambda: None, look))

    def test_the_clock_stands_while_the_test_images_are_looked_at(self, monkeypatch):
        assert self.run(monkeypatch, 0.5, 0.985, 0.991) == {0.98: 8, 0.99: 10}

    def test_it_ends_with_the_last_target(self, monkeypatch):
        assert self.run(monkeypatch, 0.995) == {0.98: 4, 0.99: 4}

    def test_a_target_that_is_missed(self, monkeypatch):
        assert self.run(monkeypatch, 0.98, 0.97, 0.97) == {0.98: 4, 0.99: None}

    def test_the_row(self):
        row = Row("train", "to 99%", "lenet")
        accuracy.fill(row, {"ours": [2.0, 4.0, 3.0], "a": [4.0, 8.0, 6.0], "b": [1.0, None, 1.0]})
        assert row.seconds is not None
        assert row.seconds.median == 3
        assert row.baselines["a"].ratio is not None
        assert row.baselines["a"].ratio.median == 2
        assert "b" not in row.baselines

    def test_the_row_of_a_target_that_we_miss(self):
        row = Row("train", "to 99%", "lenet")
        accuracy.fill(row, {"ours": [2.0, None], "torch": [4.0, 8.0]})
        assert row.skipped == "not reached in 4 epochs"

    @pytest.mark.skipif(not INSTALLED, reason="PyTorch is not installed")
    def test_both_sides_train(self, hasty, monkeypatch):
        from gpucnn import data

        monkeypatch.setattr(accuracy, "EPOCHS", 2)
        monkeypatch.setattr(accuracy, "_EVERY", 8)
        monkeypatch.setattr(accuracy, "SEEDS", (0,))
        monkeypatch.setattr(accuracy, "TARGETS", (0.1, 0.5))
        bench = Bench(Options(baselines=("torch",)))
        found = accuracy._measure(bench, "lenet", data.load("digits"))
        assert all(run[0.1] is not None for runs in found.values() for run in runs)
        assert set(found) == {"ours", "torch"}


class TestSize:
    """By the metadata of what pip installed."""

    def make(self, folder: Path, name: str, size: int, *requires: str) -> None:
        info = folder / f"{name}-1.dist-info"
        info.mkdir()
        lines = [f"Requires-Dist: {requirement}" for requirement in requires]
        head = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1"]
        (info / "METADATA").write_text("\n".join(head + lines) + "\n")
        (folder / f"{name}.py").write_bytes(b"#" * size)
        (folder / f"{name}.pyc").write_bytes(b"#" * 77)
        (info / "RECORD").write_text(f"{name}.py,,\n{name}.pyc,,\ngone.py,,\n")

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch) -> Path:
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path

    def test_with_all_that_it_requires(self, folder):
        self.make(
            folder, "zz_a", 1000, "zz.b>=1", "zz_c; extra == 'fast'", 'zz_d; python_version<"3"'
        )
        self.make(folder, "zz_b", 200, "zz-a")  # in a circle
        self.make(folder, "zz_c", 30)
        assert installed.nbytes("zz-a") == 1200
        assert installed.nbytes("zz_a", ["fast"]) == 1230

    def test_what_is_not_installed(self):
        with pytest.raises(installed.UnknownSizeError, match="zz_nothing is not installed"):
            installed.nbytes("zz_nothing")

    def test_what_does_not_say_its_files(self, folder):
        self.make(folder, "zz_a", 1000)
        (folder / "zz_a-1.dist-info" / "RECORD").unlink()
        with pytest.raises(installed.UnknownSizeError, match="does not say"):
            installed.nbytes("zz_a")

    def test_our_own(self, root):
        try:
            total = installed.nbytes("gpucnn")
        except installed.UnknownSizeError as error:
            pytest.skip(str(error))
        numpy = sum(
            Path(str(metadata.distribution("numpy").locate_file(file))).stat().st_size
            for file in metadata.distribution("numpy").files or ()
            if file.suffix != ".pyc"
        )
        own = (root / "gpucnn" / "backend" / "cpu.py").stat().st_size
        assert total > numpy + own
