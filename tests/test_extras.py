"""Optional packages that are missing, or that cannot be imported."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import ROOT, python_path, run_python

from gpucnn import extras
from gpucnn.errors import MissingExtraError

BROKEN = {
    "import_error": 'raise ImportError("no libfreetype")',
    "runtime_error": 'raise RuntimeError("built for another NumPy")',
    "needs_another": "import no_such_module",
    "cut_short": "def",
}


def test_a_package_that_is_there() -> None:
    extras.require("a test", "JSON", "json json.decoder", "plot")


def test_a_package_that_is_not_installed() -> None:
    with pytest.raises(MissingExtraError) as caught:
        extras.require("show", "Nothing", "no_such_module.part", "plot", "other")
    assert caught.value.message == "show needs Nothing, which is not installed"
    assert caught.value.fix == 'pip install "gpucnn[plot]" other'


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("part", ["__init__", "part"])
def test_a_package_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, part: str
) -> None:
    package = tmp_path / f"{name}_{part}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / f"{part}.py").write_text(BROKEN[name])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError) as caught:
        extras.require("show", "Stub", f"{package.name}.part", "plot")
    assert caught.value.message == "show needs Stub, which cannot be imported"
    error = caught.value.__cause__
    assert caught.value.cause == f"{type(error).__name__}: {error}"
    assert caught.value.fix == 'pip install --force-reinstall "gpucnn[plot]"'


@pytest.mark.slow
def test_a_training_fails_for_no_picture(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text(BROKEN["runtime_error"])
    (tmp_path / "tensorboardX.py").write_text(BROKEN["import_error"])
    code = """
import sys
from gpucnn.cli.main import main
small = ["train", "--data", "digits", "--model", "softmax", "--limit-batches", "1"]
for arguments in (
    [*small, "--epochs", "1"], [*small, "--sweep", "seed=0,1"], [*small, "--find-lr"],
    ["report", "runs/train-1"], ["inspect", "runs/train-1", "-o", "out"],
    [*small, "--log", "tensorboard"],
):
    try:
        main(arguments)
    except SystemExit as end:
        print("exit", end.code)
"""
    place = python_path(tmp_path, ROOT)
    result = run_python(code, cwd=tmp_path, PYTHONPATH=place)
    ends = [line for line in result.stdout.splitlines() if line.startswith("exit")]
    assert ends == ["exit 0"] * 4 + ["exit 1"] * 2, result.stderr
    assert result.stderr.count("built for another NumPy") >= 5
    assert "no libfreetype" in result.stderr
    assert "bug" not in result.stderr
    found = {path.name for path in (tmp_path / "runs").glob("[!.]*")}
    assert found == {"train-1", "sweep-1"}
