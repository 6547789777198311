"""Batches from generators and Sequences."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gpucnn import backend
from gpucnn.data import Dataset, Loader
from gpucnn.errors import DataError, DivergedError, OutOfMemoryError, UsageError
from gpucnn.keras import Sequential
from gpucnn.keras.batches import is_stream

Make = Callable[..., Sequential]


def endless(x: Any, y: Any, size: int = 20, *weights: Any) -> Iterator[Any]:
    while True:
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            yield (x[part], y[part], *(w[part] for w in weights))


class Chunks:
    """A Sequence, as Keras has it."""

    def __init__(self, x: Any, y: Any, size: int = 20) -> None:
        self.x, self.y, self.size = x, y, size
        self.asked: list[int] = []
        self.ended = 0

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        part = slice(index * self.size, (index + 1) * self.size)
        return self.x[part], self.y[part]

    def on_epoch_end(self) -> None:
        self.ended += 1


class Iterable:
    """What has a length and gives its batches anew each time, as a loader does."""

    def __init__(self, *batches: Any) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def test_a_generator_trains_as_its_arrays_do(rows: Any, small: Make) -> None:
    x, c = rows
    model, other = small(), small()
    found = model.fit(endless(x, c), epochs=3, steps_per_epoch=3, verbose=0)
    expected = other.fit(x, c, batch_size=20, epochs=3, shuffle=False, verbose=0)
    assert found == expected
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_epoch_goes_on_where_the_last_one_stopped(rows: Any, small: Make) -> None:
    x, c = rows
    found = small().fit(endless(x, c), epochs=3, steps_per_epoch=2, verbose=0)
    other = small()
    expected = other.fit(x, c, batch_size=20, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
    assert found == expected


def test_weights_come_with_a_batch(rows: Any, small: Make) -> None:
    x, c = rows
    weights = np.linspace(0, 2, 60)
    found = small().fit(endless(x, c, 20, weights), steps_per_epoch=3, verbose=0)
    options = {"shuffle": False, "verbose": 0, "batch_size": 20}
    assert found == small().fit(x, c, sample_weight=weights, **options)
    table = {0: 2.0, 1: 0.5}
    found = small().fit(endless(x, c), steps_per_epoch=3, class_weight=table, verbose=0)
    assert found == small().fit(x, c, class_weight=table, **options)


def test_lists_and_other_types_of_labels(rows: Any, small: Make) -> None:
    x, c = rows
    batches = [[x[:20].tolist(), c[:20].tolist()], (x[20:], c[20:, None].astype(float))]
    found = small().fit(Iterable(*batches), epochs=2, verbose=0)
    arrays = Iterable((x[:20], c[:20]), (x[20:], c[20:]))
    assert found == small().fit(arrays, epochs=2, verbose=0)


def test_data_that_do_not_fit_can_be_given_in_batches(
    rows: Any, small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the advice of the error says."""
    cpu = type(backend.get("cpu"))
    asarray = cpu.asarray

    def copy(self: Any, array: Any, dtype: Any = None) -> Any:
        if len(array) > 20:
            raise OutOfMemoryError("no room", asked=6, held=2, free=1, total=9)
        return asarray(self, array, dtype)

    monkeypatch.setattr(cpu, "asarray", copy)
    with pytest.raises(OutOfMemoryError) as caught:
        small().fit(*rows, batch_size=20, verbose=0)
    assert "fewer examples, or a Sequence or a generator of batches" in str(caught.value.fix)
    for advised in (Chunks(*rows), endless(*rows)):
        small().fit(advised, steps_per_epoch=3, verbose=0)


