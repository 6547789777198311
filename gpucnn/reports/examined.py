"""A run with all that a report shows of it, computed when it is first needed."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gpucnn.data import NAMES
from gpucnn.errors import DataError, GpucnnError
from gpucnn.inspection.data import Outputs
from gpucnn.reports.summary import RunSummary, shown_records, summarize
from gpucnn.training import Run, SavedModel, TrainConfig
from gpucnn.training.evaluation import Judged
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
        self.records = shown_records(self.run)
        self.name = self.run.path.absolute().name  # in headings
        self._kept: dict[str, Any] = {}

    @_once
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
        """The test part of the data; without one the validation part, or all.

        Of a training with `overfit_batches` it is the images that it trained and tested on.
        """
        saved: SavedModel = self.saved
        own = saved.config.data
        try:
            part = saved.dataset(self.sources.data, None, self.sources.data_dir)
        except DataError as error:
            if self.sources.data is None and own not in NAMES and not os.path.exists(own):
                error.fix = "give the place where they are now: --data PATH"
            raise
        if saved.config.overfit_batches is not None:
            used = saved.parts(self.sources.data, self.sources.data_dir)
            return used.get("train", part)
        if part.split == "all":
            try:
                return saved.dataset(self.sources.data, "validation", self.sources.data_dir)
            except DataError:  # no image was held out
                pass
        return part

    @_once
    def judged(self) -> Judged:
        """Loss, accuracy and outputs on `part`."""
        return self.saved.judge(self.part)

    @_once
    def outputs(self) -> Outputs:
        """The answers on `part`."""
        judged: Judged = self.judged
        return Outputs(judged.dataset, judged.outputs, judged.loss)

    @_once
    def report(self) -> Report:
        """The confusion matrix and the scores on `part`."""
        report = self.judged.report()
        assert report is not None  # as for `SavedModel.report`
        return report
