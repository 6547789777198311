"""The batches of `fit`, `evaluate` and `predict`: of arrays, of a generator or of a Sequence.

`Arrays` and `Stream` have the part of a `gpucnn.data.Loader` that a `Trainer` uses: `seek`, `take`,
`epoch`, `batch`, `end_epoch`, `steps_per_epoch`, `dataset` and `backend`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from gpucnn import random
from gpucnn.autograd import Tensor
from gpucnn.backend import Backend
from gpucnn.data import Dataset, Loader
from gpucnn.data.loader import Batch
from gpucnn.errors import DataError, UsageError
from gpucnn.keras import arrays
from gpucnn.keras.input_range import InputRange
from gpucnn.keras.labels import Reader
from gpucnn.nn.arguments import whole
from gpucnn.training.evaluation import BATCH_SIZE


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """How data are cut into batches, and batches into epochs.

    Attributes:
        batch_size: examples in a batch; by default 256, or with `steps` so many that these hold all
            examples, as in Keras.
        steps: batches of an epoch; by default all.
        option: the argument that gave `steps`.
        repeat: whether an epoch of more steps than there are batches goes on with the first batch;
            else it ends after the last.
        first: the number of the epoch that comes first.
        seed, shuffle: the order of the examples, or of the batches of a Sequence.

    Raises:
        UsageError: `batch_size` or `steps` is no integer of at least 1.
    """

    batch_size: int | None = None
    steps: int | None = None
    option: str = "steps"
    repeat: bool = False
    first: int = 0
    seed: int = 0
    shuffle: bool = False

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch_size), (self.option, self.steps)):
            if value is not None:
                whole(value, name, 1)

    def size(self, count: int) -> int:
        """Examples in a batch, of data with so many examples."""
        if self.batch_size is not None:
            return self.batch_size
        return BATCH_SIZE if self.steps is None else max(-(-count // self.steps), 1)

    def count(self, available: int | None) -> int:
        """Batches of an epoch, of so many that there are, or of a generator: None."""
        if self.steps is not None and (available is None or self.repeat or self.steps < available):
            return int(self.steps)
        assert available is not None
        return available


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches: a generator, a Sequence or a loader, and not arrays or lists."""
    if isinstance(x, (list, tuple, dict, str, Tensor, Dataset)) or hasattr(x, "__array__"):
        return False
    with suppress(TypeError):
        memoryview(x)  # what has a buffer is an array
        return False
    return hasattr(x, "__next__") or hasattr(x, "__len__")


class Arrays(Loader):
    """The batches of a data set. With `steps` an epoch of a training goes on where the last ended.

    That is as in Keras.
    """

    _less_data = (
        "give fewer examples, or a Sequence or a generator of batches, which are copied to the "
        "device one at a time"
    )

    def __init__(self, dataset: Dataset, epochs: Epochs, backend: Backend) -> None:
        size = epochs.size(len(dataset))
        super().__init__(dataset, size, backend, seed=epochs.seed, shuffle=epochs.shuffle)
        self.batches = self.steps_per_epoch
        self.steps_per_epoch = epochs.count(self.batches)
        self.first_epoch = epochs.first

    def extend(self, inputs: InputRange) -> None:
        """Extend a range by all images."""
        inputs.add(self.dataset.images)

    def _locate(self, epoch: int, index: int) -> tuple[int, int]:
        position = (self.first_epoch + epoch) * self.steps_per_epoch + index
        passes, index = divmod(position, max(self.batches, 1))
        return passes, index * self.batch_size


