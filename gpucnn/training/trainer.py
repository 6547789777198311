"""`Trainer`: the state of a training, which is model, optimizer, batches and the count of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from gpucnn import backend as backends
from gpucnn import optim
from gpucnn.autograd import Tensor
from gpucnn.backend.cpu import parallel as cpu
from gpucnn.data import Loader, Splits
from gpucnn.data.dataset import digest
from gpucnn.errors import DataError, DivergedError
from gpucnn.nn import Module
from gpucnn.nn.state import copy_in, copy_out, counters
from gpucnn.training import evaluation
from gpucnn.training.checkpoint import Checkpoint
from gpucnn.training.clock import Clock
from gpucnn.training.config import TrainConfig
from gpucnn.training.description import describe
from gpucnn.training.divergence import advice, bad_gradient, find_culprit
from gpucnn.training.evaluation import Judged
from gpucnn.training.loaders import open_loaders
from gpucnn.training.metrics import Loss, Metric, Totals, get_loss
from gpucnn.training.progress import Limits, require_form, require_progress, require_same
from gpucnn.training.rates import learning_rates
from gpucnn.training.replay import Replays
from gpucnn.training.run import Run
from gpucnn.training.step import TrainStep
from gpucnn.training.transfer import freeze, start_from


class Trainer:
    """A training that `fit` drives step by step, and that callbacks can read.

    Args:
        model: built, or else built here for the images, with the seed of `config`.
        data: the result of `gpucnn.data.load`.
        config: its `data` and `data_dir` are only recorded here; so is `model`, except that it
            decides the default learning rate of adam and adamw.
        about: more entries for the description of its weights, JSON values.

    Attributes:
        step: the number of steps done; `total_steps` in the end.
        records: one for each epoch done, as in `History`.
        stop: the reason to end the training, or None; a callback may set it.
        notes: sentences for the user that `fit` has not passed on yet.
        run: the run directory, or None; set by `fit`.
        first_epoch: the number of epochs that earlier trainings of the model did; they are not in
            `step` and `records`.
        judged: the last evaluation on the test set; without a test set, on the validation set.
        skipped_steps: the steps of the epoch up to the last `read` that were skipped, see
            `TrainConfig.clip_norm`.

    Raises:
        UsageError: the options do not fit each other or the data.
    """

    metrics: Sequence[Metric] = ()  # to compute beside loss and accuracy

    def __init__(
        self,
        model: Module,
        data: Splits,
        config: TrainConfig,
        *,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if config.threads is not None:
            cpu.set_threads(config.threads)
        self.config = config
        self.data = data
        self._about = dict(about or {})
        self.backend = backends.get(config.device)
        self.model = model.build(data.image_shape, seed=config.seed, device=self.backend.name)
        self.model.to(self.backend.name)
        if config.freeze is not None:
            freeze(self.model, config.freeze, data.image_shape)
        self.model.set_step(0)  # the weights do not depend on calls before the training
        self.run: Run | None = None
        self.stop: str | None = None
        self.step = 0
        self.first_epoch = 0
        self.records: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.judged: Judged | None = None
        self.skipped_steps = 0
        self._clock = Clock()
        self._prepare_data()
        self._prepare_step()

    def __repr__(self) -> str:
        return f"Trainer(step={self.step}, total_steps={self.total_steps})"

    def _prepare_data(self) -> None:
        self.loader, self.validation, self.test = open_loaders(
            self.model, self.data, self.config, self.backend, self.loss.name, self.notes
        )
        self.scale, self.offset = self.loader.scale, self.loader.offset

    def _prepare_step(self) -> None:
        config = self.config.resolved(self.backend.name)
        self.learning_rates = learning_rates(config, self.steps_per_epoch)
        self.optimizer = self._make_optimizer(config)
        self.totals = Totals(self.backend, self.loss, self.metrics)
        self._train_step = TrainStep(
            self.model, self.loss, self.optimizer, self.totals, self.forward, config.clip_norm
        )
        self._replays = Replays(
            self._train_step, self.loader, self.learning_rates, config.graph, self.notes
        )

    def _make_optimizer(self, config: TrainConfig) -> optim.Optimizer:
        assert config.learning_rate is not None  # `resolved` decides it
        options = {
            "momentum": config.momentum,
            "nesterov": config.nesterov or None,
            "weight_decay": config.weight_decay,
        }
        given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        return optim.get(config.optimizer, self.model, config.learning_rate, **given)

    @property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """The function from images to the outputs that the loss takes."""
        return self.model

    @property
    def loss(self) -> Loss:
        """The loss, that of `config`."""
        return get_loss(self.config.loss)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Train with this learning rate from the next step on, in place of the schedule's."""
        self.learning_rates[self.step :] = learning_rate
        self._replays.write_rates(self.learning_rates)

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of an epoch."""
        return self.loader.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """The number of steps of the whole training."""
        return self.steps_per_epoch * self.config.epochs

    @property
    def epochs_done(self) -> int:
        """The number of epochs whose steps are all done: the epoch of the next step, from 0."""
        return self.step // self.steps_per_epoch

    @property
    def running_epoch(self) -> int:
        """The epoch of the last step, counted from 1."""
        return -(-self.step // self.steps_per_epoch)

    @property
    def step_in_epoch(self) -> int:
        """Steps done in the epoch under way."""
        return self.step % self.steps_per_epoch

    @property
    def record_due(self) -> bool:
        """Whether the last epoch has all its steps, but no validation and no record yet."""
        return len(self.records) < self.epochs_done

    @property
    def seconds(self) -> float:
        """The time of the training, sessions before an interruption included."""
        return self._clock.total

    def train_step(self) -> None:
        """Do the next step, on the next batch of `loader`; nothing is read back from the device."""
        epoch, index = divmod(self.step, self.steps_per_epoch)
        if index == 0:
            self.totals.restart()
            self._clock.restart_lap()
        images, before = self.loader.seek(epoch, index), self.totals.count
        self._replays(images)
        self.totals.count = before + images  # a replay runs no Python
        self.step += 1

    def read(self) -> tuple[float, float]:
        """Mean loss and accuracy of the epoch so far. Waits for the device.

        Raises:
            DivergedError: a loss was not finite.
        """
        failed_step = int(self.backend.to_numpy(self._train_step.failed)[0])
        if not failed_step:
            if self.config.clip_norm is not None:
                done = int(self.backend.to_numpy(self.optimizer.step_count)[0])
                before = sum(record["skipped_steps"] for record in self.records)
                self.skipped_steps = self.step - done - before
            return self.totals.read()
        epoch, index = divmod(failed_step - 1, self.steps_per_epoch)
        self.model.set_step(failed_step - 1)
        with self.model.training_mode():
            cause = self._culprit(self.loader.batch(epoch, index))
        raise self.diverged("the loss is not finite", cause, step=failed_step)

    def end_epoch(self) -> dict[str, Any]:
        """Validate, and add the record of the epoch whose last step was just done.

        Raises:
            DivergedError: a loss was not finite, or all steps were skipped.
        """
        if not self.step_in_epoch:
            self.loader.end_epoch()
        loss, accuracy = self.read()
        if self.skipped_steps == self.steps_per_epoch:
            cause = bad_gradient(self.optimizer.parameters)
            raise self.diverged("all steps of an epoch were skipped", cause)
        trained = self._clock.lap
        validated = self.evaluate(self.validation) or {}
        record: dict[str, Any] = {
            "epoch": self.epochs_done,
            "loss": loss,
            "accuracy": accuracy,
            "val_loss": validated.get("loss"),
            "val_accuracy": validated.get("accuracy"),
            "images_per_second": self.totals.count / trained,
            "seconds": self._clock.lap,
            "learning_rate": float(self.learning_rates[self.step - 1]),
        }
        if self.config.clip_norm is not None:
            record["skipped_steps"] = self.skipped_steps
        if self.metrics:
            record["metrics"] = self.totals.read_metrics()
            record["val_metrics"] = {m.name: validated[m.name] for m in self.metrics if validated}
        self.records.append(record)
        return record

    def evaluate(self, loader: Loader | None) -> dict[str, float] | None:
        """Loss, accuracy and metrics on `validation` or `test`; None where that is None.

        Raises:
            DivergedError: the loss is not finite.
        """
        if loader is None:
            return None
        outputs: list[Any] = []
        judged = loader is (self.validation if self.test is None else self.test)
        result = evaluation.evaluate_batches(
            self.model, loader, self.loss, self.forward, outputs if judged else None, self.metrics
        )
        if not math.isfinite(result["loss"]):
            with self.model.evaluating():
                cause = self._culprit(loader.batch(0, 0))
            raise self.diverged(f"the loss on {loader.dataset.name} is not finite", cause)
        if judged:
            self.judged = Judged(loader.dataset, outputs, self.loss, result)
        return result

    def _culprit(self, batch: tuple[Any, ...]) -> str:
        return find_culprit(self.model, self.loss, *batch, forward=self.forward)

    def diverged(self, message: str, cause: str, step: int | None = None) -> DivergedError:
        """The error to raise for numbers that are not finite after `step` (now) steps."""
        step = self.step if step is None else step
        epoch, rate = -(-step // self.steps_per_epoch), float(self.learning_rates[step - 1])
        last = self.run.last if self.run is not None and self.run.last.exists() else None
        return DivergedError(
            f"{message}: step {step}, in epoch {epoch}",
            cause=f"{cause}; the learning rate was {rate:.3g}",
            fix=advice(self.config, float(self.learning_rates.max()), last),
        )

    def snapshot(self) -> Checkpoint:
        """A copy, on the host, of everything that is needed to go on from here."""
        return Checkpoint(
            weights=self.model.state_dict(),
            description={
                **describe(self.config, self.data),
                "data_sha256": self._data_sha256,
                "scale": self.scale,
                "offset": self.offset,
                "step": self.step,
                "epoch": self.epochs_done,
                **self._about,
            },
            state=copy_out(self._state()),
            progress={
                "records": list(self.records),
                "seconds": self._clock.total,
                "epoch_seconds": self._clock.lap,
                "config": self.config.deciding(self.backend.name),
                "data_sha256": self._data_sha256,
            },
        )

    @cached_property
    def _data_sha256(self) -> str:
        """SHA-256 over the images to train on, those to validate on, and their labels."""
        return digest([part.dataset for part in (self.loader, self.validation) if part])

    def _state(self) -> dict[str, Any]:
        """The arrays of a checkpoint beside the weights: on the device, by name."""
        steps = {f"counters/{path}": array for path, array in counters(self.model).items()}
        return {**self._train_step.arrays(), **steps}

    def start_from(self, path: str) -> str:
        """Begin with trained weights, by `gpucnn.training.transfer`; returns a sentence about it.

        Raises:
            DataError, WeightsMismatchError: there are none, or they are of another model.
        """
        is_free = self.data.train.holds_pixels and not self.config.standardise
        data, scaling = self.data, (self.scale, self.offset)
        scaling, said = start_from(
            path, self.model, data.image_shape, data.class_names, scaling, is_free
        )
        self._scale_pixels(*scaling)
        return said

    def _scale_pixels(self, scale: float, offset: float) -> None:
        self.scale, self.offset = scale, offset
        for loader in (self.loader, self.validation, self.test):
            if loader is not None:
                loader.scale, loader.offset = scale, offset

    def restore(self, checkpoint: Checkpoint, longer: bool = False) -> None:
        """Continue from a snapshot of a training with the same options and data.

        Args:
            longer: whether this training may have another number of epochs.

        Raises:
            WeightsMismatchError: it is of another model.
            UsageError: an option that decides the result has changed.
            DataError: the images have changed.
            DamagedError: a trainer of this run could not have made it.
        """
        require_form(checkpoint)
        progress, about = checkpoint.progress, checkpoint.description
        others = DataError(
            "the data set is not the one that the run was started with",
            cause=f"the images or labels of {self.data.name} have changed",
            fix="restore the data, or start another run",
        )
        shape, names = about["image_shape"], about["class_names"]
        if shape != list(self.data.image_shape) or len(names) != self.data.classes:
            raise others  # the weights would not fit either
        self.model.load_state_dict(checkpoint.weights)
        require_same(self.config.deciding(self.backend.name), progress["config"], longer)
        if progress["data_sha256"] != self._data_sha256:
            raise others
        state, images = self._state(), len(self.loader.dataset)
        limits = Limits(
            self.steps_per_epoch,
            self.total_steps,
            images,
            validates=self.validation is not None,
            clips=self.config.clip_norm is not None,
        )
        require_progress(checkpoint, limits, state)
        copy_in(state, checkpoint.state, f"the state for {self.config.optimizer}")
        # A training may keep the scaling of its first weights.
        self._scale_pixels(about.get("scale", self.scale), about.get("offset", self.offset))
        self.step = about["step"]
        self.records = list(progress["records"])
        steps = self.steps_per_epoch if self.record_due else self.step_in_epoch
        self.totals.count = min(steps * self.config.batch_size, images)
        self._clock = Clock(progress["seconds"], progress["epoch_seconds"])
