"""docs/keras.md: its Python runs, and the two scripts differ in the marked lines alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucnn.errors import GpucnnError

ROOT = Path(__file__).resolve().parents[2]
KERAS, OURS, OWN = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "keras.md").read_text(), flags=re.DOTALL
)


def test_lines_that_are_not_marked_are_the_same() -> None:
    pairs = list(zip(KERAS.splitlines(), OURS.splitlines(), strict=True))
    for theirs, ours in pairs:
        marks = [re.search(r"# (\d)$", line) for line in (theirs, ours)]
        assert (theirs == ours) == (marks == [None, None])
        if theirs != ours:
            assert marks[0] is not None
            assert marks[1] is not None
            assert marks[0][1] == marks[1][1]
    assert sum(theirs != ours for theirs, ours in pairs) == 6


def test_ours_runs(tmp_path: Path, run_script: Callable[[str], str]) -> None:
    assert "Score(loss=" in run_script(OURS)
    assert (tmp_path / "digits.safetensors").is_file()


def test_own_losses_and_metrics_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(OWN, names)
    history = names["model"].fit(names["x_train"][:99, None] / 255, names["y_train"][:99]).history
    assert list(history) == ["loss", "accuracy", "confidence", "f1_score", "recall"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "x.transpose(0, 3, 1, 2)"),
        ({"(28, 28, 1)": "(1, 28, 28)", "[..., None]": "[:, None]"}, "digits.safetensors"),
    ],
)
def test_theirs_says_what_to_change(
    change: dict[str, str], words: str, run_script: Callable[[str], str]
) -> None:
    source = KERAS.replace("import keras  ", "from gpucnn import keras  ")
    source = source.replace("from keras import", "from gpucnn.keras import")
    for old, new in change.items():
        source = source.replace(old, new)
    with pytest.raises(GpucnnError) as error:
        run_script(source)
    assert words in str(error.value)
