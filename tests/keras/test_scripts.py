"""Scripts written for Keras run with the package name of their imports changed.

They are in scripts/ as their authors wrote them. Where one says something that is not so here, an
error tells what to write: `CHANGES` lists those errors and that change, for each script. Those of
older versions of Keras, `OLDER`, need none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from selection import slow_except

from gpucnn.errors import GpucnnError

SCRIPTS = {path.stem: path.read_text() for path in Path(__file__).parent.glob("scripts/*.py")}

OLDER = (
    "keras0_mlp", "keras1_book", "keras1_cnn", "keras1_mlp", "keras2_callbacks", "keras2_cnn",
    "tf_keras",
)  # fmt: skip

#: Script -> what the error says, and the text to replace by what.
CHANGES: dict[str, list[tuple[str, dict[str, str]]]] = {
    **{name: [] for name in OLDER},
    "mlp": [],
    "cnn": [
        (
            "fix: give x.transpose(0, 3, 1, 2), and (1, 28, 28)",
            {"(28, 28, 1)": "(1, 28, 28)", "np.expand_dims(x_train, -1)": "x_train[:, None]",
             "np.expand_dims(x_test, -1)": "x_test[:, None]"},
        ),
    ],
    "with_callbacks": [("fix: write best.safetensors", {"best.keras": "best.safetensors"})],
    "with_generators": [
        (
            "fix: give x.transpose(0, 3, 1, 2), and (1, 28, 28)",
            {"(28, 28, 1)": "(1, 28, 28)", "[..., np.newaxis]": "[:, np.newaxis]",
             "axis=(1, 2)": "axis=(2, 3)"},
        ),
    ],
    "save_and_load": [
        ("fix: write my_model.safetensors", {"my_model.keras": "my_model.safetensors"}),
        ("fix: write my_model.safetensors", {"my_model.weights.h5": "my_weights.safetensors"}),
    ],
}  # fmt: skip


def with_imports_of_gpucnn(source: str) -> str:
    for theirs, ours in (
        (r"import keras$", "from gpucnn import keras"),
        (r"from keras\b", "from gpucnn.keras"),
        (r"import tensorflow as tf$", "import gpucnn as tf"),
        (r"from tensorflow\b", "from gpucnn"),
    ):
        source = re.sub(f"^{theirs}", ours, source, flags=re.MULTILINE)
    return source


def test_there_is_a_script_for_each_kind() -> None:
    assert set(SCRIPTS) == set(CHANGES)


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_the_package_of_the_imports_changes(name: str) -> None:
    source = SCRIPTS[name]
    pairs = zip(source.splitlines(), with_imports_of_gpucnn(source).splitlines(), strict=True)
    changed = {(theirs, ours) for theirs, ours in pairs if theirs != ours}
    assert changed
    for theirs, ours in changed:
        assert re.match(r"(from|import) (keras|tensorflow)\b", theirs)
        names = [re.split(r"\bimport ", line)[1] for line in (theirs, ours)]
        assert names[0] == names[1] or names == ["tensorflow as tf", "gpucnn as tf"]


@pytest.mark.parametrize("name", slow_except(CHANGES, "keras1_book"))
def test_a_script_of_keras_runs(name: str, run_script: Callable[[str], str]) -> None:
    source = with_imports_of_gpucnn(SCRIPTS[name])
    for words, changes in CHANGES[name]:
        with pytest.raises(GpucnnError) as error:
            run_script(source)
        assert words in str(error.value)
        for old, new in changes.items():
            assert old in source
            source = source.replace(old, new)
    accuracies = re.findall(r"^(?!Epoch).*ccuracy: +(\d+\.\d+)(%?)", run_script(source), re.M)
    assert accuracies
    for number, percent in accuracies:
        assert float(number) / (100 if percent else 1) > 0.9