class Stream:
    """The batches of a generator or a Sequence, each (x, y) or (x, y, sample_weight).

    A Sequence has `__len__` and `__getitem__`; its batches are taken in a new order every epoch,
    and its `on_epoch_end` is called if it has one. Anything else is iterated over, and again when
    it ends, if it has a length.

    A generator for which `epochs.repeat` is false is asked for the batches of one epoch, and gives
    those in every epoch: a validation is always on the same data, as in Keras.

    Args:
        source: it gives the batches.
        part: which data they are, for errors: "" or "validation ".

    Raises:
        UsageError: `source` is a generator, which has no length, and there are no `epochs.steps`.
        DataError: it is empty, or its first batch holds no images.
    """

    is_replayable = False  # each batch has memory of its own
    _inputs: InputRange | None = None

    def __init__(self, source: Any, epochs: Epochs, part: str = "") -> None:
        self.source, self.epochs, self.name = source, epochs, f"{part}x"
        self.length = len(source) if hasattr(source, "__len__") else None
        if epochs.steps is None and self.length is None:
            raise UsageError(
                f"{self.name} is a generator, and {epochs.option} is not given",
                cause="a generator does not say how many batches an epoch has",
                fix=f"give {epochs.option}=100, or a Sequence with __len__ and __getitem__",
            )
        if self.length == 0:
            raise DataError(f"{self.name} holds no batch", fix="give at least one")
        self.steps_per_epoch = epochs.count(self.length)
        keeps = self.length is None and not epochs.repeat
        self._kept: list[Batch] | None = [] if keeps else None
        self._given = 0  # batches so far
        self._order: Any = None
        self._is_sequence = self.length is not None and hasattr(source, "__getitem__")
        if self._is_sequence:
            self._first = source[0]
        else:
            self._course = self._iterated()
            self._first = self._next()
            self._course = chain([self._first], self._course)
        self.image_shape = self._images(self._first).shape[1:]

    def open(self, reader: Reader, backend: Backend, class_weight: Any = None) -> Stream:
        """Make it ready to give batches for a model that was built for its first one."""
        self.reader, self.backend, self.class_weight = reader, backend, class_weight
        self.dataset = self._read(self._first)
        # The arguments of `begin_step` for batches that are not cut from an order.
        nothing = np.zeros(0, np.int32)
        self._no_order = tuple(map(backend.asarray, (np.zeros(1, np.uint32), nothing, nothing)))
        return self

    def extend(self, inputs: InputRange) -> None:
        """Extend a range by the images of each batch from now on."""
        self._inputs = inputs

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The next `steps_per_epoch` batches, on the device."""
        for index in range(start, self.steps_per_epoch):
            self.seek(epoch, index)
            yield self._last
        self.end_epoch()

    def end_epoch(self) -> None:
        """Tell the source."""
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()

    def seek(self, epoch: int, index: int) -> int:
        """Put a batch on the device, where `take` finds it; returns its number of images."""
        if self._kept is not None and index < len(self._kept):
            arrays = self._kept[index]
        else:
            dataset = self._read(self._take(epoch * self.steps_per_epoch + index))
            if self._inputs is not None:
                self._inputs.add(dataset.images)
            given = (dataset.images, dataset.labels, dataset.weights)
            arrays = tuple(array for array in given if array is not None)
            if self._kept is not None:  # a copy, as a generator may fill one array anew
                self._kept.append(tuple(array.copy() for array in arrays))
        self._last = tuple(map(self.backend.asarray, arrays))
        return len(self._last[0])

    def take(self, size: int, **lookup: Any) -> Batch:
        """The batch of the last `seek`.

        Args:
            lookup: the learning rate to look up: arguments of `gpucnn.ops.begin_step`.
        """
        self.backend.begin_step(*self._no_order, **lookup)
        return self._last

    def batch(self, epoch: int, index: int) -> Batch:
        """The batch that was given last: those before it are gone."""
        return self._last

    def inputs(self) -> Iterator[Any]:
        """The images of each batch, float32 on the host; there need be no labels."""
        for index in range(self.steps_per_epoch):
            yield self._images(self._take(index))

    def _take(self, position: int) -> Any:
        """The batch at a place in the course of all epochs."""
        if not self._is_sequence:
            return self._next()
        assert self.length is not None
        passes, index = divmod(position, self.length)
        if self.epochs.shuffle:
            if index == 0 or self._order is None:
                seed = self.epochs.seed
                self._order = random.permutation(self.length, seed, "shuffle", passes)
            index = int(self._order[index])
        return self.source[index]

    def _iterated(self) -> Iterator[Any]:
        """The batches one after the other; a source with a length begins again."""
        while True:
            before = self._given
            for batch in self.source:
                self._given += 1
                yield batch
            if self.length is None or self._given == before:
                return

    def _next(self) -> Any:
        for batch in self._course:
            return batch
        option = self.epochs.option
        fix = "let the generator go on for ever: while True"
        if not self._given:
            fix = "call the generator function anew: a generator gives its batches once"
        elif self._kept is not None:  # it is asked for one epoch
            fix = f"give {option}={self._given}"
        raise DataError(
            f"{self.name} ended after {self._given} batch{'es' * (self._given != 1)}",
            cause=f"{option}={self.steps_per_epoch} asks for more"
            + ", in every epoch" * (self._kept is None),
            fix=fix,
        )

    def _images(self, batch: Any) -> Any:
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        return arrays.images(x, f"a batch of {self.name}")

    def _read(self, batch: Any) -> Dataset:
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise DataError(
                f"{self.name} gives a {type(batch).__name__} as a batch",
                cause="it must be (x, y) or (x, y, sample_weight)",
                fix="write yield x, y",
            )
        x = self._images(batch)
        if x.shape[1:] != self.image_shape:
            raise DataError(
                f"{self.name} gives images of {x.shape[1:]} after such of {self.image_shape}",
                fix="give images of one shape",
            )
        y, *weights = batch[1:]
        sample_weight = weights[0] if weights else None
        return self.reader.dataset(x, y, sample_weight, self.class_weight)
