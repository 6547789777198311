"""What the verbs are given: labels of any kind that is meant, and errors for the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn import Tensor
from gpucnn.data import Dataset, Splits
from gpucnn.errors import DataError, GpucnnError, ShapeError, UsageError
from gpucnn.keras import Sequential, layers, to_categorical

Make = Callable[..., Sequential]

#: Class ids 0 to 2 in other forms that mean the same.
AS_IDS: dict[str, Callable[[Any], Any]] = {
    "list": lambda c: c.tolist(),
    "tuple": lambda c: tuple(c.tolist()),
    "uint8": lambda c: c.astype(np.uint8),
    "int16": lambda c: c.astype(np.int16),
    "float64": lambda c: c.astype(float),
    "float16": lambda c: c.astype(np.float16),
    "column of ints": lambda c: c[:, None],
    "column of floats": lambda c: c.astype(np.float32)[:, None],
    "column of bytes": lambda c: c.astype(np.uint8)[:, None],
    "objects": lambda c: c.astype(object),
    "Tensor": lambda c: Tensor(c),
    "big-endian": lambda c: c.astype(">i8"),
}
ONE_HOT: dict[str, Callable[[Any], Any]] = {
    "float32": to_categorical,
    "float64": lambda c: to_categorical(c).astype(float),
    "int64": lambda c: to_categorical(c).astype(int),
    "uint8": lambda c: to_categorical(c).astype(np.uint8),
    "bool": lambda c: to_categorical(c).astype(bool),
    "list": lambda c: to_categorical(c).tolist(),
}
CROSS_ENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy")


@pytest.mark.parametrize("loss", CROSS_ENTROPIES)
@pytest.mark.parametrize("form", AS_IDS)
def test_class_ids_of_every_kind(form: str, loss: str, rows: Any, small: Make) -> None:
    x, c = rows
    expected = small(loss=loss).fit(x, c, epochs=2, verbose=0).history
    found = small(loss=loss).fit(x, AS_IDS[form](c), epochs=2, verbose=0).history
    assert found == expected


@pytest.mark.parametrize("loss", CROSS_ENTROPIES)
@pytest.mark.parametrize("form", ONE_HOT)
def test_one_hot_of_every_kind(form: str, loss: str, rows: Any, small: Make) -> None:
    x, c = rows
    expected = small(loss=loss).fit(x, to_categorical(c), epochs=2, verbose=0).history
    assert small(loss=loss).fit(x, ONE_HOT[form](c), epochs=2, verbose=0).history == expected
    ids = small(loss=loss).fit(x, c, epochs=2, verbose=0).history
    np.testing.assert_allclose(expected["loss"], ids["loss"], rtol=1e-5)
    assert expected["accuracy"] == ids["accuracy"]


def test_bools_are_two_classes(rows: Any, small: Make) -> None:
    x, c = rows
    model = small(2)
    expected = model.fit(x, (c > 0).astype(int), verbose=0).history
    assert small(2).fit(x, c > 0, verbose=0).history == expected


@pytest.mark.parametrize(
    "form",
    [
        lambda c: c > 0,
        lambda c: (c > 0)[:, None],
        lambda c: (c > 0).astype(int),
        lambda c: (c > 0).astype(np.uint8)[:, None],
        lambda c: (c > 0).astype(float),
        lambda c: (c > 0).astype(float)[:, None],
        lambda c: (c > 0).tolist(),
    ],
)
def test_yes_and_no_of_every_kind(form: Any, rows: Any, small: Make) -> None:
    x, c = rows

    def trained(y: Any) -> Any:
        model = small(1, "sigmoid", loss="binary_crossentropy")
        return model.fit(x, y, epochs=2, verbose=0).history

    assert trained(form(c)) == trained((c > 0).astype(np.float32)[:, None])


@pytest.mark.parametrize("y", [lambda r: r, lambda r: r[:, None], lambda r: (10 * r).astype(int)])
def test_numbers_for_the_squared_error(y: Any, rows: Any, small: Make) -> None:
    x, _ = rows
    numbers = y(np.random.default_rng(1).standard_normal(60))
    model = small(1, None, loss="mse", metrics=None)
    loss = model.fit(x, numbers, batch_size=60, verbose=0).history["loss"][0]
    predicted = small(1, None, loss="mse").predict(x)
    untrained = ((predicted - np.reshape(numbers, (-1, 1))) ** 2).mean()
    assert loss == pytest.approx(untrained, rel=1e-5)


def test_images_as_targets() -> None:
    x = np.random.default_rng(0).random((8, 1, 6, 6), dtype=np.float32)
    model = Sequential([layers.Conv2D(1, 3, padding="same")])
    model.compile("sgd", "mse", device="cpu")
    weights = np.linspace(0, 1, 8)
    untrained = ((model.predict(x) - x) ** 2).mean(axis=(1, 2, 3))
    history = model.fit(x, x, batch_size=8, sample_weight=weights, verbose=0).history
    assert history["loss"][0] == pytest.approx((untrained * weights).mean(), rel=1e-5)


# Labels -> the loss, the units, and what the error says.
WRONG: dict[str, tuple[Callable[[Any], Any], str, int, str]] = {
    "from 1": (lambda c: c + 1, "s", 3, "give y - 1"),
    "from 1, floats in a column": (lambda c: (c + 1.0)[:, None], "s", 3, "give y - 1"),
    "negative": (lambda c: np.where(c == 0, -1, c), "s", 3, "-1 of image 2 is not in 0..2"),
    "too large": (lambda c: c * 3, "s", 3, "give the last layer 7 outputs"),
    "one output": (lambda c: c, "s", 1, "give the last layer 3 outputs"),
    "text": (lambda c: np.array(["cat", "dog", "eel"])[c], "s", 3, "return_inverse=True)[1]"),
    "objects of text": (lambda c: np.array(["a", "b", "c"], object)[c], "c", 3, "return_inverse"),
    "bytes": (lambda c: np.array([b"a", b"b", b"c"])[c], "s", 3, "return_inverse"),
    "digits as text": (lambda c: c.astype(str), "s", 3, "y.astype(int)"),
    "a list of text": (lambda c: ["abc"[k] for k in c], "s", 3, "are text: 'b'"),
    "NaN": (lambda c: np.where(c == 0, np.nan, c), "s", 3, "label of image 2 holds NaN"),
    "infinity": (lambda c: np.where(c == 0, np.inf, c), "s", 3, "image 2 holds infinity"),
    "None": (lambda c: [None, *c[1:].tolist()], "s", 3, "holds NaN"),
    "fractions": (lambda c: c + 0.5, "s", 3, "is no whole number"),
    "complex": (lambda c: c * 1j, "s", 3, "of type complex128"),
    "dates": (lambda c: c.astype("datetime64[s]"), "s", 3, "give numbers"),
    "too few": (lambda c: c[:50], "s", 3, "60 images but 50 labels"),
    "too many": (lambda c: np.tile(c, 2), "s", 3, "60 images but 120 labels"),
    "one number": (lambda c: 3, "s", 3, "are one number"),
    "missing": (lambda c: None, "s", 3, "the labels are missing"),
    "narrow one-hot": (to_categorical, "c", 4, "one-hot labels of 4 columns"),
    "wide one-hot": (lambda c: to_categorical(c, 5), "s", 3, "the last layer 5 outputs"),
    "NaN in one-hot": (lambda c: np.where(to_categorical(c) > 0, np.nan, 0), "c", 3, "holds NaN"),
    "ragged": (lambda c: [[1, 0, 0]] * 59 + [[1]], "c", 3, "lists of one length"),
    "signs": (lambda c: 2.0 * (c > 0) - 1, "b", 1, "give (y + 1) / 2"),
    "1 and 2": (lambda c: 1 + (c > 0), "b", 1, "give y - 1"),
    "beyond 1": (lambda c: c, "b", 1, "scale them to 0 and 1"),
    "columns for one output": (to_categorical, "b", 1, "the last layer 3 outputs"),
    "numbers for several outputs": (lambda c: c + 0.5, "m", 3, "is no whole number"),
}
LOSSES = {
    "s": ("sparse_categorical_crossentropy", "softmax"), "m": ("mse", None),
    "c": ("categorical_crossentropy", "softmax"), "b": ("binary_crossentropy", "sigmoid"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_labels_that_cannot_be_meant(kind: str, rows: Any, small: Make) -> None:
    x, c = rows
    change, loss, units, words = WRONG[kind]
    name, activation = LOSSES[loss]
    model = small(units, activation, loss=name)
    y = change(c)
    doors = [
        lambda: model.fit(x, y, verbose=0),
        lambda: model.evaluate(x, y),
        lambda: model.train_on_batch(x, y),
        lambda: model.test_on_batch(x, y),
    ]
    if len(np.atleast_1d(np.asarray(c))) == 60 and words != "the labels are missing":
        doors.append(lambda: model.fit(x, (c > 0) if loss == "b" else c % units, verbose=0,
                                       validation_data=(x, y)))  # fmt: skip
    for door in doors:
        with pytest.raises(GpucnnError) as caught:
            door()
        assert isinstance(caught.value, (DataError, ShapeError))
        assert words in str(caught.value)
    weights = model.get_weights()
    assert all(
        (a == b).all()
        for a, b in zip(weights, small(units, activation, loss=name).build((4,)).get_weights(),
                        strict=True)
    )  # fmt: skip


def test_labels_of_the_validation_are_called_so(rows: Any, small: Make) -> None:
    x, c = rows
    with pytest.raises(DataError, match="the validation labels go from 1 to 3"):
        small().fit(x, c, validation_data=(x, c + 1), verbose=0)


class TestTheModelDecidesHowManyClassesThereAre:
    def test_a_class_that_only_the_validation_has(self, rows: Any, small: Make) -> None:
        x, _ = rows
        y = np.arange(60) % 9
        history = small(10).fit(x, y, validation_data=(x, np.full(60, 9)), verbose=0).history
        assert np.isfinite(history["val_loss"][0])

    def test_sorted_labels_and_a_split(self, rows: Any, small: Make) -> None:
        x, c = rows
        history = small().fit(x, np.sort(c), validation_split=0.3, verbose=0).history
        assert np.isfinite(history["val_loss"][0])

    def test_one_class_alone(self, rows: Any, small: Make) -> None:
        x, _ = rows
        assert small().fit(x, np.zeros(60, int), verbose=0).history["accuracy"]


class TestImages:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_found_at_every_door(
        self, bad: float, rows: Any, small: Make
    ) -> None:
        x, c = rows
        broken = x.copy()
        broken[17, 2] = bad
        broken[40, 0] = np.nan
        model = small()
        before = model.build((4,)).get_weights()
        word = "NaN" if np.isnan(bad) else "infinity"
        for door, name in (
            (lambda: model.fit(broken, c, verbose=0), "x"),
            (lambda: model.fit(x, c, verbose=0, validation_data=(broken, c)), "validation x"),
            (lambda: model.fit(broken, c, verbose=0, validation_split=0.5), "x"),
            (lambda: model.evaluate(broken, c), "x"),
            (lambda: model.predict(broken), "x"),
            (lambda: model.train_on_batch(broken, c), "x"),
            (lambda: model.test_on_batch(broken, c), "x"),
            (lambda: model.predict_on_batch(broken), "x"),
            (lambda: model.fit(iter([(broken, c)]), steps_per_epoch=1), "a batch of x"),
            (lambda: model.predict(iter([broken]), steps=1), "a batch of x"),
        ):
            with pytest.raises(DataError) as caught:
                door()
            assert caught.value.message == f"image 17 of {name} holds {word}"
            assert caught.value.fix
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_numbers_too_large_for_float32(self, rows: Any, small: Make) -> None:
        x, _ = rows
        with pytest.raises(DataError, match="image 0 of x holds infinity"):
            small().predict(x.astype(float) * 1e300)

    def test_every_kind_of_numbers(self, rows: Any, small: Make) -> None:
        x = (rows[0] * 100).astype(np.uint8)
        expected = small().predict(x)
        model = small()
        for form in (
            x.astype(float), x.astype(np.float16), x.tolist(), x.astype(np.int64), Tensor(x),
            Tensor(x.astype(np.float32)), tuple(map(tuple, x.tolist())), np.asfortranarray(x),
        ):  # fmt: skip
            np.testing.assert_array_equal(model.predict(form), expected)
        np.testing.assert_array_equal(model.predict(x > 50), small().predict((x > 50) * 1.0))

    @pytest.mark.parametrize(
        ("x", "words"),
        [
            (np.array([["a", "b"]]), "it must hold numbers"),
            (np.array([[1, None]], object), "it must hold numbers"),
            ([[1, 2], [3]], "lists of one length"),
            (np.zeros(4), "one example a row"),
            (3.0, "one example a row"),
            (None, "one example a row"),
            ({"a": [1]}, "one example a row"),
            (np.zeros((2, 4), complex), "it must hold numbers"),
        ],
    )
    def test_what_is_no_array_of_examples(self, x: Any, words: str, small: Make) -> None:
        model = small()
        for door in (lambda: model.predict(x), lambda: model.fit(x, [0, 1])):
            with pytest.raises(DataError) as caught:
                door()
            assert words in str(caught.value)


class TestLayout:
    def model(self, shape: tuple[int, ...], *before: Any) -> Sequential:
        model = Sequential([*before, layers.Flatten(), layers.Dense(10, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", device="cpu")
        return model.build(shape)

    def test_a_dense_layer_would_not_notice(self) -> None:
        model = self.model((3, 8, 9))
        x = np.zeros((4, 8, 9, 3), np.float32)
        for door in (
            lambda: model.predict(x),
            lambda: model.evaluate(x, [0, 1, 2, 0]),
            lambda: model.fit(x, [0, 1, 2, 0], verbose=0),
            lambda: model.train_on_batch(x, [0, 1, 2, 0]),
        ):
            with pytest.raises(ShapeError) as caught:
                door()
            assert "x.transpose(0, 3, 1, 2)" in str(caught.value.fix)

    def test_one_channel_is_the_same_pixels(self) -> None:
        model = self.model((1, 8, 9))
        x = np.random.default_rng(0).random((4, 1, 8, 9))
        for turned in (x.transpose(0, 2, 3, 1), x[:, 0]):
            np.testing.assert_array_equal(model.predict(turned), model.predict(x))

    def test_one_image_without_the_batch_axis(self) -> None:
        for shape in ((3, 8, 9), (1, 8, 9)):
            model = self.model(shape, layers.Conv2D(2, 3))
            with pytest.raises(ShapeError, match="without the batch axis") as caught:
                model.predict(np.zeros(shape))
            assert caught.value.fix == "give x[None]"

    def test_images_of_keras(self, digits: Any) -> None:
        (x, y), _ = digits
        for turned, words in (
            (x.transpose(0, 2, 3, 1), "x.transpose(0, 3, 1, 2)"),
            (x[:, 0], "x[:, None]"),
        ):
            new = Sequential([layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10, "softmax")])
            new.compile("sgd", "sparse_categorical_crossentropy", device="cpu")
            built = self.model((1, 28, 28), layers.Conv2D(4, 3))
            for model in (new, built):
                for door in (
                    lambda m=model, t=turned: m.fit(t, y, verbose=0),
                    lambda m=model, t=turned: m.evaluate(t, y),
                    lambda m=model, t=turned: m.predict(t),
                ):
                    with pytest.raises(ShapeError) as caught:
                        door()
                    assert words in str(caught.value.fix)

    def test_channels_that_look_like_rows_may_be_meant(self) -> None:
        model = Sequential([layers.Conv2D(4, 1), layers.Flatten(), layers.Dense(3, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", device="cpu")
        model.build((28, 28, 1), channels_first=True)
        assert model.fit(np.zeros((6, 28, 28, 1)), [0, 1, 2] * 2, verbose=0).epoch == [0]

    def test_fully_convolutional_models_take_other_sizes(self) -> None:
        model = Sequential([layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)])
        model.build((1, 8, 8))
        assert model.predict(np.zeros((2, 1, 12, 9))).shape == (2, 3)


class TestWeights:
    def test_sample_weights_count_in_the_loss(self, rows: Any, small: Make) -> None:
        """The sum of weight times loss, over the number of examples."""
        x, c = rows
        weights = np.linspace(0, 2, 60)
        model = small()
        losses = -np.log(model.predict(x)[np.arange(60), c])
        for form in (weights, weights[:, None], weights.tolist(), weights.astype(np.float32)):
            found = model.evaluate(x, c, sample_weight=form)
            assert found.loss == pytest.approx((weights * losses).mean(), rel=1e-5)
            assert found.accuracy == model.evaluate(x, c).accuracy
        history = model.fit(x, c, batch_size=60, sample_weight=weights, verbose=0).history
        assert history["loss"][0] == pytest.approx((weights * losses).mean(), rel=1e-5)

    def test_class_weights_are_sample_weights(self, rows: Any, small: Make) -> None:
        x, c = rows
        table = {0: 2.0, 2: 0.25}
        weights = np.array([2.0, 1.0, 0.25])[c]
        expected = small().fit(x, c, sample_weight=weights, verbose=0).history
        for y in (c, c.astype(float)):
            assert small().fit(x, y, class_weight=table, verbose=0).history == expected
        one_hot = small().fit(x, to_categorical(c), class_weight=table, verbose=0).history
        assert one_hot["loss"] == pytest.approx(expected["loss"], rel=1e-5)

    def test_class_weights_of_yes_and_no(self, rows: Any, small: Make) -> None:
        x, c = rows
        options = {"loss": "binary_crossentropy"}
        yes = (c > 0).astype(np.float32)
        found = small(1, "sigmoid", **options).fit(x, yes, class_weight={1: 3.0}, verbose=0)
        expected = small(1, "sigmoid", **options).fit(x, yes, sample_weight=1 + 2 * yes, verbose=0)
        assert found.history == expected.history

    def test_no_weight_leaves_an_example_out(self, rows: Any, small: Make) -> None:
        x, c = rows
        changed = x.copy()
        changed[::2] = 9
        weights = np.arange(60) % 2
        models = [small(), small()]
        for model, images in zip(models, (x, changed), strict=True):
            model.fit(images, c, sample_weight=weights, shuffle=False, verbose=0)
        for a, b in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_the_validation_has_no_class_weights(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small()
        fitted = model.fit(x, c, class_weight={0: 9.0}, validation_split=0.5, verbose=0).history
        assert fitted["val_loss"][0] == pytest.approx(model.evaluate(x[30:], c[30:]).loss)
        weights = np.linspace(0, 2, 60)
        model = small()
        fitted = model.fit(x, c, sample_weight=weights, validation_split=0.5, verbose=0).history
        held = model.evaluate(x[30:], c[30:], sample_weight=weights[30:]).loss
        assert fitted["val_loss"][0] == pytest.approx(held)
        three = model.fit(x, c, validation_data=(x, c, weights), verbose=0).history
        again = model.evaluate(x, c, sample_weight=weights).loss
        assert three["val_loss"][0] == pytest.approx(again)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"class_weight": {0: 1.0}, "sample_weight": np.ones(60)}, "give one"),
            ({"class_weight": {3: 1.0}}, "class id, 0 to 2"),
            ({"class_weight": {"a": 1.0}}, "class id, 0 to 2"),
            ({"class_weight": "balanced"}, "class_weight={0: 1.0"),
            ({"class_weight": [1, 2, 3]}, "class_weight={0: 1.0"),
            ({"class_weight": {0: "many"}}, "class_weight of class 0"),
            ({"class_weight": {0: np.nan}}, "class_weight of class 0"),
            ({"class_weight": {0: 1e39}}, "class_weight of class 0"),
            ({"sample_weight": np.ones(59)}, "one number an example"),
            ({"sample_weight": np.ones((60, 2))}, "one number an example"),
            ({"sample_weight": ["a"] * 60}, "one number an example"),
            ({"sample_weight": np.full(60, np.nan)}, "sample_weight 0 holds NaN"),
            ({"sample_weight": np.full(60, -np.inf)}, "sample_weight 0 holds infinity"),
            ({"sample_weight": np.full(60, 1e39)}, "1e+39 is infinite as float32"),
        ],
    )
    def test_weights_that_are_not_acceptable(
        self, options: Any, words: str, rows: Any, small: Make
    ) -> None:
        with pytest.raises((UsageError, DataError)) as caught:
            small().fit(*rows, verbose=0, **options)
        assert words in str(caught.value)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
    def test_weights_are_looked_at_at_every_door(self, bad: float, rows: Any, small: Make) -> None:
        x, c = rows
        weights = np.ones(60)
        weights[7] = bad
        model = small()
        for door, name in (
            (lambda: model.evaluate(x, c, sample_weight=weights), ""),
            (lambda: model.train_on_batch(x, c, sample_weight=weights), ""),
            (lambda: model.fit(x, c, validation_data=(x, c, weights)), "validation "),
            (lambda: model.fit(iter([(x, c, weights)]), steps_per_epoch=1), ""),
        ):
            with pytest.raises(DataError, match=f"^{name}sample_weight 7 holds"):
                door()

    def test_class_weights_need_classes(self, rows: Any, small: Make) -> None:
        with pytest.raises(UsageError, match="without classes"):
            small(1, None, loss="mse").fit(*rows, class_weight={0: 1.0}, verbose=0)


class TestNoArrays:
    """Each verb says what to give."""

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"a": np.zeros((6, 4))}, 'x["image"]'),
            (None, "give a NumPy array"),
            (lambda: iter(()), "call it"),
            (3, "give a NumPy array"),
            ("x.npy", "give a NumPy array"),
            (Dataset("rows", np.zeros((6, 4)), np.zeros(6, int), 3), "x.images / 255"),
            (Splits(Dataset("rows", np.zeros((6, 4)), np.zeros(6, int), 3)), "x.train.images"),
        ],
    )
    def test_at_every_door(self, given: Any, words: str, small: Make) -> None:
        model = small()
        for verb in (
            model.fit, model.evaluate, model.predict, model.train_on_batch, model.test_on_batch,
            model.predict_on_batch,
        ):  # fmt: skip
            with pytest.raises(DataError, match=r"^x is") as caught:
                verb(given)
            assert words in str(caught.value.fix)

    def test_lists_of_one_array(self, rows: Any, small: Make) -> None:
        x, c = rows
        for verb in (small().fit, small().evaluate, small().train_on_batch):
            with pytest.raises(DataError, match="one array each"):
                verb([x], [c])
        assert small().train_on_batch([x[0]], [c[0]])  # one example

    def test_a_pair_of_x_and_y(self, rows: Any, small: Make) -> None:
        x, c = rows
        for given in ((x, c), (x, x), (x, c, np.ones(60))):
            for verb in (small().fit, small().evaluate, small().train_on_batch):
                with pytest.raises(DataError, match="x is a tuple, and y is missing"):
                    verb(given)

    @pytest.mark.parametrize("ragged", [[[1, 2], [3]], [[1, 2], 3], ([0.5], [])])
    def test_lists_that_are_ragged(self, ragged: Any, rows: Any, small: Make) -> None:
        for given in ((ragged, [0, 1]), (rows[0][:2], ragged)):
            with pytest.raises(DataError, match="cannot be made an array") as caught:
                small().fit(*given)
            assert caught.value.cause == "its parts differ in length or in depth"

    def test_no_example_in_the_validation(self, rows: Any, small: Make) -> None:
        x, c = rows
        with pytest.raises(DataError, match="the validation arrays hold no example"):
            small().fit(x, c, validation_data=(x[:0], c[:0]))


@pytest.mark.parametrize("metric", ["accuracy", "acc"])
def test_an_accuracy_of_several_classes_an_image(metric: str, rows: Any, small: Make) -> None:
    y = np.eye(3)[rows[1]]
    y[[4, 9], 0] = y[[4, 9], 2] = 1
    options: Any = {"loss": "binary_crossentropy"}
    model = small(3, "sigmoid", metrics=[metric], **options)
    for verb in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(DataError, match="image 4 belongs to several classes") as caught:
            verb(rows[0], y)
        assert "compile without metrics" in str(caught.value.fix)
    without = small(3, "sigmoid", metrics=[], **options)
    assert list(without.fit(rows[0], y, verbose=0).history) == ["loss"]
    one_each = np.eye(3)[rows[1]] * 0.9  # smoothed
    assert list(model.fit(rows[0], one_each, verbose=0).history) == ["loss", metric]


@pytest.mark.parametrize("value", [1e300, -1e300, 1e25])
def test_labels_whose_loss_overflows(value: float, rows: Any, small: Make) -> None:
    y = np.zeros(60)
    y[7] = value
    with pytest.raises(DataError, match=r"the label of image 7 is -?1e\+") as caught:
        small(1, None, loss="mse").fit(rows[0], y)
    assert "scale the labels" in str(caught.value.fix)


@pytest.mark.parametrize("value", [None, "2", np.nan, np.inf, True])
def test_class_weights_that_are_no_numbers(value: Any, rows: Any, small: Make) -> None:
    with pytest.raises(UsageError, match="class_weight of class 1 is") as caught:
        small().fit(*rows, class_weight={0: 1, 1: value})
    assert "1=" not in str(caught.value.fix)
