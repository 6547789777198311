"""The commit of a record, and the CPU contention of a machine."""

from __future__ import annotations

import pytest

from gpucnn.bench import machine
from gpucnn.bench.machine import CpuContention, commit


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
