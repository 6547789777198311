"""The loader: every image once an epoch, a batch a function of (seed, epoch, index)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpucnn.backend
from gpucnn.data import Augment, Dataset, Loader
from gpucnn.errors import OutOfMemoryError, UsageError


def numbered(count: int) -> Dataset:
    """Image i is filled with i; its label is i modulo 10."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 1, 3, 3), dtype=np.uint8
    )
    return Dataset("numbered", images, np.arange(count) % 10, 10)


def seen(loader: Loader, epoch: int) -> list[int]:
    """The numbers of the images of an epoch; checks that each came with its own label."""
    to_numpy = loader.backend.to_numpy
    result: list[int] = []
    for images, labels in loader.epoch(epoch):
        found = np.rint(to_numpy(images)[:, 0, 0, 0]).astype(int)
        assert (found % 10 == to_numpy(labels)).all()
        result.extend(found.tolist())
    return result


@given(
    count=st.integers(0, 60), batch_size=st.integers(1, 70), seed=st.integers(0, 3),
    epoch=st.integers(0, 3),
)  # fmt: skip
def test_every_image_once_an_epoch(count: int, batch_size: int, seed: int, epoch: int) -> None:
    backend = gpucnn.backend.get("cpu")
    loader = Loader(numbered(count), batch_size, backend, seed=seed, scale=1.0)
    assert len(loader) == loader.steps_per_epoch == -(-count // batch_size)
    assert sorted(seen(loader, epoch)) == list(range(count))
    assert [len(images) for images, _ in loader.epoch(epoch)] == [
        min(batch_size, count - start) for start in range(0, count, batch_size)
    ]


def test_order_changes_with_epoch_and_seed_only(backend: Any) -> None:
    def orders(seed: int, batch_size: int) -> list[list[int]]:
        loader = Loader(numbered(50), batch_size, backend, seed=seed, scale=1.0)
        return [seen(loader, epoch) for epoch in range(3)]

    first = orders(1, 8)
    assert first == orders(1, 8) == orders(1, 50)
    assert len({tuple(order) for order in [*first, *orders(2, 8)]}) == 6


def test_batch_does_not_depend_on_what_was_asked_before(backend: Any) -> None:
    def make() -> Loader:
        return Loader(numbered(20), 6, backend, seed=4, augment=Augment(shift=1, rotate=20))

    straight = [batch for epoch in range(2) for batch in make().epoch(epoch)]
    loader = make()
    for number in (7, 0, 3, 4, 7):
        images, labels = loader.batch(number // 4, number % 4)
        np.testing.assert_array_equal(
            backend.to_numpy(images), backend.to_numpy(straight[number][0])
        )
        np.testing.assert_array_equal(
            backend.to_numpy(labels), backend.to_numpy(straight[number][1])
        )
    resumed = list(make().epoch(1, start=2))
    assert len(resumed) == 2
    for (images, _), (expected, _) in zip(resumed, straight[6:], strict=True):
        np.testing.assert_array_equal(backend.to_numpy(images), backend.to_numpy(expected))


def test_without_shuffling_the_order_is_the_data_sets(backend: Any) -> None:
    loader = Loader(numbered(10), 4, backend, shuffle=False, scale=1.0)
    assert seen(loader, 0) == seen(loader, 3) == list(range(10))


def labels_of(backend: Any, batches: Any) -> list[list[int]]:
    return [backend.to_numpy(labels).tolist() for _, labels in batches]


@pytest.mark.parametrize("shuffle", [True, False])
def test_each_iteration_is_the_next_epoch(backend: Any, shuffle: bool) -> None:
    def make() -> Loader:
        return Loader(numbered(50), 8, backend, seed=1, shuffle=shuffle)

    loader, other = make(), make()
    epochs = [labels_of(backend, other.epoch(epoch)) for epoch in range(3)]
    assert (epochs[0] != epochs[1]) == shuffle
    for epoch in epochs:
        assert labels_of(backend, loader) == epoch
    assert labels_of(backend, loader.epoch(0)) == epochs[0]  # which counts nothing
    assert len(list(loader)) == len(loader)


def test_iterations_side_by_side_are_epochs_of_their_own(backend: Any) -> None:
    loader = Loader(numbered(20), 6, backend, seed=1)
    first, second = iter(loader), iter(loader)
    both = list(zip(first, second, strict=True))
    assert labels_of(backend, (batch for batch, _ in both)) == labels_of(backend, loader.epoch(0))
    assert labels_of(backend, (batch for _, batch in both)) == labels_of(backend, loader.epoch(1))
    next(iter(loader))  # a look at one batch is an epoch, too
    assert labels_of(backend, loader) == labels_of(backend, loader.epoch(3))


def test_pixels_are_scaled_in_float32(backend: Any) -> None:
    dataset = Dataset("d", np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16), None, 10)
    plain, labels = Loader(dataset, 1, backend).batch(0, 0)
    assert labels is None
    assert plain.dtype == np.float32
    expected = np.arange(256).reshape(1, 1, 16, 16)
    # One rounding of the product and one of the scale itself.
    np.testing.assert_allclose(backend.to_numpy(plain), expected / 255, rtol=2**-23)
    scaled, _ = Loader(dataset, 1, backend, scale=0.5, offset=-3.0).batch(0, 0)
    np.testing.assert_array_equal(backend.to_numpy(scaled), expected * 0.5 - 3.0)


def test_images_stay_bytes_on_the_device(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[Any] = []
    asarray, write = backend.asarray, backend.write

    def watched(array: Any) -> Any:
        moved.append(array)
        return asarray(array)

    def watched_write(array: Any, values: Any) -> None:
        moved.append(values)
        write(array, values)

    monkeypatch.setattr(backend, "asarray", watched)
    monkeypatch.setattr(backend, "write", watched_write)
    loader = Loader(numbered(20), 6, backend)
    for epoch in range(2):
        list(loader.epoch(epoch))
    # The images, the labels and one order an epoch; nothing a batch.
    assert [array.dtype for array in moved] == [np.uint8, np.int32, np.int32, np.int32]


def steps_of(loader: Loader, batches: list[tuple[int, int]]) -> list[tuple[Any, ...]]:
    """What `seek` and `take` give for pairs of epoch and index, on the host."""
    taken = [loader.take(loader.seek(*at)) for at in batches]
    return [tuple(map(loader.backend.to_numpy, arrays)) for arrays in taken]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("augment", [None, Augment(shift=1, rotate=20)])
def test_steps_take_the_batches(backend: Any, shuffle: bool, augment: Augment | None) -> None:
    """In their order, the short one too, and after a jump to any other batch."""
    dataset = dataclasses.replace(numbered(20), weights=np.arange(20, dtype=np.float32))
    loader, other = (
        Loader(dataset, 6, backend, seed=4, shuffle=shuffle, augment=augment) for _ in range(2)
    )
    order = [(epoch, index) for epoch in range(2) for index in range(4)]
    jumps = [(0, 1), (0, 1), (1, 3), (0, 3), (0, 0)]
    for at, arrays in zip(order + jumps, steps_of(loader, order + jumps), strict=True):
        for got, expected in zip(arrays, other.batch(*at), strict=True):
            np.testing.assert_array_equal(got, backend.to_numpy(expected))
    with pytest.raises(IndexError):
        loader.seek(0, 4)


def test_a_look_at_another_batch_does_not_move_the_steps(backend: Any) -> None:
    loader, other = (Loader(numbered(20), 6, backend, seed=4) for _ in range(2))
    steps_of(loader, [(0, 0)])
    loader.batch(7, 2)  # another order
    for index in (1, 2):
        ((images, _),) = steps_of(loader, [(0, index)])
        np.testing.assert_array_equal(images, backend.to_numpy(other.batch(0, index)[0]))


def test_the_host_writes_once_an_epoch(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into arrays that stay where they are, so that a step can be replayed."""
    loader = Loader(numbered(20), 6, backend, seed=4, augment=Augment(shift=1))
    steps_of(loader, [(0, index) for index in range(4)])
    before = {name: id(value) for name, value in vars(loader).items() if hasattr(value, "dtype")}
    written: list[str] = []
    write = backend.write
    monkeypatch.setattr(
        backend, "write", lambda array, values: (written.append(array.dtype), write(array, values))
    )
    for index in range(4):
        steps_of(loader, [(1, index)])
        assert written == [np.int32, np.float32, np.uint32]  # order, motion and place
    after = {name: id(value) for name, value in vars(loader).items() if hasattr(value, "dtype")}
    assert before == after


def test_limit_batches(backend: Any) -> None:
    loader = Loader(numbered(20), 6, backend, limit_batches=2, scale=1.0)
    assert loader.steps_per_epoch == len(loader) == 2
    assert len(seen(loader, 0)) == 12
    assert len(seen(Loader(numbered(20), 6, backend, limit_batches=9, scale=1.0), 0)) == 20
    with pytest.raises(IndexError):
        loader.batch(0, 2)


def test_floats_are_handed_out_as_they_are(backend: Any) -> None:
    inputs = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    targets = np.eye(4, dtype=np.float32)
    loader = Loader(Dataset("d", inputs, targets, 4), 4, backend, shuffle=False)
    images, labels = loader.batch(0, 0)
    np.testing.assert_array_equal(backend.to_numpy(images), inputs)
    np.testing.assert_array_equal(backend.to_numpy(labels), targets)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 4, "limit_batches": 0}])
def test_sizes_below_one(backend: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is 0") as error:
        Loader(numbered(3), backend=backend, **options)
    assert error.value.exit_code == 2


def test_weights_come_with_their_images(backend: Any) -> None:
    dataset = numbered(20)
    weighted = dataclasses.replace(dataset, weights=np.arange(20, dtype=np.float32))
    loader = Loader(weighted.subset(slice(5, None)), 4, backend, seed=2, scale=1.0)
    for images, _, weights in loader.epoch(0):
        found = backend.to_numpy(images)[:, 0, 0, 0]
        np.testing.assert_array_equal(np.rint(found), backend.to_numpy(weights))
        assert weights.dtype == np.float32
    assert all(len(batch) == 2 for batch in Loader(dataset, 4, backend).epoch(0))


@pytest.mark.parametrize("full", ["images", "labels", "weights"])
def test_a_data_set_that_does_not_fit_needs_fewer_images(
    backend: Any, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """And no smaller batch: the device holds all images, whatever the batch size is."""
    dataset = dataclasses.replace(numbered(20), weights=np.ones(20, np.float32))
    asarray = type(backend).asarray

    def copy(self: Any, array: Any, dtype: Any = None) -> Any:
        if array is getattr(dataset, full):
            raise OutOfMemoryError("no room", asked=6, held=2, free=room, total=9)
        return asarray(self, array, dtype)

    room = dataset.images.nbytes // 2
    monkeypatch.setattr(type(backend), "asarray", copy)
    with pytest.raises(OutOfMemoryError) as caught:
        Loader(dataset, 4, backend)
    assert caught.value.fix is not None
    assert caught.value.fix.startswith("use the device cpu, or fewer images")
    size = sum(array.nbytes for array in (dataset.images, dataset.labels, dataset.weights))
    held = {"images": 0, "labels": dataset.images.nbytes}.get(full, size - 20 * 4)
    fitting = min(20, 20 * (room + held) // size)
    assert f"and {fitting} of its 20 images would fill the device" in caught.value.fix
