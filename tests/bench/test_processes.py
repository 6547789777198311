"""Processes measured from outside: times, memory, sizes, the first batch, failures."""

from __future__ import annotations

import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from gpucnn.bench import accuracy, baselines, processes
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Options
from gpucnn.errors import GpucnnError

TRAIN = [sys.executable, "-m", "gpucnn", "train", "--data", "digits", "--model", "softmax"]
INSTALLED = tuple(baselines.installed())


@pytest.fixture
def bench(hasty: None) -> Bench:
    return Bench(Options(suite="quick"))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.slow
def test_until_an_epoch_is_told():
    told = 'import time; time.sleep(0.2); print(\'{"event": "epoch"}\', flush=True)'
    start = time.perf_counter()
    seconds = processes._until_epoch(python(f"{told}; time.sleep(1)"))
    assert 0.2 < seconds < time.perf_counter() - start - 0.5


@pytest.mark.slow
def test_gpucnn_train_tells_of_its_first_batch():
    assert processes._until_epoch([*TRAIN, "--dry-run", "--json", "--quiet"]) > 0


@pytest.mark.slow
def test_the_memory_is_the_processs_and_not_ours():
    here = bytearray(400 << 20)
    here[::4096] = b"x" * len(here[::4096])  # this process has taken it
    small = processes._peak(python("pass"))
    large = processes._peak(python("x = bytearray(200 << 20); x[::4096] = b'x' * (200 << 8)"))
    assert small < 100
    assert 200 < large < 300


def test_a_process_that_fails():
    with pytest.raises(GpucnnError, match="ended with 3") as error:
        processes._lines(python("import sys; print('why', file=sys.stderr); sys.exit(3)"))
    assert error.value.cause == "why"
    with pytest.raises(GpucnnError, match="ended with 3"):
        processes._peak(python("raise SystemExit(3)"))


def test_a_training_that_tells_of_no_epoch():
    with pytest.raises(GpucnnError, match="too early"):
        processes._until_epoch(python("pass"))


@pytest.mark.slow
def test_a_row_whose_process_fails_is_skipped(bench, monkeypatch):
    monkeypatch.setattr(processes, "_RUNS", 1)
    monkeypatch.setattr(processes, "_READY", "raise SystemExit('no\\nreason')")
    first, second = rows_of(bench, processes)[-2:]
    assert first.seconds is not None
    assert second.seconds is None
    assert second.skipped == "the measured process ended with 1: reason"


def test_options_in_the_environment_are_not_passed_on(monkeypatch):
    monkeypatch.setenv("GPUCNN_EPOCHS", "7")
    monkeypatch.setenv("GPUCNN_CACHE_DIR", "/somewhere")
    code = "import os; print([key in os.environ for key in ('GPUCNN_EPOCHS', 'GPUCNN_CACHE_DIR')])"
    ((_, line),) = processes._lines(python(code))
    assert line == "[False, True]"


def test_turns_are_compared_in_pairs():
    times = {"ours": iter([9, 1, 2, 1, 2, 1]), "theirs": iter([9, 2, 4, 2, 4, 2])}
    row = BenchRow("train", "import", "x")
    processes._timed(row, lambda command: next(times[command[0]]), ["ours"], ["theirs"])
    assert row.seconds is not None
    assert row.seconds.median == 1
    assert row.baselines["torch"].ratio is not None
    assert row.baselines["torch"].ratio.p10 == row.baselines["torch"].ratio.p90 == 2


def test_the_smallest_layout_counts():
    row = BenchRow("train", "peak memory", "x")
    processes._sized(row, 100.0, [(300.0, "contiguous"), (250.0, "channels_last")])
    assert (row.value, row.unit) == (100, "MB")
    torch = row.baselines["torch"]
    assert (torch.value, torch.layout, torch.ratio.median) == (250, "channels_last", 2.5)


def rows_of(bench: Bench, *modules: Any) -> list[BenchRow]:
    return [task() for module in modules for task in module.tasks(bench)]


@pytest.mark.slow
def test_rows_of_the_quick_suite(bench, monkeypatch):
    monkeypatch.setattr(processes, "_RUNS", 1)
    rows = rows_of(bench, processes)
    assert [row.name for row in rows[-3:]] == ["install size", "import", "import"]
    assert len(rows) in (3, 4)  # the extra `fast` may be installed
    assert all(row.value > 0 and row.unit == "MB" for row in rows[:-2])
    assert rows[-2].seconds is not None
    assert rows[-1].seconds is not None
    assert accuracy.tasks(bench) == []


@pytest.mark.slow
def test_without_mnist_rows_are_skipped(hasty, monkeypatch, tmp_path):
    bench = Bench(Options(suite="mnist", data_dir=str(tmp_path)))
    monkeypatch.setattr(processes, "_import", lambda *args, **kwargs: None)
    rows = rows_of(bench, processes, accuracy)
    skipped = [row for row in rows if row.skipped]
    assert {row.name for row in skipped} == {"first batch", "peak memory", "to 98%", "to 99%"}
    assert len(skipped) == 8
    assert all("--data-dir" in row.skipped and str(tmp_path) not in row.skipped for row in skipped)


@pytest.mark.slow
def test_nothing_is_started_on_the_simulator(bench, monkeypatch):
    monkeypatch.setattr(bench.watch, "ticks", False)
    assert processes.tasks(bench) == accuracy.tasks(bench) == []


