"""`HealthMonitor`: warnings while a model is trained, by the checks of `inspect`.

It measures outside of the steps, on images of its own, and changes nothing that a step reads: the
weights of a training have the same bits with it and without it. It measures so seldom that it
takes at most 2 % of the time of the training.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import files, random
from gpucnn.data import Loader
from gpucnn.errors import OutOfMemoryError
from gpucnn.inspection import checks
from gpucnn.inspection.activations import Activations
from gpucnn.inspection.evidence import Evidence, Result
from gpucnn.inspection.finding import Context, Finding, lines
from gpucnn.inspection.images import largest_input
from gpucnn.inspection.updates import StepMeter
from gpucnn.quoting import on_its_lines
from gpucnn.training import Callback, TrainConfig, Trainer
from gpucnn.training.evaluation import class_ids, count_outputs
from gpucnn.writing import append_line, storage_errors, write_atomic

FILE = "health.jsonl"  # in the run: an object a finding, with its step and epoch
_LONGEST = 4_000_000  # bytes of it that are read; a training leaves a few hundred a finding
_IMAGES = 256  # of a measurement, about
_POOL = 1024  # images that the measurements take turns on
_STEPS = 40  # between two measurements, for each batch of one
_EPOCHS = 3  # before "no better than guessing" is a warning


class HealthMonitor(Callback):
    """A callback of `fit` that warns of dead ReLUs, vanishing gradients, overfitting and the like.

    Each kind of finding is told once for each layer. In a run directory they are kept in
    health.jsonl, and a resumed training tells only new ones. `gpucnn train` has this callback; a
    subclass may override `on_findings`.

    Attributes:
        findings: those of this training so far.
        share: of the time of a training, at most, that it measures.
        steps_between: the least number of steps from one measurement to the next.
    """

    share: float = 0.02

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._known: set[tuple[str, str | None]] = set()
        self._meter: StepMeter | None = None
        self._pool: Loader | None = None
        self._largest: float | None = None  # input
        self._labels: tuple[NDArray[Any] | None, ...] = (None, None)  # to train on, to validate
        self._config: TrainConfig | None = None
        self._weighed = False
        self._batches = 1  # of a measurement
        self.steps_between = _STEPS
        self._due: int | None = None
        self._measured = 0
        self._since = (0, 0.0)  # step and time after the last measurement

    def on_findings(self, trainer: Trainer, findings: Sequence[Finding]) -> None:
        """Tell new findings, at least one; by default by `tell`."""
        self.tell("\n".join(lines(findings)))

    def tell(self, text: str) -> None:
        """Print a text on stderr."""
        print(on_its_lines(text), file=sys.stderr)

    def on_train_begin(self, trainer: Trainer) -> None:
        self._recall(trainer)
        self._config = trainer.config
        if trainer.run is not None:  # its options note that a network was made in Python
            self._config = replace(trainer.config, model=trainer.run.config().model)
        outputs = count_outputs(trainer.model, trainer.data.image_shape)
        self._labels = tuple(
            None if loader is None else class_ids(loader.dataset, outputs)
            for loader in (trainer.loader, trainer.validation)
        )
        try:
            self._pool = self._make_pool(trainer)
        except OutOfMemoryError:
            self._give_up()
        else:
            self._since = trainer.step, time.perf_counter()
            self._due = self._next(trainer.step)
            images = self._pool.dataset.images
            self._largest = largest_input(images, trainer.scale, trainer.offset)
        self._check(trainer, self._evidence(trainer))

    def on_step_end(self, trainer: Trainer) -> None:
        if self._due is None or trainer.step < self._due - 1:
            return
        if trainer.step == self._due - 1:
            self.prepare(trainer)
            return
        before = time.perf_counter()
        try:
            self.measure(trainer)
        except OutOfMemoryError:
            self._give_up()
            return
        now = time.perf_counter()
        step, since = self._since
        pause = (now - before) / max(before - since, 1e-9) * (trainer.step - step) / self.share
        self._since = trainer.step, now
        self._due = self._next(trainer.step, math.ceil(pause))

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self._check(trainer, self._evidence(trainer))

    def prepare(self, trainer: Trainer) -> None:
        """Copy the weights before the step that `measure` then looks at."""
        self._meter = StepMeter(trainer.model)

    def measure(self, trainer: Trainer) -> None:
        """Look at the outputs of the layers, and at the gradients and the update of the last step.

        It waits for the device.
        """
        trainer.backend.to_numpy(trainer.totals.sums)  # so that earlier steps are not timed
        layers = self._meter() if self._meter else None
        self._meter = None
        if layers and not all(math.isfinite(each.gradient or 0) for each in layers.values()):
            return  # the training is about to end with an error that says so
        evidence = self._evidence(trainer)
        evidence.model, evidence.layers = trainer.model, layers
        rates = trainer.learning_rates
        evidence.rate_share = float(rates[trainer.step - 1] / (rates.max() or 1))
        if self._pool is not None:
            evidence.activations = Activations(trainer.model, trainer.forward, as_in_training=True)
            first = self._measured * self._batches % self._pool.steps_per_epoch
            self._measured += 1
            for images, *_ in islice(self._pool.epoch(0, first), self._batches):
                evidence.activations.add(images)
        self._check(trainer, evidence)

    def _give_up(self) -> None:
        """Measure no more: a training that fits without its measurements goes on."""
        self._due = self._pool = self._meter = None
        self.tell("note: the device has no room to measure the health of the training")

    def _evidence(self, trainer: Trainer) -> Evidence:
        """What the epochs so far show."""
        context = Context(self._config, trainer.run, float(trainer.learning_rates.max()))
        evidence = Evidence(
            context,
            steps=trainer.step,
            planned=trainer.total_steps,
            loss=trainer.loss,
            records=trainer.records or None,
        )
        if trainer.step and not self._weighed:  # once: weights that do not learn stay equal
            self._weighed, evidence.weights = True, trainer.model.state_dict()
        labels, held_out = self._labels
        if labels is None:
            return evidence
        evidence.images, evidence.largest = trainer.loader.dataset.images, self._largest
        evidence.labels, evidence.class_names = labels, trainer.loader.dataset.class_names
        if not trainer.records:
            return evidence
        last = trainer.records[-1]
        evidence.trained = Result("training", last["loss"], last["accuracy"], labels)
        if held_out is not None:
            loss, accuracy = last["val_loss"], last["val_accuracy"]
            evidence.held_out = Result("validation", loss, accuracy, held_out)
        return evidence

    def _make_pool(self, trainer: Trainer) -> Loader:
        """Batches of training images for the measurements, as large as those of the training.

        A GPU compiles no kernel for them that the training does not need.
        """
        dataset = trainer.loader.dataset
        size = min(getattr(trainer.loader, "batch_size", _IMAGES), len(dataset))
        self._batches = max(1, min(_IMAGES, len(dataset)) // size)
        self.steps_between = _STEPS * max(self._batches, 2)
        count = max(min(_POOL, len(dataset)) // size, 1) * size
        chosen = random.permutation(len(dataset), trainer.config.seed, "health")[:count]
        return Loader(
            dataset.subset(np.sort(chosen)),
            size,
            trainer.backend,
            shuffle=False,
            scale=trainer.scale,
            offset=trainer.offset,
        )

    def _next(self, step: int, pause: int = 0) -> int:
        """The step of the next measurement, in a fixed course that a resumed training keeps to."""
        half = self.steps_between // 2
        earliest = max(step + max(pause, 2), half)
        return half + -(-(earliest - half) // self.steps_between) * self.steps_between

    def _check(self, trainer: Trainer, evidence: Evidence) -> None:
        """Tell what is found, and was not told before."""
        left_out = set()
        # At its end a training says by itself that it has learned nothing.
        if len(trainer.records) < _EPOCHS or trainer.epochs_done >= trainer.config.epochs:
            left_out.add("no-better-than-guessing")
        if trainer.loader.dataset.weights is not None:  # they make up for it
            left_out.add("class-imbalance")
        new = [
            finding
            for finding in checks.run(evidence, {kind for kind, _ in self._known}).findings
            if finding.kind not in left_out and (finding.kind, finding.layer) not in self._known
        ]
        for finding in new:
            self._known.add((finding.kind, finding.layer))
            if trainer.run is not None:
                place = {"step": trainer.step, "epoch": trainer.running_epoch}
                append_line(trainer.run.path / FILE, json.dumps(place | finding.as_dict()))
        self.findings += new
        if new:
            self.on_findings(trainer, new)

    def _recall(self, trainer: Trainer) -> None:
        """Read the findings before the checkpoint, and drop those after it."""
        self.findings, self._known = [], set()
        self._measured, self._meter, self._weighed = 0, None, False
        if trainer.run is None:
            return
        file = trainer.run.path / FILE
        if not file.exists():
            return
        kept = []
        with storage_errors(file), files.open_regular(file) as opened:
            text = opened.read(_LONGEST).decode(errors="replace")
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                if entry["step"] <= trainer.step:
                    self._known.add((entry["kind"], entry["layer"]))
                    kept.append(line + "\n")
            except (ValueError, TypeError, KeyError, RecursionError):
                break  # it was cut short, or changed
        write_atomic(file, "".join(kept).encode())
