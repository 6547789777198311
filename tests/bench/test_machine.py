"""The commit of a record, the free memory and the CPU contention of a machine."""

from __future__ import annotations

import pytest

from gpucnn.bench import machine
from gpucnn.bench.machine import CpuContention, commit, free_memory


def test_the_commit(monkeypatch):
    """Of the checkout; of a package that is installed elsewhere the environment's."""
    monkeypatch.setenv("GPUCNN_COMMIT", "v1")
    monkeypatch.setattr(
        machine, "_run", lambda *command: "__init__.py" if "ls-files" in command else "abc-dirty"
    )
    assert commit() == "abc-dirty"
    monkeypatch.setattr(machine, "_run", lambda *command: "" if "ls-files" in command else "abc")
    assert commit() == "v1"
    monkeypatch.setattr(machine, "_run", lambda *command: None)
    monkeypatch.delenv("GPUCNN_COMMIT")
    assert commit() is None


def test_memory_of_a_container(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_CONTAINER", tmp_path)
    free = free_memory()  # of the machine
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 50\n")
    assert machine._free_in_container() is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert machine._free_in_container() == 150
    assert free_memory() == 150
    (tmp_path / "memory.max").write_text("800\n")
    assert free_memory() == 0
    assert free is None or free > 1 << 20


def test_cpu_contention(monkeypatch, tmp_path):
    stat, clock = tmp_path / "stat", iter([0.0, 10.0, 10.0])
    monkeypatch.setattr(machine, "_STAT", stat)
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 100)
    own = iter([0.0, 4.0, 4.0])
    monkeypatch.setattr(machine, "_own", lambda: next(own))
    stat.write_text("cpu  100 0 0 9000 50 0 0 0 0 0\ncpu0 1\n")
    contention = CpuContention()
    # 4 s of its own, and 5 s of others (1 s of a hypervisor) of the 20 s of two CPUs.
    stat.write_text("cpu  500 200 100 9900 70 50 50 100 0 0\ncpu0 1\n")
    assert contention.fraction() == pytest.approx(0.25)
    stat.unlink()
    assert contention.fraction() is None