@pytest.mark.slow
def test_the_first_batch_and_the_memory_of_a_training(hasty, mnist_dir, monkeypatch):
    monkeypatch.setattr(processes, "_RUNS", 1)
    monkeypatch.setattr(processes, "_STEPS", 1)
    bench = Bench(Options(suite="mnist", data_dir=str(mnist_dir), baselines=INSTALLED))
    row = BenchRow("train", "first batch", "")
    processes._first_batch(bench, "softmax", row)
    assert 0 < row.seconds.median < 60
    assert set(row.baselines) == set(INSTALLED)
    row = BenchRow("train", "peak memory", "")
    processes._memory(bench, 8, row)
    assert 50 < row.value < 2000
    assert set(row.baselines) == set(INSTALLED)


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

        return accuracy.train(steps, accuracy.Training(step, lambda: None, look))

    def test_the_clock_stands_while_the_test_images_are_looked_at(self, monkeypatch):
        assert self.run(monkeypatch, 0.5, 0.985, 0.991) == {0.98: 8, 0.99: 10}

    def test_it_ends_with_the_last_target(self, monkeypatch):
        assert self.run(monkeypatch, 0.995) == {0.98: 4, 0.99: 4}

    def test_a_target_that_is_missed(self, monkeypatch):
        assert self.run(monkeypatch, 0.98, 0.97, 0.97) == {0.98: 4, 0.99: None}

    def test_the_row(self):
        row = BenchRow("train", "to 99%", "lenet")
        accuracy.fill(row, [2.0, 4.0, 3.0], [4.0, 8.0, 6.0])
        assert row.seconds is not None
        assert row.seconds.median == 3
        assert row.baselines["torch"].ratio is not None
        assert row.baselines["torch"].ratio.median == 2

    @pytest.mark.parametrize("torch", [[1.0, None], [None]])
    def test_a_baseline_that_misses_the_target(self, torch):
        row = BenchRow("train", "to 99%", "lenet")
        accuracy.fill(row, [2.0, 4.0], torch)
        assert row.seconds is not None
        assert row.baselines == {}

    def test_the_row_of_a_target_that_we_miss(self):
        row = BenchRow("train", "to 99%", "lenet")
        accuracy.fill(row, [2.0, None], [4.0, 8.0])
        assert row.skipped == "not reached in 4 epochs"

    @pytest.mark.slow
    def test_one_training_gives_the_rows_of_all_targets(self, bench, monkeypatch):
        measured = []

        def measure(bench: Bench, model: str, splits: Any) -> Any:
            measured.append(model)
            return {"ours": [{0.98: 1.0, 0.99: None}] * 2, "torch": [{0.98: 3.0, 0.99: 4.0}] * 2}

        monkeypatch.setattr(accuracy, "measure", measure)
        monkeypatch.setattr(accuracy.networks, "missing_mnist", lambda folder: None)
        monkeypatch.setattr(accuracy.data, "load", lambda *args, **options: None)
        mnist = Bench(Options(suite="mnist"))
        rows = rows_of(mnist, accuracy)
        assert measured == list(accuracy.MODELS)
        assert [row.title for row in rows[:2]] == [
            "to 98% lenet, batch 64",
            "to 99% lenet, batch 64",
        ]
        assert rows[0].seconds.median == 1
        assert rows[0].baselines["torch"].ratio.median == 3
        assert rows[1].skipped

    @pytest.mark.slow
    @pytest.mark.skipif(not INSTALLED, reason="PyTorch is not installed")
    def test_both_sides_train(self, hasty, monkeypatch):
        from gpucnn import data

        monkeypatch.setattr(accuracy, "EPOCHS", 2)
        monkeypatch.setattr(accuracy, "_EVERY", 8)
        monkeypatch.setattr(accuracy, "SEEDS", (0,))
        monkeypatch.setattr(accuracy, "TARGETS", (0.1, 0.5))
        bench = Bench(Options(baselines=("torch",)))
        found = accuracy.measure(bench, "lenet", data.load("digits"))
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
        assert processes.installed_size("zz-a") == 1200
        assert processes.installed_size("zz_a", "fast") == 1230

    def test_an_extra_that_is_installed_has_a_row(self, bench, monkeypatch):
        found = {None: {"gpucnn": 1}, "fast": {"gpucnn": 1, "numba": 2}}
        monkeypatch.setattr(processes, "_distributions", lambda name, extra=None: found[extra])
        sizes = {None: 10e6, "fast": 30e6}
        monkeypatch.setattr(processes, "installed_size", lambda name, extra=None: sizes[extra])
        rows = [task() for task in processes.tasks(bench)[:2]]
        assert [(row.case, row.value) for row in rows] == [
            ("with dependencies", 10.0),
            ("with the extra fast", 30.0),
        ]
        found["fast"] = found[None]
        assert len(processes.tasks(bench)) == 3

    def test_what_is_not_installed(self):
        with pytest.raises(GpucnnError, match="zz_nothing is not installed"):
            processes.installed_size("zz_nothing")

    def test_what_does_not_list_its_files(self, folder):
        self.make(folder, "zz_a", 1000)
        (folder / "zz_a-1.dist-info" / "RECORD").unlink()
        with pytest.raises(GpucnnError, match="does not list"):
            processes.installed_size("zz_a")

    def test_our_own(self, root):
        try:
            total = processes.installed_size("gpucnn")
        except GpucnnError as error:
            pytest.skip(str(error))
        numpy = sum(
            Path(str(metadata.distribution("numpy").locate_file(file))).stat().st_size
            for file in metadata.distribution("numpy").files or ()
            if file.suffix != ".pyc"
        )
        own = (root / "gpucnn" / "nn" / "module.py").stat().st_size
        assert total > numpy + own
