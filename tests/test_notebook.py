"""The notebook of the examples is up to date, runs, and shows its pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="the extra `dev` is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra `dev` is not installed")
nbformat = pytest.importorskip("nbformat", reason="the extra `dev` is not installed")
pytest.importorskip("ipykernel", reason="the extra `dev` is not installed")

import notebook  # noqa: E402  needs jupytext

pytestmark = pytest.mark.slow  # which CI runs once the extra `dev` is there


def test_is_made_from_the_examples() -> None:
    assert notebook.NOTEBOOK.read_text() == notebook.text(), (
        "the notebook is out of date; run: python tests/notebook.py --write"
    )
    scripts = set(notebook.EXAMPLES.glob("*.py"))
    assert scripts == set(notebook.scripts()), "examples/README.md lists every script"


def test_runs(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    made = nbformat.read(notebook.NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        made, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises with the cell and its traceback if a check fails
    shown = [output for cell in made.cells for output in cell.get("outputs", ())]
    kinds = [kind for output in shown for kind in output.get("data", {})]
    assert kinds.count("image/png") >= 8
    if shutil.which("dot"):
        assert kinds.count("image/svg+xml") >= 2
    assert not [output for output in shown if output.get("name") == "stderr"]


def test_a_failed_check_is_an_error(tmp_path: Path) -> None:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 == 2, 'wrong'")])
    client = nbclient.NotebookClient(made, timeout=60, kernel_name="python3")
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="wrong"):
        client.execute(cwd=str(tmp_path))
