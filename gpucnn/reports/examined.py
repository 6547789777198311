"""A run with all that a report shows of it, computed when it is first needed."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import NAMES, Dataset
from gpucnn.errors import DataError, GpucnnError
from gpucnn.reports.summary import RunSummary, summarize
from gpucnn.training import Run, SavedModel, TrainConfig
from gpucnn.training.metrics import compute_losses, get_loss
from gpucnn.training.report import Report
from gpucnn.training.run_data import LabeledPart

Value = TypeVar("Value")


@dataclass(frozen=True)
class Sources:
    """Options for reading the models and the data of runs; the defaults are those of the runs."""

    weights: str | None = None
    data: str | None = None
    data_dir: str | None = None
    device: str = "cpu"
    trust_code: bool = False


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of a model on labeled data.

    Attributes:
        dataset: the N images, with class ids of the model.
        answers: class ids (N,).
        probabilities: float32 (N, K), as of `SavedModel.predict`.
        losses: float32 (N,).
        report: confusion matrix and scores.
    """

    dataset: Dataset
    answers: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    losses: NDArray[np.float32]
    report: Report


def _once(method: Callable[[Examined], Value]) -> property:
    """A property that is computed once; an error of gpucnn's is raised again each time."""

    @functools.wraps(method)
    def get(self: Examined) -> Value:
        kept = self._kept
        if method.__name__ not in kept:
            try:
                kept[method.__name__] = method(self)
            except GpucnnError as error:
                kept[method.__name__] = error
        value = kept[method.__name__]
        if isinstance(value, GpucnnError):
            raise value
        return value

    return property(get)


class Examined:
    """A run, its model, its data and its answers on them.

    Raises:
        DataError: there is no run.
    """

    def __init__(self, path: str | os.PathLike[str] | Run, sources: Sources) -> None:
        self.run = path if isinstance(path, Run) else Run.open(path)
        self.sources = sources
        self.records = self.run.records()
        self.name = self.run.path.absolute().name  # in headings
        self._kept: dict[str, Any] = {}

    @property
    def summary(self) -> RunSummary:
        return summarize(self.run)

    @_once
    def config(self) -> TrainConfig:
        return self.run.config()

    @_once
    def saved(self) -> SavedModel:
        options, _ = self.sources, self.config  # an error of the options is reported once
        return SavedModel.load(
            self.run.path, options.weights, options.device, trust_code=options.trust_code
        )

    @_once
    def part(self) -> LabeledPart:
        """The test part of the data; without one the validation part, or all."""
        saved: SavedModel = self.saved
        own = saved.config.data
        try:
            part = saved.dataset(self.sources.data, None, self.sources.data_dir)
        except DataError as error:
            if self.sources.data is None and own not in NAMES and not Path(own).exists():
                error.fix = "give the place where they are now: --data PATH"
            raise
        if saved.config.overfit_batches is not None:  # it was tested on the images to train on
            used = saved.parts(self.sources.data, self.sources.data_dir)
            return used.get("test", part)
        if part.split == "all":
            try:
                return saved.dataset(self.sources.data, "validation", self.sources.data_dir)
            except DataError:  # no image was held out
                pass
        return part

    @_once
    def answers(self) -> Answers:
        """The answers on `part`."""
        judged = self.saved.judge(self.part)
        dataset, outputs, report = judged.dataset, np.concatenate(judged.outputs), judged.report()
        assert report is not None  # as for `SavedModel.report`
        with no_grad():
            predicted = get_loss(judged.loss).predictions(Tensor(outputs)).numpy()
            losses = compute_losses(judged.loss, Tensor(outputs), dataset.labels).numpy()
        losses = losses.reshape(len(outputs), -1).mean(axis=1)
        return Answers(dataset, outputs.argmax(axis=1), predicted, losses, report)
