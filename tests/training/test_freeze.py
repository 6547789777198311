"""`freeze` of a training: these layers keep their weights, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gpucnn import data, nn
from gpucnn.cli import outcome
from gpucnn.cli.main import main
from gpucnn.errors import UsageError
from gpucnn.training import SavedModel, TrainConfig, fit

Make = Callable[[], nn.Sequential]
ALL = {"conv1", "batchnorm1", "dense1"}


def network() -> nn.Sequential:
    return nn.Sequential(
        [nn.Conv2d(4, 3, stride=3), nn.BatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.Dense(10)]
    )


def changed(model: nn.Module, digits: data.Splits, freeze: str | None) -> set[str]:
    """The layers of which a training of an epoch changes an array."""
    model.build((1, 28, 28))
    before = model.state_dict()
    fit(model, digits, TrainConfig(epochs=1, batch_size=50, device="cpu", freeze=freeze))
    after = model.state_dict()
    different = {path for path in before if not np.array_equal(before[path], after[path])}
    return {path.rpartition(".")[0] for path in different}


@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        (None, ALL),
        ("conv1", ALL - {"conv1"}),
        ("conv1, batchnorm1", {"dense1"}),
        ("features", {"dense1"}),
        ("dense1", ALL - {"dense1"}),
    ],
)
def test_frozen_layers_keep_their_weights(
    digits: data.Splits, freeze: str | None, trained: set[str]
) -> None:
    assert changed(network(), digits, freeze) == trained


def test_a_layer_freezes_those_in_it(digits: data.Splits) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential([nn.Conv2d(4, 3, stride=3), nn.ReLU(), nn.Flatten()])
            self.hidden = nn.Dense(12, activation="relu")
            self.head = nn.Dense(10)

        def forward(self, x: Any) -> Any:
            return self.head(self.hidden(self.features(x)))

    # A layer of that name comes before the word.
    assert changed(Own(), digits, "features") == {"hidden", "head"}
    assert changed(Own(), digits, "features.conv1,hidden") == {"head"}


@pytest.mark.parametrize(
    ("freeze", "says"),
    [
        ("conv2", "did you mean conv1"),
        ("", "choose one of"),
        ("conv1,", "choose one of"),
        ("dens", "did you mean dense1"),
    ],
)
def test_unknown_layers_are_errors(digits: data.Splits, freeze: str, says: str) -> None:
    with pytest.raises(UsageError, match="unknown layer") as error:
        changed(network(), digits, freeze)
    assert says in str(error.value.fix)


def test_nothing_left_to_train(digits: data.Splits) -> None:
    with pytest.raises(UsageError, match="frozen"):
        changed(network(), digits, "conv1,batchnorm1,dense1")


def test_train_freezes_the_features_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "save_pictures", lambda *given: None)

    def train(*words: str) -> str:
        common = ["--runs-dir", str(tmp_path), "--limit-batches", "2", "--epochs", "1"]
        result = CliRunner().invoke(main, ["train", *words, *common, "--device", "cpu"])
        assert result.exit_code == 0, result.stderr
        return str(result.stderr)

    digits = data.load("digits").train
    chosen = digits.labels < 3 if digits.labels is not None else None
    np.savez(tmp_path / "few.npz", x=digits.images[chosen][:, 0], y=digits.labels[chosen])
    train("--data", "digits", "--model", "mlp", "--name", "first")
    first = str(tmp_path / "first")
    said = train("--data", str(tmp_path / "few.npz"), "--weights", first, "--freeze", "features",
                 "--name", "second")  # fmt: skip
    before, after = (
        SavedModel.load(tmp_path / name).model.state_dict() for name in ("first", "second")
    )
    same = {path for path in before if np.array_equal(before[path], after[path])}
    last = max(path.rpartition(".")[0] for path in before)
    assert same == {path for path in before if not path.startswith(f"{last}.")}
    frozen = sum(before[path].size for path in same)
    total = sum(array.size for array in after.values())
    assert f"frozen: {frozen:,} of {total:,} parameters stay as they are" in said
    go_on = CliRunner().invoke(
        main, ["train", "--resume", str(tmp_path / "second"), "--epochs", "2"]
    )
    assert go_on.exit_code == 0, go_on.stderr
