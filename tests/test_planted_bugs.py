"""The table of planted bugs fits the sources; a bug is caught only where a test fails."""

from __future__ import annotations

import re
from pathlib import Path

import planted_bugs
import pytest
from bug_table import BUGS, Bug
from planted_bugs import Invalid, Planter, plant

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_text_is_there_once(bug):
    """A refactoring that moves a line shows here, long before the bugs are planted."""
    assert (ROOT / bug.file).read_text().count(bug.old) == 1
    assert bug.new != bug.old


@pytest.mark.parametrize("file", sorted({bug.tests for bug in BUGS}))
def test_the_tests_are_there(file):
    names = re.findall(r"def (test_\w+)", (ROOT / "tests" / file).read_text())
    for bug in BUGS:
        if bug.tests == file:
            function = bug.selection.split(" and ")[0]
            assert any(function in name for name in names), bug.name


def test_every_kernel_has_a_bug_and_so_have_the_launches():
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    files = {bug.file for bug in BUGS}
    kernels = {f"kernels/{path.name}" for path in ROOT.glob("kernels/*.cu")}
    assert kernels - {"kernels/stopwatch.cu"} <= files  # that one computes nothing
    assert any(file.startswith("gpucnn/backend/cuda/") for file in files)


def test_a_text_that_is_not_there_once_is_not_changed(tmp_path):
    (tmp_path / "file").write_text("one two two")
    for old, new in (("two", "three"), ("four", "five"), ("one", "one")):
        with pytest.raises(Invalid, match="not once"):
            plant(Bug("name", "file", old, new, "", ""), tmp_path)
    plant(Bug("name", "file", "one", "three", "", ""), tmp_path)
    assert (tmp_path / "file").read_text() == "three two two"


CAUGHT = "FAILED tests/backend/test_relu.py::test_relu - AssertionError\n1 failed in 1 s\n"


@pytest.mark.parametrize(
    ("status", "output", "outcome"),
    [
        (0, "3 passed", "SURVIVED"),
        (1, CAUGHT, "caught by test_relu.py::test_relu"),
        (1, f"E   KernelError: g++ does not compile it\n{CAUGHT}", "invalid: it does not compile"),
        (1, "ERROR tests/backend/test_relu.py::test_relu - OSError", "invalid: pytest ended"),
        (2, "ERROR tests/backend/test_relu.py", "invalid: pytest ended with 2"),
        (5, "no tests ran", "invalid: pytest ended with 5"),
        (-11, "Segmentation fault", "invalid: pytest ended with -11"),
    ],
)
def test_what_counts_as_caught(monkeypatch, capsys, tmp_path, status, output, outcome):
    monkeypatch.setattr(Planter, "copy", lambda self: tmp_path / "one" / "copy")
    monkeypatch.setattr(Planter, "check_imports", lambda self: None)
    monkeypatch.setattr(Planter, "check_tests", lambda self, file, selections: None)
    monkeypatch.setattr(Planter, "test", lambda self, *arguments: (status, output))
    monkeypatch.setattr(planted_bugs, "plant", lambda bug, root: None)
    (tmp_path / "one").mkdir()
    assert planted_bugs.main([BUGS[0].name]) == (0 if outcome.startswith("caught") else 1)
    assert capsys.readouterr().out.startswith(f"{BUGS[0].name}: {outcome}")


def test_a_name_that_no_bug_has(capsys):
    assert planted_bugs.main(["no such bug"]) == 2
    assert "no such bug" in capsys.readouterr().err
