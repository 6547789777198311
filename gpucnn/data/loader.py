"""Batches from a data set that sits on the device."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpucnn import random
from gpucnn.backend import Backend
from gpucnn.backend.cpu.memory import out_of_memory
from gpucnn.data.augment import Augment
from gpucnn.data.dataset import Dataset
from gpucnn.data.finite import require_finite
from gpucnn.errors import OutOfMemoryError, UsageError, expect
from gpucnn.printing import Printable
from gpucnn.spelling import Spellings, explained

Batch = tuple[Any, ...]

_SPELLED = Spellings(
    instead={
        "drop_last": "the last batch is kept, as short as it is",
        "num_workers": "the images lie on the device, where batches are made",
        "pin_memory": "the images lie on the device, where batches are made",
    }
)


class Loader(Printable):
    """The batches of a data set, epoch by epoch, as a function of (seed, epoch, index).

    Each `for images, labels in loader` yields the batches of the next epoch: first those of
    `loader.epoch(0)`, then those of `loader.epoch(1)`.

    The images are copied to the device once, as uint8; a batch is gathered there, and nothing
    is read back. The last batch of an epoch is short if the batch size does not divide the data.

    Args:
        dataset: images uint8 (N, C, H, W), or floats (N, ...), which are not scaled.
        batch_size: images in a batch, at least 1.
        backend: of the device for the batches.
        seed: of the order of the images and of the augmentation.
        shuffle: a new order every epoch; otherwise the order of the data set.
        augment: changes of the images, drawn again for every image and epoch.
        scale, offset: a uint8 image becomes float32 image * scale + offset; see `pixel_scaling`.
        limit_batches: the largest number of batches in an epoch.

    Raises:
        UsageError: the batch size or the limit is below 1, or the images cannot be augmented so.
        DataError: an image holds NaN or infinity.
        OutOfMemoryError: the device has no room for the whole data set.
    """

    #: Whether `take` works on the same memory of the device in each call.
    is_replayable = True

    # What to do if the device has no room for the data set, of which it needs the whole.
    _less_data = (
        "use the device cpu, or fewer images, as in dataset.subset(slice(10_000)): "
        "the whole data set lies on the device, whatever the batch size is"
    )

    @explained(_SPELLED)
    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        backend: Backend,
        *,
        seed: int = 0,
        shuffle: bool = True,
        augment: Augment | None = None,
        scale: float = 1.0 / 255.0,
        offset: float = 0.0,
        limit_batches: int | None = None,
    ) -> None:
        expect(
            dataset, Dataset, "the data set", 'give data.Dataset("mine", images, labels, classes)'
        )
        expect(backend, Backend, "the backend", 'give gpucnn.backend.get("cpu")')
        for key, value in (("batch size", batch_size), ("limit_batches", limit_batches)):
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if value is not None and (not whole or value < 1):
                raise UsageError(f"{key} is {value!r}", fix=f"give a {key} of at least 1")
        if augment is not None:
            augment.require_fit(dataset)
        require_finite(dataset.images, f"image {{}} of {dataset.name}", dataset.places)
        self.dataset = dataset
        self.batch_size = batch_size
        self.backend = backend
        self.seed = seed
        self.shuffle = shuffle
        self.augment = augment
        self._means = None if augment is None else augment.means(dataset.images)
        self.scale = scale
        self.offset = offset
        self.steps_per_epoch = -(-len(dataset) // batch_size)
        if limit_batches is not None:
            self.steps_per_epoch = min(self.steps_per_epoch, limit_batches)
        given = (dataset.images, dataset.labels, dataset.weights)
        placed: list[Any] = []
        try:
            for array in given:
                placed.append(None if array is None else backend.asarray(array))
        except MemoryError as error:
            raise self._too_large(out_of_memory(error), placed) from None
        self._images, self._labels, self._weights = placed
        self._passes = 0  # the number of iterations over the loader so far
        self._epoch: int | None = None
        self._order: Any = None  # device, int32 (N,): the image at each place of the epoch
        self._motion: Any = None  # device, float32 (N, K): the augmentation of each image
        self._place: Any = None  # device, uint32 (1,): the place of the next batch of `take`
        self._next: int | None = None  # the same, as the host knows it
        self._indices: dict[int, Any] = {}  # device, int32 (B,) by B: the images of a batch

    def __len__(self) -> int:
        return self.steps_per_epoch

    def _too_large(self, error: OutOfMemoryError, placed: list[Any]) -> OutOfMemoryError:
        """The error with a `fix` for a data set that does not fit on the device as a whole.

        Args:
            placed: the arrays that found room there.
        """
        data, count = self.dataset, len(self.dataset)
        size, held = (
            sum(array.nbytes for array in arrays if array is not None)
            for arrays in ((data.images, data.labels, data.weights), placed)
        )
        fitting = min(count, count * (error.free + held) // max(1, size))
        error.fix = f"{self._less_data}; the data set has {size / 1e6:,.0f} MB, and "
        error.fix += f"{fitting:,} of its {count:,} images would fill the device"
        return error

    def __iter__(self) -> Iterator[Batch]:
        self._passes += 1
        return self.epoch(self._passes - 1)

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of `epoch`, both counted from 0.

        Returns:
            (images float32 (B, C, H, W), labels int32 (B,) or None) on the device; and if the data
            set has weights, third the weights, float32 (B,).
        """
        epoch, first = self._locate(epoch, index)
        self._begin(epoch)
        return self._gather(self._order[first : first + self.batch_size])

    def seek(self, epoch: int, index: int) -> int:
        """Let the next `take` gather batch `index` of `epoch`; returns its number of images.

        The host writes to the device only at the start of an epoch, and where the batch is not the
        one after that of the last call.
        """
        epoch, first = self._locate(epoch, index)
        self._begin(epoch)
        size = min(self.batch_size, len(self.dataset) - first)
        if self._place is None:
            self._place = self.backend.asarray(np.zeros(1, np.uint32))
        if size not in self._indices:
            self._indices[size] = self.backend.asarray(np.zeros(size, np.int32))
        if first != self._next:
            self.backend.write(self._place, np.array([first]))
        self._next = first + size
        return size

    def take(self, size: int, **lookup: Any) -> Batch:
        """`batch`, of the place that is noted on the device; it moves on to the next batch.

        The host reads nothing, so the same work gives the next batch each time that it is done.

        Args:
            size: the number of images, from `seek`.
            lookup: the learning rate to look up: arguments of `gpucnn.ops.begin_step`.
        """
        indices = self._indices[size]
        self.backend.begin_step(self._place, self._order, indices, **lookup)
        return self._gather(indices)

    @property
    def read(self) -> tuple[Any, ...]:
        """The objects that the host reads in `take`, beside the indices."""
        return (
            self.dataset, self.scale, self.offset, self.augment, self._images, self._labels,
            self._weights, self._order, self._motion, self._place,
        )  # fmt: skip

    def _locate(self, epoch: int, index: int) -> tuple[int, int]:
        """The pass over the data set that has a batch, and the batch's first place in it."""
        if not 0 <= index < self.steps_per_epoch:
            raise IndexError(f"batch {index} of {self.steps_per_epoch}")
        return epoch, index * self.batch_size

    def _gather(self, indices: Any) -> Batch:
        try:
            return self._gathered(indices)
        except MemoryError as error:
            raise out_of_memory(error) from None

    def _gathered(self, indices: Any) -> Batch:
        black, white = 0.0, 1.0
        if self.dataset.holds_pixels:
            images = self.backend.gather(
                self._images, indices, scale=self.scale, offset=self.offset
            )
            black, white = self.offset, 255.0 * self.scale
        else:
            images = self._rows(self._images, indices)
        if self.augment is not None:
            motion = self._rows(self._motion, indices)
            with self.backend.quiet_device():
                images = self.augment.apply(
                    self.backend.xp, images, motion, fill=black, white=white
                )
        labels = None if self._labels is None else self._rows(self._labels, indices)
        if self._weights is None:
            return images, labels
        return images, labels, self._rows(self._weights, indices)

    def _rows(self, array: Any, indices: Any) -> Any:
        if array.dtype.itemsize not in (4, 8):  # float16, bools
            with self.backend.quiet_device():
                return self.backend.xp.take(array, indices, axis=0)
        return self.backend.gather_rows(array, indices)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in their order, from batch `start`."""
        for index in range(start, self.steps_per_epoch):
            yield self.batch(epoch, index)

    def _begin(self, epoch: int) -> None:
        """Put the order and the augmentation of an epoch on the device, once an epoch.

        They stay where they are, as a step that is replayed reads them there.
        """
        if epoch == self._epoch:
            return
        count = len(self.dataset)
        if self._order is None or self.shuffle:
            order = (
                random.permutation(count, self.seed, "shuffle", epoch)
                if self.shuffle
                else np.arange(count)
            )
            self._order = self._renewed(self._order, order.astype(np.int32))  # as kernels read it
        if self.augment is not None:
            motion = self.augment.draw(count, self.seed, epoch, self._means)
            self._motion = self._renewed(self._motion, motion)
        self._epoch = epoch

    def _renewed(self, array: Any, values: Any) -> Any:
        """An array of the device with the values; the same one after the first call."""
        if array is None:
            return self.backend.asarray(values)
        self.backend.write(array, values)
        return array

    def end_epoch(self) -> None:
        """Called after the last step of each epoch of a training."""
