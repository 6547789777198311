"""TrainConfig: limits of each option, and where a value comes from."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import schedules
from gpucnn.errors import GpucnnWarning, UsageError
from gpucnn.training import TrainConfig
from gpucnn.training.config import FIELDS, field_type
from gpucnn.training.variables import OTHER_VARIABLES, warn_of_unknown

BAD: dict[str, list[Any]] = {
    "model": ["lenett", 3],
    "optimizer": ["adamm"],
    "schedule": ["linear"],
    "loss": ["hinge"],
    "epochs": [0, 2**63, -1, 1.5, True, "3"],
    "batch_size": [0, -64, 2.0],
    "learning_rate": [0.0, -0.1, math.nan, math.inf, "fast"],
    "momentum": [1.0, -0.1, math.nan],
    "weight_decay": [-1e-4, math.nan],
    "clip_norm": [0.0, -1.0, math.nan, math.inf],
    "warmup_steps": [-1],
    "step_epochs": [0],
    "step_factor": [0.0],
    "seed": [-1, 2**63],
    "validation": [-1],
    "standardise": [1, "yes"],
    "augment": ["stroke", 1, True],
    "shift": [-1],
    "rotate": [-5.0],
    "patience": [0],
    "log_interval": [0],
    "log": ["", "xml", "csv,", "csv;tensorboard", 3],
    "checkpoint_every": [0],
    "limit_batches": [0],
    "overfit_batches": [0],
    "threads": [0],
    "name": ["a/b", "..", "", "new\nline", "tab\t", "\x1b[31m", "\u202eback", "\x7f", "\u2028"],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, vs in BAD.items() for v in vs])
def test_a_bad_value_is_refused_by_name(key: str, value: Any) -> None:
    options = {"optimizer": "sgd"} if key == "momentum" else {}
    with pytest.raises(UsageError, match=key) as caught:
        TrainConfig(**{**options, key: value})
    assert caught.value.fix
    assert ("takes a finite number" in caught.value.fix) == (field_type(key)[0] is float)


def test_a_misspelt_choice_is_guessed() -> None:
    with pytest.raises(UsageError) as caught:
        TrainConfig(optimizer="adamm")
    assert "did you mean adam" in str(caught.value.fix)


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('epochs = 2\nbatch_size = 8\nmodel = "mlp"\nlearning_rate = 1\n')
    env = {"GPUCNN_EPOCHS": "3", "GPUCNN_BATCH_SIZE": "16", "GPUCNN_STANDARDISE": "true"}
    config = TrainConfig.load(file, env, {"epochs": 4, "seed": None})
    assert (config.epochs, config.batch_size, config.model) == (4, 16, "mlp")
    assert config.standardise is True
    assert config.learning_rate == 1.0
    assert isinstance(config.learning_rate, float)
    assert config.seed == 0


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("epoch = 3", ["epoch", "did you mean epochs?"]),
        ("lr = 0.01", ["'lr'", "did you mean learning_rate?"]),
        ("batch = 8", ["'batch'", "did you mean batch_size?"]),
        ("color = 3", ["color", "batch_size"]),
        ("batch_size = 0", ["batch_size", "at least 1"]),
        ("learning_rate = nan", ["learning_rate", "greater than 0"]),
        ('epochs = "three"', ["epochs", "whole number"]),
        ("epochs = ", ["not valid TOML"]),
    ],
)
def test_a_bad_file_is_refused_with_key_and_path(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        TrainConfig.load(file, {})
    for name in [str(file), *names]:
        assert name in str(caught.value)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        TrainConfig.load(tmp_path / "none.toml", {})


def test_a_bad_environment_variable_is_named() -> None:
    with pytest.raises(UsageError, match=r"\$GPUCNN_EPOCHS"):
        TrainConfig.load(None, {"GPUCNN_EPOCHS": "many"})


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("GPUCNN_LR", "did you mean GPUCNN_LEARNING_RATE?"),
        ("GPUCNN_BATCHSIZE", "did you mean GPUCNN_BATCH_SIZE?"),
        ("GPUCNN_EPOCH", "did you mean GPUCNN_EPOCHS?"),
        ("GPUCNN_SIM_ORDRE", "did you mean GPUCNN_SIM_ORDER?"),
        ("GPUCNN_DRY_RUN", "unset GPUCNN_DRY_RUN"),
        ("GPUCNN_JSON", "unset GPUCNN_JSON"),
        ("GPUCNN_epochs", "did you mean GPUCNN_EPOCHS?"),
    ],
)
def test_an_unknown_environment_variable_is_refused(name: str, fix: str) -> None:
    with pytest.raises(UsageError, match=f"variable {name} is unknown") as caught:
        TrainConfig.load(None, {name: "1"})
    assert str(caught.value.fix).startswith(fix)
    assert "--dry-run" in str(caught.value.cause)
    assert TrainConfig.load(None, {name: ""}) == TrainConfig()  # empty is unset
    with pytest.warns(GpucnnWarning, match=rf"{name} is unknown(?s:.*)fix: {re.escape(fix)}"):
        warn_of_unknown(FIELDS, {name: "1"})
    warn_of_unknown(FIELDS, {name: ""})


def test_variables_of_others_are_left_alone() -> None:
    env = dict.fromkeys(OTHER_VARIABLES, "1") | {
        "PATH": "/bin",
        "GPUCNNX": "1",
        "MY_GPUCNN_LR": "1",
    }
    assert TrainConfig.load(None, env) == TrainConfig()
    warn_of_unknown(FIELDS, {**env, "GPUCNN_EPOCHS": "3"})


def test_every_variable_that_is_read_is_known(root: Path) -> None:
    reads = re.compile(r"environ(?:\.get\(|\[)\"(GPUCNN_\w+)\"")
    found = {
        name
        for folder in ("gpucnn", "cli")
        for file in (root / folder).rglob("*.py")
        for name in reads.findall(file.read_text())
    }
    assert set(OTHER_VARIABLES) <= found
    assert found <= {*OTHER_VARIABLES, *(f"GPUCNN_{key.upper()}" for key in FIELDS)}


def test_a_bad_flag_is_named() -> None:
    with pytest.raises(UsageError, match="--lr"):
        TrainConfig.load(None, {}, {"learning_rate": math.nan})


def test_toml_gives_the_same_config_back(tmp_path: Path) -> None:
    config = TrainConfig(
        data="digits", optimizer="sgd", momentum=0.5, nesterov=True, rotate=7.5, patience=2
    )
    file = tmp_path / "c.toml"
    file.write_text(config.to_toml())
    assert TrainConfig.load(file, {}) == config
    assert set(tomllib.loads(config.to_toml())) <= set(FIELDS)


def test_resolved_does_not_depend_on_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    config = TrainConfig(data="pictures", data_dir="d", model="cnn").resolved("cpu")
    assert config.data == str(tmp_path / "pictures")
    assert config.data_dir is None
    assert TrainConfig(data="mnist", data_dir="d").resolved("cpu").data_dir == str(tmp_path / "d")
    assert (config.device, config.learning_rate) == ("cpu", 2e-3)
    # A name stays one, whatever lies in the folder.
    assert TrainConfig(data="digits").resolved("cpu").data == "digits"


@pytest.mark.parametrize(
    ("optimizer", "model", "rate"),
    [
        ("adam", "cnn", 2e-3),
        ("adamw", "lenet", 3e-3),
        ("rmsprop", "cnn", 1e-3),
        ("sgd", "cnn", 1e-2),
    ],
)
def test_the_default_learning_rate(optimizer: str, model: str, rate: float) -> None:
    assert TrainConfig(optimizer=optimizer, model=model).resolved("cpu").learning_rate == rate


def test_the_factor_of_schedule_step_is_that_of_the_table() -> None:
    table = schedules.table("step", 1.0, 2, step_every=1)
    assert table[1] == np.float32(TrainConfig().step_factor)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam", "momentum": 0.9},
        {"optimizer": "rmsprop", "nesterov": True},
        {"overfit_batches": 1, "shift": 2},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrainConfig(**options)


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 10**5000], ids=["long", "below 0", "endless"]
)
@pytest.mark.parametrize("key", ["epochs", "seed", "learning_rate", "batch_size"])
def test_a_number_of_many_digits_is_refused(key: str, value: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=key):
        TrainConfig(**{key: value})
    with pytest.raises(UsageError, match=rf"{key}.*from --"):
        TrainConfig.load(None, {}, {key: value})
    if value < 10**4000:  # more digits Python does not even read
        with pytest.raises(UsageError, match=rf"{key}.*\$GPUCNN"):
            TrainConfig.load(None, {f"GPUCNN_{key.upper()}": str(value)})
        (tmp_path / "c.toml").write_text(f"{key} = {value}")
        with pytest.raises(UsageError, match=key):
            TrainConfig.load(tmp_path / "c.toml", {})


@pytest.mark.parametrize(
    "text", ["1" * 5000, "[" * 5000, "[" * 5000 + "]" * 5000], ids=["digits", "open", "closed"]
)
def test_endless_toml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(f"epochs = {text}")
    with pytest.raises(UsageError, match=r"c\.toml is not valid TOML"):
        TrainConfig.load(tmp_path / "c.toml", {})


@pytest.mark.parametrize("value", ["a\0b", "a\udce4b"])
@pytest.mark.parametrize("key", ["data", "data_dir", "runs_dir", "name", "device"])
def test_a_string_that_is_no_text_is_refused(key: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{key} is .* no text"):
        TrainConfig(**{key: value})


def test_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    config = TrainConfig(data="~/d", data_dir="~", runs_dir="~/runs", name="~x")
    paths = (config.data, config.data_dir, config.runs_dir, config.name)
    assert paths == ("/home/me/d", "/home/me", "/home/me/runs", "~x")
    for key in ("data", "data_dir", "runs_dir"):
        with pytest.raises(UsageError, match=f"{key} is '~nosuchuser/x'"):
            TrainConfig(**{key: "~nosuchuser/x"})


def test_every_option_has_a_help_text() -> None:
    assert all(field.metadata["help"] for field in dataclasses.fields(TrainConfig))
