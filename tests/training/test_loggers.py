"""The loggers of docs/logs.md for W&B and MLflow, on stand-ins of these packages."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gpucnn import backend, data
from gpucnn.errors import Interrupted
from gpucnn.nn import Sequential
from gpucnn.training import Callback, Run, TrainConfig, Trainer, fit

Make = Callable[[], Sequential]
Calls = list[tuple[str, Any]]
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "logs.md").read_text()


def block(package: str) -> str:
    """The block of the page that imports a package."""
    found = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (text,) = (each for each in found if f"import {package}\n" in each)
    return text


def wandb(calls: Calls) -> ModuleType:
    """A stand-in of wandb that keeps its calls, with the signatures of its functions."""
    module: Any = ModuleType("wandb")

    def init(*, project: str, id: str | None, resume: str, config: dict[str, Any]) -> None:
        module.run = SimpleNamespace(summary=Summary())
        calls.append(("init", (project, id, resume, json.loads(json.dumps(config)))))

    def log(data: dict[str, Any], step: int | None = None) -> None:
        assert module.run is not None
        calls.append(("log", (json.loads(json.dumps(data)), step)))

    def finish() -> None:
        module.run = None
        calls.append(("finish", None))

    class Summary:
        def update(self, values: dict[str, Any]) -> None:
            calls.append(("summary", values))

    module.run, module.init, module.log, module.finish = None, init, log, finish
    return module


def mlflow(calls: Calls) -> ModuleType:
    """A stand-in of mlflow that keeps its calls, with the signatures of its functions."""
    module: Any = ModuleType("mlflow")

    def log_metrics(metrics: dict[str, float], step: int | None = None) -> None:
        assert all(isinstance(value, (int, float)) for value in metrics.values())
        calls.append(("metrics", (dict(metrics), step)))

    module.start_run = lambda run_name=None: calls.append(("start", run_name))
    module.log_params = lambda params: calls.append(("params", params))
    module.log_metrics = log_metrics
    module.end_run = lambda: calls.append(("end", None))
    return module


@pytest.fixture
def logger(
    monkeypatch: pytest.MonkeyPatch, digits: data.Splits, make_model: Make
) -> Callable[[str, Callable[[Calls], ModuleType], Calls], Callback]:
    """The logger of the page for a package; its calls are kept."""

    def make(package: str, stand_in: Callable[[Calls], ModuleType], calls: Calls) -> Callback:
        monkeypatch.setitem(sys.modules, package, stand_in(calls))
        given: list[Any] = []
        names: dict[str, Any] = {
            "TrainConfig": TrainConfig,
            "models": SimpleNamespace(get=lambda name: make_model()),
            "digits": digits,
            "fit": lambda *arguments: given.extend(arguments),
        }
        exec(block(package), names)
        *_, (callback,) = given
        assert isinstance(callback, Callback)
        return callback

    return make


def test_wandb(logger: Any, digits: data.Splits, make_model: Make, config: TrainConfig) -> None:
    calls: Calls = []
    callback = logger("wandb", wandb, calls)
    run = Run.create(replace(config, name="mine"), backend.get("cpu"))
    history = fit(make_model(), digits, config, [callback], run=run)
    (_, (project, name, resume, options)), *logged, (_, summary), last = calls
    assert (project, name, resume) == ("gpucnn", "mine", "allow")
    assert options == config.as_dict()
    assert logged == [("log", (record, 4 * record["epoch"])) for record in history.records]
    assert summary == {"test": history.test}
    assert last == ("finish", None)


def test_mlflow(logger: Any, digits: data.Splits, make_model: Make, config: TrainConfig) -> None:
    calls: Calls = []
    callback = logger("mlflow", mlflow, calls)
    splits = data.Splits(digits.train, None, digits.test)
    history = fit(make_model(), splits, config, [callback])
    start, params, *logged, test, last = calls
    assert start == ("start", None)
    assert params == ("params", config.as_dict())
    for (_, (numbers, step)), record in zip(logged, history.records, strict=True):
        assert numbers == {key: value for key, value in record.items() if value is not None}
        assert step == 4 * record["epoch"]
    assert history.test is not None
    expected = {"test_loss": history.test["loss"], "test_accuracy": history.test["accuracy"]}
    assert test == ("metrics", (expected, None))
    assert last == ("end", None)


@pytest.mark.parametrize(("package", "stand_in"), [("wandb", wandb), ("mlflow", mlflow)])
def test_an_interrupted_training_is_closed(
    logger: Any,
    digits: data.Splits,
    make_model: Make,
    config: TrainConfig,
    package: str,
    stand_in: Any,
) -> None:
    class Stop(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.step == 5:
                raise KeyboardInterrupt

    calls: Calls = []
    run = Run.create(config, backend.get("cpu"))
    with pytest.raises(Interrupted):
        fit(make_model(), digits, config, [logger(package, stand_in, calls), Stop()], run=run)
    assert calls[-1][0] in ("finish", "end")
    assert not any(kind == "summary" for kind, _ in calls)


@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_a_logger_has_ten_lines(package: str) -> None:
    body = block(package).partition("class ")[2].partition("\n\n\n")[0]
    assert len([line for line in body.splitlines()[1:] if line.strip()]) <= 10
