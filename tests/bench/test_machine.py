"""Which commit a record is of."""

from __future__ import annotations

from gpucnn.bench import machine
from gpucnn.bench.machine import commit


def test_the_commit(monkeypatch):
    """Of the checkout; of a package that is installed elsewhere what the environment says."""
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


def test_a_program_that_is_not_there_says_nothing():
    assert machine._run("no-such-program-anywhere") is None
    assert machine._run("false") is None
