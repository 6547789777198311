"""The grid of a sweep: what is read, what is refused, and the names of its runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpucnn.errors import UsageError
from gpucnn.training.grid import OPTIONS, folder_name, label, parse_grid, settings


@pytest.mark.parametrize(
    ("texts", "grid"),
    [
        (["lr=1e-3,3e-3"], {"learning_rate": [1e-3, 3e-3]}),
        (["learning-rate=1", "seed=0..4"], {"learning_rate": [1.0], "seed": [0, 1, 2, 3, 4]}),
        (["--batch-size=32, 64"], {"batch_size": [32, 64]}),
        (["batch_size=1,3..5,8"], {"batch_size": [1, 3, 4, 5, 8]}),
        (["seed=7..7"], {"seed": [7]}),
        (["nesterov=true,false"], {"nesterov": [True, False]}),
        (["optimizer=sgd,adam", "model=lenet"], {"optimizer": ["sgd", "adam"], "model": ["lenet"]}),
        (["data=a..b,../c"], {"data": ["a..b", "../c"]}),
        (["log=csv"], {"log": ["csv"]}),
    ],
)
def test_values(texts: list[str], grid: dict[str, list[Any]]) -> None:
    assert parse_grid(texts) == grid


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["lr"], "has no values"),
        (["lr="], "has no values"),
        (["=1"], "unknown option ''"),
        (["lrr=1"], "did you mean lr?"),
        (["batchsize=1"], "did you mean batch-size?"),
        (["name=a,b"], "unknown option 'name'"),
        (["runs-dir=a,b"], "unknown option 'runs-dir'"),
        (["lr=1,,2"], "learning_rate is ''"),
        (["lr=fast"], "learning_rate is 'fast' (from --sweep)"),
        (["lr=0"], "out of range"),
        (["lr=nan"], "out of range"),
        (["epochs=1.5"], "not a whole number"),
        (["model=lenett"], "did you mean lenet?"),
        (["nesterov=maybe"], "true or false"),
        (["lr=1e-3,0.001"], "lr=0.001 twice"),
        (["seed=0..2,1"], "seed=1 twice"),
        (["seed=1", "seed=2"], "gives seed twice"),
        (["lr=1", "learning-rate=2"], "gives learning-rate twice"),
        (["lr=1e-3..1e-1"], "a range is of whole numbers"),
        (["seed=4..0"], "0..4"),
        (["seed=0..x"], "0..4"),
        (["seed=0.." + "9" * 4300], "seed is a number of 14285 bits"),
        (["seed=0,1.." + "9" * 5000], "seed=0..4"),
        (["seed=" + ",".join(map(str, range(5000)))], "at most 1,000"),
        (["lr=0..1" + " x" * 300], "a range is of whole numbers"),
        (["lr " * 300], "has no values"),
        (["seed=0.."], "0..4"),
        (["seed=0..999999999999"], "at most 1,000"),
        (["seed=0..99", "lr=1,2,3,4,5,6,7,8,9,10,11"], "1,100 runs"),
    ],
)
def test_what_is_refused(texts: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_grid(texts)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 800
    assert caught.value.fix


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1e9, "1e+09"), (1e-3, "0.001"), (30.0, "30"), (1e-10, "1e-10"), (0.5, "0.5"),
        (0.123456789, "0.123456789"), (5, "5"), (True, "true"), ("adam", "adam"),
    ],
)  # fmt: skip
def test_values_in_names_are_short(value: Any, shown: str) -> None:
    assert label({"learning_rate": value}) == f"lr={shown}"
    assert folder_name(1, 1, {"learning_rate": value}) == f"1-lr={shown}"
    assert type(value)(shown) == value or isinstance(value, bool)


def test_the_last_option_varies_fastest() -> None:
    assert settings({"seed": [0, 1], "epochs": [5, 6]}) == [
        {"seed": 0, "epochs": 5},
        {"seed": 0, "epochs": 6},
        {"seed": 1, "epochs": 5},
        {"seed": 1, "epochs": 6},
    ]


def test_options_have_the_names_of_train() -> None:
    assert OPTIONS["lr"] == OPTIONS["learning-rate"] == "learning_rate"
    assert OPTIONS["batch-size"] == "batch_size"


@pytest.mark.parametrize(
    ("number", "count", "values", "name"),
    [
        (3, 12, {"learning_rate": 1e-3, "seed": 2}, "03-lr=0.001-seed=2"),
        (1, 1, {"data": "../my data/ä.csv"}, "1-data=.._my_data__.csv"),
        (1, 5, {"model": "<script>"}, "1-model=_script_"),
    ],
)
def test_names_of_runs(number: int, count: int, values: dict[str, Any], name: str) -> None:
    assert folder_name(number, count, values) == name
    assert Path(name).name == name
    assert len(folder_name(1, 1, {"data": "x" * 500})) == 100


def test_labels() -> None:
    assert label({"learning_rate": 1e-3, "batch_size": 32}) == "lr=0.001, batch-size=32"
    assert label({"nesterov": True, "model": "lenet"}) == "nesterov=true, model=lenet"
