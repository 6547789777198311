"""Batches for a training: of arrays, or those that a generator or a Sequence gives.

Both are what a `Trainer` asks of a `gpucnn.data.Loader`: `epoch`, `batch`, `steps_per_epoch`,
`dataset` and `backend`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from gpucnn import random
from gpucnn.autograd import Tensor
from gpucnn.backend import Backend
from gpucnn.data import Dataset, Loader
from gpucnn.data.loader import Batch
from gpucnn.errors import DataError, UsageError
from gpucnn.keras import arrays
from gpucnn.keras.labels import Reader
from gpucnn.nn.arguments import is_whole


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches: a generator, a Sequence or a loader, and not arrays or lists."""
    if isinstance(x, (list, tuple, dict, str, Tensor, Dataset)) or hasattr(x, "__array__"):
        return False
    with suppress(TypeError):
        memoryview(x)  # what has a buffer is an array
        return False
    return hasattr(x, "__next__") or hasattr(x, "__len__")


class Arrays(Loader):
    """The batches of a data set; with `steps` an epoch is so many of them.

    In a training the next epoch then goes on where that one stopped, as in Keras.

    Args:
        batch_size: None for so many images that `steps` batches hold them all.
        steps: batches of an epoch; by default all that there are.
        option: the argument that `steps` was given by.
        repeat: whether an epoch may need more batches than there are, and begins again then; else
            it has those that there are.
        first_epoch: the number of the epoch that comes first.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int | None,
        backend: Backend,
        *,
        seed: int = 0,
        shuffle: bool = False,
        steps: int | None = None,
        option: str = "steps_per_epoch",
        repeat: bool = True,
        first_epoch: int = 0,
    ) -> None:
        wanted = None if steps is None else checked_steps(steps, option)
        if batch_size is None:
            batch_size = size_for_steps(len(dataset), wanted)
        super().__init__(dataset, batch_size, backend, seed=seed, shuffle=shuffle)
        self.batches = self.steps_per_epoch
        self.steps_per_epoch = _steps(wanted, self.batches, repeat)
        self.first_epoch = first_epoch

    def batch(self, epoch: int, index: int) -> Batch:
        position = (self.first_epoch + epoch) * self.steps_per_epoch + index
        passes, index = divmod(position, max(self.batches, 1))
        with self.backend.quiet_device():
            self._begin(passes)
            return self._gather(index)


class Stream:
    """The batches that a generator or a Sequence gives, each (x, y) or (x, y, sample_weight).

    A Sequence has `__len__` and `__getitem__`; it is asked in a new order every epoch, and told by
    its `on_epoch_end`, if it has one. Anything else is iterated over, and again when it ends, if it
    has a length.

    Args:
        source: what gives the batches.
        steps: batches of an epoch; must be given for a generator, which has no length.
        part: what the data are, for errors: "" or "validation ".
        option: the argument that `steps` was given by.
        repeat: as for `Arrays`. Without it a generator is asked for the batches of one epoch, which
            are those of every epoch: a validation is always on the same data, as in Keras.
    """

    def __init__(
        self,
        source: Any,
        steps: int | None,
        *,
        part: str = "",
        option: str = "steps_per_epoch",
        repeat: bool = True,
    ) -> None:
        self.source, self.name, self.option = source, f"{part}x", option
        self.length = len(source) if hasattr(source, "__len__") else None
        if steps is None and self.length is None:
            raise UsageError(
                f"{self.name} is a generator, and {option} is not given",
                cause="it does not say how many batches an epoch has",
                fix=f"give {option}=100, or a Sequence with __len__ and __getitem__",
            )
        if self.length == 0:
            raise DataError(f"{self.name} holds no batch", fix="give at least one")
        wanted = None if steps is None else checked_steps(steps, option)
        self.steps_per_epoch = _steps(wanted, self.length, repeat)
        self._kept: list[Batch] | None = [] if self.length is None and not repeat else None
        self._iterator: Iterator[Any] | None = None
        self._given = 0  # batches so far
        self._peeked: Any = None
        self._order: Any = None
        self.shuffle = False
        self.image_shape = self._images(self.peek()).shape[1:]

    def open(
        self,
        reader: Reader,
        backend: Backend,
        *,
        seed: int = 0,
        shuffle: bool = False,
        class_weight: Any = None,
    ) -> Stream:
        """Make it ready to give batches for a model that was built for its first one."""
        self.reader, self.backend = reader, backend
        self.seed, self.shuffle, self.class_weight = seed, shuffle, class_weight
        self.dataset = self._read(self.peek())
        return self

    def peek(self) -> Any:
        """The first batch, which stays there to be given."""
        if self._peeked is None:
            self._peeked = self.source[0] if self._is_sequence else self._next()
        return self._peeked

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The next `steps_per_epoch` batches, on the device."""
        for index in range(start, self.steps_per_epoch):
            if self._kept is not None and index < len(self._kept):
                arrays = self._kept[index]
            else:
                dataset = self._read(self._take(epoch * self.steps_per_epoch + index))
                given = (dataset.images, dataset.labels, dataset.weights)
                arrays = tuple(array for array in given if array is not None)
                if self._kept is not None:  # a copy, as a generator may fill one array anew
                    self._kept.append(tuple(array.copy() for array in arrays))
            self._last = tuple(map(self.backend.asarray, arrays))
            yield self._last
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()

    def batch(self, epoch: int, index: int) -> Batch:
        """The batch that was given last: those before it are gone."""
        return self._last

    def inputs(self) -> Iterator[Any]:
        """The images of each batch, float32 on the host; there need be no labels."""
        for index in range(self.steps_per_epoch):
            yield self._images(self._take(index))

    @property
    def _is_sequence(self) -> bool:
        return self.length is not None and hasattr(self.source, "__getitem__")

    def _take(self, position: int) -> Any:
        """The batch at a place in the course of all epochs."""
        if self._is_sequence:
            assert self.length is not None
            passes, index = divmod(position, self.length)
            if self.shuffle:
                if index == 0 or self._order is None:
                    self._order = random.permutation(self.length, self.seed, "shuffle", passes)
                index = int(self._order[index])
            return self.source[index]
        if self._peeked is not None:
            peeked, self._peeked = self._peeked, None
            return peeked
        return self._next()

    def _next(self) -> Any:
        for _ in range(2):
            if self._iterator is None:
                self._iterator = iter(self.source)
            try:
                batch = next(self._iterator)
            except StopIteration:
                if self.length is None:
                    break
                self._iterator = None  # and from the beginning
                continue
            self._given += 1
            return batch
        steps = f"{self.option}={self.steps_per_epoch}"
        fix = "let the generator go on for ever: while True"
        if not self._given:
            fix = "call the generator function anew: a generator gives its batches once"
        elif self._kept is not None:  # it is asked for one epoch
            fix = f"give {self.option}={self._given}"
        raise DataError(
            f"{self.name} ended after {self._given} batch{'es' * (self._given != 1)}",
            cause=f"{steps} asks for more" + ", in every epoch" * (self._kept is None),
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


def checked_steps(steps: Any, option: str) -> int:
    """A number of batches, else `UsageError` that names the option."""
    if not is_whole(steps) or steps < 1:
        raise UsageError(
            f"{option} is {steps!r}",
            cause="it must be an integer of at least 1",
            fix=f"give {option}=1 or more",
        )
    return int(steps)


def size_for_steps(count: int, steps: int | None) -> int:
    """So many examples to a batch that `steps` batches hold all of them, as in Keras."""
    return max(-(-count // (steps or 1)), 1)


def _steps(wanted: int | None, available: int | None, repeat: bool) -> int:
    """Batches of an epoch, of those that are wanted and those that there are: None for endless."""
    if wanted is None or (available is not None and not repeat and wanted > available):
        assert available is not None
        return available
    return wanted