class TestSequence:
    def test_is_asked_in_a_new_order_every_epoch(self, rows: Any, small: Make) -> None:
        chunks = Chunks(*rows, size=6)
        small().fit(chunks, epochs=3, verbose=0)
        first, *asked = chunks.asked  # to see the shape of its images
        orders = [asked[i : i + 10] for i in range(0, 30, 10)]
        assert first == 0
        assert [sorted(order) for order in orders] == [list(range(10))] * 3
        assert len({tuple(order) for order in orders}) == 3
        assert chunks.ended == 3

    def test_in_its_own_order(self, rows: Any, small: Make) -> None:
        x, c = rows
        chunks = Chunks(x, c)
        found = small().fit(chunks, epochs=2, shuffle=False, verbose=0)
        assert chunks.asked == [0, 0, 1, 2, 0, 1, 2]
        assert found == small().fit(x, c, batch_size=20, epochs=2, shuffle=False, verbose=0)

    def test_with_steps(self, rows: Any, small: Make) -> None:
        chunks = Chunks(*rows)
        small().fit(chunks, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
        assert chunks.asked == [0, 0, 1, 2, 0, 1, 2]
        assert chunks.ended == 3

    def test_the_same_seed_gives_the_same_order(self, rows: Any, small: Make) -> None:
        found = [small(seed=4).fit(Chunks(*rows, size=6), verbose=0) for _ in "ab"]
        assert found[0] == found[1] != small(seed=5).fit(Chunks(*rows, size=6), verbose=0)


def test_what_has_a_length_begins_again(rows: Any, small: Make) -> None:
    x, c = rows
    batches = Iterable(*((x[i : i + 20], c[i : i + 20]) for i in (0, 20, 40)))
    found = small().fit(batches, epochs=4, verbose=0)
    assert found == small().fit(x, c, batch_size=20, epochs=4, shuffle=False, verbose=0)


class TestTheOtherVerbs:
    def test_validation(self, rows: Any, small: Make) -> None:
        x, c = rows
        expected = small().fit(x, c, epochs=2, validation_data=(x, c), verbose=0).history
        for held, options in (
            (Chunks(x, c), {}),
            (endless(x, c), {"validation_steps": 3}),
            (Iterable((x, c)), {}),
        ):
            model = small()
            found = model.fit(x, c, epochs=2, validation_data=held, verbose=0, **options).history
            np.testing.assert_allclose(found["val_loss"], expected["val_loss"], rtol=1e-6)
            assert found["val_accuracy"] == expected["val_accuracy"]

    def test_a_generator_is_validated_on_the_same_batches_in_every_epoch(
        self, rows: Any, small: Make
    ) -> None:
        x, c = rows
        told = {"epochs": 3, "validation_steps": 2, "verbose": 0}
        found = small().fit(x, c, validation_data=endless(x, c), **told).history
        expected = small().fit(x, c, validation_data=(x[:40], c[:40]), **told).history
        np.testing.assert_allclose(found["val_loss"], expected["val_loss"], rtol=1e-6)
        assert found["val_accuracy"] == expected["val_accuracy"]

    @pytest.mark.parametrize("weighted", [False, True])
    def test_of_one_array_that_is_filled_anew(self, weighted: bool, rows: Any, small: Make) -> None:
        x, c = np.float32(rows[0]), np.int32(rows[1])
        whole = (x, c, np.float32(c + 1)) if weighted else (x, c)

        def filled() -> Iterator[Any]:
            buffers = tuple(np.empty_like(array[:20]) for array in whole)
            while True:
                for start in range(0, len(x), 20):
                    for buffer, values in zip(buffers, whole, strict=True):
                        buffer[:] = values[start : start + 20]
                    yield buffers

        told = {"epochs": 3, "verbose": 0, "validation_steps": 3, "validation_batch_size": 20}
        found = small().fit(x, c, validation_data=filled(), **told).history
        assert found == small().fit(x, c, validation_data=whole, **told).history

    def test_more_steps_than_there_are(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small()
        whole, score = model.predict(x), model.evaluate(x, c)
        for steps in (3, 7):
            for made in (
                Chunks(x, c),
                Iterable(*((x[i : i + 20], c[i : i + 20]) for i in (0, 20, 40))),
            ):
                np.testing.assert_allclose(model.predict(made, steps=steps), whole, rtol=1e-6)
                assert model.evaluate(made, steps=steps) == pytest.approx(score, rel=1e-6)
        assert model.predict(Chunks(x, c), steps=2).shape == (40, 3)

    def test_evaluate(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small()
        expected = pytest.approx(model.evaluate(x, c), rel=1e-6)
        assert model.evaluate(Chunks(x, c)) == expected
        assert model.evaluate(endless(x, c), steps=3) == expected
        weights = np.linspace(0, 2, 60)
        weighted = model.evaluate(endless(x, c, 20, weights), steps=3)
        assert weighted == pytest.approx(model.evaluate(x, c, sample_weight=weights), rel=1e-6)

    def test_predict(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small().build((4,))
        expected = model.predict(x, batch_size=20)
        for batches, options in (
            (Chunks(x, c), {}),
            (endless(x, c), {"steps": 3}),
            (Iterable(x[:20], x[20:40], x[40:]), {}),
            (iter([x[:20], (x[20:40],), [x[40:], c[40:]]]), {"steps": 3}),
        ):
            np.testing.assert_array_equal(model.predict(batches, **options), expected)

    def test_the_model_is_built_for_the_first_batch(self, rows: Any, small: Make) -> None:
        x, c = rows
        for verb in (
            lambda m: m.fit(endless(x, c), steps_per_epoch=1, verbose=0),
            lambda m: m.evaluate(Chunks(x, c)),
            lambda m: m.predict(endless(x, c), steps=1),
        ):
            model = small()
            verb(model)
            assert model.built_for == ((4,),)


class TestErrors:
    def test_a_generator_needs_steps(self, rows: Any, small: Make) -> None:
        x, c = rows
        for verb, option in (
            (lambda m: m.fit(endless(x, c)), "steps_per_epoch"),
            (lambda m: m.fit(x, c, validation_data=endless(x, c)), "validation_steps"),
            (lambda m: m.evaluate(endless(x, c)), "steps"),
            (lambda m: m.predict(endless(x, c)), "steps"),
        ):
            with pytest.raises(UsageError, match=f"is a generator, and {option} is not given"):
                verb(small())

    def test_one_that_ends(self, rows: Any, small: Make) -> None:
        x, c = rows
        batches = iter([(x[:20], c[:20])] * 5)
        with pytest.raises(DataError, match="x ended after 5 batches") as caught:
            small().fit(batches, epochs=2, steps_per_epoch=3, verbose=0)
        assert "while True" in str(caught.value.fix)
        with pytest.raises(DataError, match="x ended after 0 batches") as caught:
            small().fit(iter([]), steps_per_epoch=3)
        assert "call the generator function anew" in str(caught.value.fix)
        with pytest.raises(DataError, match="holds no batch"):
            small().fit(Iterable())

    def test_one_that_ends_where_there_is_no_epoch(self, rows: Any, small: Make) -> None:
        x, c = rows
        for verb, option in (
            (lambda m, g: m.evaluate(g, steps=4), "steps"),
            (lambda m, g: m.predict(g, steps=4), "steps"),
            (
                lambda m, g: m.fit(x, c, validation_data=g, validation_steps=4, verbose=0),
                "validation_steps",
            ),
        ):
            for count in (1, 3):
                with pytest.raises(DataError, match=f"x ended after {count} batch") as caught:
                    verb(small(), iter([(x[:20], c[:20])] * count))
                assert caught.value.cause == f"{option}=4 asks for more"
                assert caught.value.fix == f"give {option}={count}"

    @pytest.mark.parametrize(
        ("batch", "words"),
        [
            (lambda x, c: x, "gives a ndarray as a batch"),
            (lambda x, c: (x,), "(x, y) or (x, y, sample_weight)"),
            (lambda x, c: (x, c, c, c), "(x, y) or (x, y, sample_weight)"),
            (lambda x, c: {"x": x}, "one example a row"),
            (lambda x, c: (x, c + 1), "give y - 1"),
            (lambda x, c: (x, c[:3]), "60 images but 3 labels"),
            (lambda x, c: (x * np.nan, c), "image 0 of a batch of x holds NaN"),
        ],
    )
    def test_batches_of_another_form(self, batch: Any, words: str, rows: Any, small: Make) -> None:
        with pytest.raises(DataError) as caught:
            small().fit(iter([batch(*rows)]), steps_per_epoch=1)
        assert words in str(caught.value)

    def test_images_of_another_shape(self, rows: Any, small: Make) -> None:
        x, c = rows
        with pytest.raises(DataError, match="images of one shape"):
            small().fit(iter([(x, c), (x[:, :3], c)]), steps_per_epoch=2)

    def test_what_does_not_go_with_them(self, rows: Any, small: Make) -> None:
        x, c = rows
        for options, words in (
            ({"y": c}, "leave them out"),
            ({"sample_weight": c}, "leave them out"),
            ({"validation_split": 0.2}, "give validation_data"),
        ):
            with pytest.raises(UsageError) as caught:
                small().fit(endless(x, c), steps_per_epoch=2, **options)
            assert words in str(caught.value)

    def test_a_loss_that_is_not_finite_is_found_at_its_batch(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small(1, None, loss="mse")
        batches = iter([(x, c), (np.full((4, 4), 3e38), c[:4]), (x, c)])
        with pytest.raises(DivergedError, match="step 2") as caught:
            model.fit(batches, steps_per_epoch=3, verbose=0)
        assert "is the first layer to give infinity" in str(caught.value.cause)


def test_what_is_taken_for_batches(rows: Any) -> None:
    x, c = rows
    loader = Loader(Dataset("rows", x, c.astype(np.int32), 3), 20, backend.get())
    for stream in (endless(x, c), Chunks(x, c), Iterable(x), iter([x]), (b for b in [x]), loader):
        assert is_stream(stream)
    for arrays in (
        x,
        x.tolist(),
        tuple(x),
        {"x": x},
        "x",
        b"x",
        3,
        None,
        memoryview(x),
        array("f"),
    ):
        assert not is_stream(arrays)
