"""fit, evaluate, predict and the steps on one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpucnn import Tensor, functions, nn, optim
from gpucnn.errors import DataError, DivergedError, UsageError, WeightsMismatchError
from gpucnn.keras import Score, Sequential, layers
from gpucnn.training import Callback, Trainer

Make = Callable[..., Sequential]


def same_weights(one: Sequential, other: Sequential) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all((a == b).all() for a, b in pairs)


class TestValidationSplit:
    @pytest.mark.parametrize(
        ("count", "share"),
        [(5, 0.1), (9, 0.1), (10, 0.1), (3, 0.01), (10, 0.3), (2, 0.5), (7, 0.8)],
    )
    def test_the_last_examples_are_held_out_as_keras_counts(
        self, count: int, share: float, small: Make
    ) -> None:
        rng = np.random.default_rng(count)
        x, y = rng.random((count, 4), dtype=np.float32), np.arange(count) % 3
        first = int(count * (1 - share))
        found = small().fit(x, y, validation_split=share, verbose=0).history
        model = small()
        expected = model.fit(
            x[:first], y[:first], validation_data=(x[first:], y[first:]), verbose=0
        )
        assert found == expected.history

    @pytest.mark.parametrize(("count", "share"), [(1, 0.5), (2, 0.99), (3, 1e-17)])
    def test_an_empty_part_is_an_error(self, count: int, share: float, small: Make) -> None:
        with pytest.raises(DataError, match=f"of {count} examples leaves none"):
            small().fit(np.zeros((count, 4)), np.zeros(count, int), validation_split=share)

    @pytest.mark.parametrize("share", [1.0, -0.1, 2, "0.1", True])
    def test_shares_that_make_no_sense(self, share: Any, rows: Any, small: Make) -> None:
        with pytest.raises(UsageError, match="between 0 and 1"):
            small().fit(*rows, validation_split=share)

    def test_validation_data_goes_before_it(self, rows: Any, small: Make) -> None:
        x, c = rows
        both = small().fit(x, c, validation_split=0.5, validation_data=(x, c), verbose=0)
        assert both.history == small().fit(x, c, validation_data=[x, c], verbose=0).history

    @pytest.mark.parametrize("given", [3, "data", (1,), (1, 2, 3, 4), {"x": 1}])
    def test_validation_data_of_another_form(self, given: Any, rows: Any, small: Make) -> None:
        with pytest.raises(UsageError, match="validation_data is a"):
            small().fit(*rows, validation_data=given)


class TestSteps:
    def test_an_epoch_goes_on_where_the_last_one_stopped(self, rows: Any, small: Make) -> None:
        """Six epochs of two batches are two passes over six."""
        x, c = rows
        model, other = small(), small()
        model.fit(x, c, batch_size=10, epochs=6, steps_per_epoch=2, verbose=0)
        other.fit(x, c, batch_size=10, epochs=2, verbose=0)
        assert same_weights(model, other)

    def test_more_steps_than_batches(self, rows: Any, small: Make) -> None:
        x, c = rows
        model, other = small(), small()
        model.fit(x, c, batch_size=20, epochs=1, steps_per_epoch=9, verbose=0)
        other.fit(x, c, batch_size=20, epochs=3, verbose=0)
        assert same_weights(model, other)

    def test_steps_decide_the_batch_size_where_that_is_not_given(
        self, rows: Any, small: Make
    ) -> None:
        x, c = rows
        found = small().fit(x, c, steps_per_epoch=4, verbose=0).history
        assert found == small().fit(x, c, batch_size=15, verbose=0).history

    def test_of_the_validation(self, rows: Any, small: Make) -> None:
        x, c = rows
        options = {"validation_steps": 2, "validation_batch_size": 8}
        model = small()
        found = model.fit(x, c, validation_data=(x, c), verbose=0, **options).history
        assert found["val_loss"][0] == pytest.approx(model.evaluate(x[:16], c[:16]).loss)
        assert model.evaluate(x, c, batch_size=8, steps=2) == model.evaluate(x[:16], c[:16], 8)

    @pytest.mark.parametrize("steps", [0, -1, 1.5, "3", True])
    def test_that_make_no_sense(self, steps: Any, rows: Any, small: Make) -> None:
        with pytest.raises(UsageError, match="steps_per_epoch is"):
            small().fit(*rows, steps_per_epoch=steps)
        with pytest.raises(UsageError, match="validation_steps is"):
            small().fit(*rows, validation_split=0.5, validation_steps=steps)
        for verb in (small().evaluate, small().predict):
            given = rows if verb.__name__ == "evaluate" else rows[:1]
            with pytest.raises(UsageError, match=r"^steps is") as caught:
                verb(*given, steps=steps)
            assert caught.value.cause == "it must be an integer of at least 1"

    def test_of_predict(self, rows: Any, small: Make) -> None:
        x, _ = rows
        model = small()
        whole = model.predict(x)
        for options, count in (
            ({"batch_size": 8, "steps": 2}, 16),
            ({"batch_size": 8, "steps": 99}, 60),
            ({"steps": 2}, 60),
            ({"steps": 7}, 60),
        ):
            found = model.predict(x, **options)
            assert found.shape == (count, 3)
            np.testing.assert_allclose(found, whole[:count], rtol=1e-5)

    @pytest.mark.parametrize("steps", [8, 9, 100])
    def test_more_than_there_are_count_no_example_twice(
        self, steps: int, rows: Any, small: Make
    ) -> None:
        """Eight batches of 8 hold 60 examples."""
        x, c = rows
        model = small()
        expected = pytest.approx(model.evaluate(x, c), rel=1e-6)
        assert model.evaluate(x, c, batch_size=8, steps=steps) == expected
        held = {"validation_steps": steps, "validation_batch_size": 8, "verbose": 0}
        found = model.fit(x, c, validation_data=(x, c), **held).history
        expected = model.evaluate(x, c)
        assert found["val_loss"][0] == pytest.approx(expected.loss, rel=1e-6)
        assert found["val_accuracy"][0] == pytest.approx(expected.accuracy)


class TestEpochs:
    def test_the_first_epoch(self, rows: Any, small: Make) -> None:
        x, c = rows
        model, other = small(), small()
        first = model.fit(x, c, epochs=2, verbose=0)
        rest = model.fit(x, c, epochs=5, initial_epoch=2, verbose=0)
        whole = other.fit(x, c, epochs=5, verbose=0)
        assert (first.epoch, rest.epoch) == ([0, 1], [2, 3, 4])
        assert same_weights(model, other)  # SGD has no state; the order is that of the epoch
        assert whole.history["loss"] == first.history["loss"] + rest.history["loss"]

    @pytest.mark.parametrize(
        ("epochs", "first"), [(3, 3), (3, 5), (3, -1), (3, 1.5), (3, "1"), (3, True)]
    )
    def test_nothing_left_to_train(self, epochs: int, first: Any, rows: Any, small: Make) -> None:
        with pytest.raises(UsageError, match="initial_epoch is"):
            small().fit(*rows, epochs=epochs, initial_epoch=first)

    @pytest.mark.parametrize("epochs", [0, -1, 1.5, "3"])
    def test_numbers_that_make_no_sense(self, epochs: Any, rows: Any, small: Make) -> None:
        with pytest.raises(UsageError, match="epochs is"):
            small().fit(*rows, epochs=epochs)

    def test_options_of_a_validation_that_there_is_not(self, rows: Any, small: Make) -> None:
        options = {"validation_steps": 0, "validation_batch_size": 0, "verbose": 0}
        assert small().fit(*rows, **options) == small().fit(*rows, verbose=0)
        with pytest.raises(UsageError, match="validation_steps is 0"):
            small().fit(*rows, validation_split=0.2, validation_steps=0)

    def test_without_shuffling(self, rows: Any, small: Make) -> None:
        x, c = rows
        model, other = small(), small().build((4,))
        model.fit(x, c, batch_size=25, shuffle=False, verbose=0)
        made = optim.SGD(other, learning_rate=0.01)
        for start in (0, 25, 50):
            made.zero_grad()
            logits = other(x[start : start + 25], logits=True)
            functions.softmax_cross_entropy(
                logits, c[start : start + 25].astype(np.int32)
            ).backward()
            made.step()
        assert same_weights(model, other)


class TestOutput:
    @pytest.mark.parametrize(
        ("verbose", "lines"), [("auto", 2), (1, 2), (2, 2), (True, 2), (0, 0), (False, 0)]
    )
    def test_verbose(self, verbose: Any, lines: int, rows: Any, small: Make, capsys: Any) -> None:
        small(metrics="acc").fit(*rows, epochs=2, verbose=verbose, validation_split=0.2)
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == lines
        for number, line in enumerate(printed, 1):
            assert line.startswith(f"Epoch {number}/2 - ")
            assert " - acc: " in line
            assert " - val_acc: " in line

    @pytest.mark.parametrize("verbose", ["loud", 3, None, -1])
    def test_verbose_that_makes_no_sense(self, verbose: Any, rows: Any, small: Make) -> None:
        with pytest.raises(UsageError, match="verbose is"):
            small().fit(*rows, verbose=verbose)

    def test_evaluate(self, rows: Any, small: Make, capsys: Any) -> None:
        x, c = rows
        model = small(metrics=["accuracy"])
        score = model.evaluate(x, c, verbose=1)
        assert isinstance(score, Score)
        loss, accuracy = score
        assert model.evaluate(x, c, return_dict=True) == {"loss": loss, "accuracy": accuracy}
        assert small(metrics=None).evaluate(x, c) == loss
        assert capsys.readouterr().out == ""

    def test_the_summary_is_printed(self, small: Make, capsys: Any) -> None:
        model = small().build((4,))
        for batch in (1, 64):
            table = nn.Module.summary(model, batch)
            model.summary(batch)
            assert capsys.readouterr().out == f"{table}\n"
            lines: list[str] = []
            model.summary(batch, print_fn=lines.append)
            assert lines == [table]


class TestSingleBatches:
    def test_steps_are_those_of_fit(self, rows: Any, small: Make) -> None:
        """With the state of the optimizer going on: Adam's would show."""
        x, c = rows
        model, other = small(optimizer="adam"), small(optimizer="adam")
        found = [
            other.train_on_batch(x[i : i + 20], c[i : i + 20]) for _ in "ab" for i in (0, 20, 40)
        ]
        history = model.fit(x, c, batch_size=20, epochs=2, shuffle=False, verbose=0).history
        assert same_weights(model, other)
        assert np.mean(found[3:], axis=0) == pytest.approx(
            [history["loss"][1], history["accuracy"][1]]
        )

    def test_what_they_give(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small()
        expected = model.evaluate(x, c)
        assert model.test_on_batch(x, c) == list(expected)
        assert model.test_on_batch(x, c, return_dict=True) == expected._asdict()
        assert model.train_on_batch(x, c) == pytest.approx(list(expected))
        assert model.train_on_batch(x, c, return_dict=True)["loss"] < expected.loss
        np.testing.assert_array_equal(model.predict_on_batch(x), model.predict(x))
        without = small(metrics=None)
        assert without.train_on_batch(x, c) == pytest.approx(expected.loss)
        assert isinstance(without.test_on_batch(x, c), float)

    def test_weights(self, rows: Any, small: Make) -> None:
        x, c = rows
        weights = np.array([1.0, 2.0, 3.0])[c]
        one, other, third = small(), small(), small()
        one.train_on_batch(x, c, sample_weight=weights)
        other.train_on_batch(x, c, class_weight={1: 2.0, 2: 3.0})
        third.train_on_batch(x, c)
        assert same_weights(one, other)
        assert not same_weights(one, third)

    def test_the_learning_rate_can_be_set(self, rows: Any, small: Make) -> None:
        model = small()
        model.train_on_batch(*rows)
        before = model.get_weights()
        model.optimizer.learning_rate = 0.0
        model.train_on_batch(*rows)
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))

    def test_a_loss_that_is_not_finite(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small(1, None, loss="mse")
        model.train_on_batch(x, c)
        before = model.get_weights()
        with pytest.raises(DivergedError, match="loss of the batch is not finite"):
            model.train_on_batch(np.full((4, 4), 3e38), [0, 1, 2, 0])
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
        assert np.isfinite(model.train_on_batch(x, c)[0])

    def test_dropout_drops_and_batch_norm_learns(self) -> None:
        model = Sequential(
            [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten(),
             layers.Dropout(0.5), layers.Dense(3, "softmax")]
        )  # fmt: skip
        model.compile("sgd", "sparse_categorical_crossentropy", device="cpu")
        x = np.random.default_rng(0).random((8, 1, 6, 6), dtype=np.float32)
        model.eval()
        model.train_on_batch(x, [0, 1, 2, 0, 1, 2, 0, 1])
        assert int(model["dropout1"].step[0]) == 1  # type: ignore[attr-defined]
        assert (model.get_weights()[4] != 0).all()


class TestWeights:
    def test_of_a_layer(self, small: Make) -> None:
        model = small().build((4,))
        kernel, bias = model.layers[0].get_weights()
        assert (kernel.shape, bias.shape) == ((4, 8), (8,))
        model.layers[0].set_weights([kernel * 2, bias + 1])
        doubled, raised = model.layers[0].get_weights()
        np.testing.assert_array_equal(doubled, kernel * 2)
        np.testing.assert_array_equal(raised, bias + 1)
        np.testing.assert_array_equal(kernel, doubled / 2)  # it was a copy

    def test_of_a_model_are_layer_by_layer(self) -> None:
        model = Sequential([layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Flatten(),
                            layers.Dense(3)]).build((1, 5, 5))  # fmt: skip
        by_layer = [array for layer in model.layers for array in layer.get_weights()]
        assert [array.shape for array in model.get_weights()] == [
            (2, 1, 3, 3), (2,), (2,), (2,), (2,), (2,), (18, 3), (3,),
        ]  # fmt: skip
        for a, b in zip(model.get_weights(), by_layer, strict=True):
            np.testing.assert_array_equal(a, b)
        other = Sequential([layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Flatten(),
                            layers.Dense(3)]).build((1, 5, 5), seed=9)  # fmt: skip
        other.set_weights(model.get_weights())
        x = np.random.default_rng(0).random((2, 1, 5, 5))
        np.testing.assert_array_equal(other.predict(x), model.predict(x))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda w: w[:-1], "missing: dense2.bias"),
            (lambda w: [*w, w[0]], "unexpected: array 4"),
            (lambda w: [w[0].T, *w[1:]], "dense1.weight is (8, 4) instead of (4, 8)"),
            (lambda w: [], "4 missing"),
        ],
    )
    def test_that_do_not_fit(self, change: Any, words: str, small: Make) -> None:
        model = small().build((4,))
        before = model.get_weights()
        with pytest.raises(WeightsMismatchError) as caught:
            model.set_weights(change(model.get_weights()))
        assert words in str(caught.value)
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))

    def test_a_layer_that_is_not_trained(self, rows: Any, small: Make) -> None:
        model = small()
        model.layers[0].trainable = False
        model.build((4,))
        before = model.get_weights()
        model.fit(*rows, verbose=0)
        same = [(a == b).all() for a, b in zip(before, model.get_weights(), strict=True)]
        assert same == [True, True, False, False]
        assert (model.layers[0].trainable, model.layers[1].trainable) == (False, True)
        model.layers[0].trainable = True
        model.fit(*rows, verbose=0)
        assert (model.get_weights()[0] != before[0]).any()
        with pytest.raises(UsageError, match="trainable is 'no'"):
            model.layers[0].trainable = "no"  # type: ignore[assignment]


class TestTheModel:
    def test_shapes_may_begin_with_none(self) -> None:
        for shapes, options in (
            (((None, 4),), {}), (([None, 4],), {}), (((4,),), {}), ((), {"input_shape": (None, 4)}),
        ):  # fmt: skip
            model = Sequential([layers.Dense(3)]).build(*shapes, **options)
            assert model.built_for == ((4,),)
            assert model.output_shape == (None, 3)

    def test_a_call_has_a_mode(self, rows: Any) -> None:
        x, _ = rows
        model = Sequential([layers.Dense(8), layers.Dropout(0.5)]).build((4,))
        trained, evaluated = model(x, training=True), model(x, training=False)
        assert (trained.numpy() == 0).any()
        np.testing.assert_array_equal(evaluated.numpy(), model.predict(x))
        assert model.training
        model.eval()
        assert (model(x, training=True).numpy() == 0).any()
        np.testing.assert_array_equal(model(x).numpy(), evaluated.numpy())

    def test_verbs_before_compile(self, rows: Any) -> None:
        model = Sequential([layers.Dense(3)])
        for verb in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
            with pytest.raises(UsageError, match="before compile"):
                verb(*rows)
        with pytest.raises(UsageError, match="before compile"):
            model.optimizer  # noqa: B018
        assert model.predict(rows[0]).shape == (60, 3)

    def test_words_that_fit_does_not_have(self, rows: Any, small: Make) -> None:
        for option in ("workers", "validation_freq", "samples_per_epoch", "sample_weights"):
            with pytest.raises(UsageError, match=f"there is no {option}"):
                small().fit(*rows, **{option: 2})

    def test_callbacks_are_of_fit_alone(self, rows: Any, small: Make) -> None:
        for verb, given in ((small().evaluate, rows), (small().predict, rows[:1])):
            with pytest.raises(UsageError, match="no callbacks: they are called in fit alone"):
                verb(*given, callbacks=[])

    @pytest.mark.parametrize("size", [0, -1, 1.5, "8"])
    def test_batch_sizes_that_make_no_sense(self, size: Any, rows: Any, small: Make) -> None:
        model = small()
        for verb in (
            lambda: model.fit(*rows, batch_size=size, verbose=0),
            lambda: model.evaluate(*rows, batch_size=size),
            lambda: model.predict(rows[0], batch_size=size),
        ):
            with pytest.raises(UsageError, match=r"batch.size is"):
                verb()

    def test_no_final_activation_is_switched(self, rows: Any, small: Make) -> None:
        """Whatever runs, the layers are what they were."""
        model = small()

        class Look(Callback):
            def on_step_end(self, trainer: Trainer) -> None:
                activations.append(model[-1].activation)  # type: ignore[attr-defined]
                sums.append(model(rows[0], training=False).numpy().sum(axis=1))

        activations: list[str] = []
        sums: list[Any] = []
        model.fit(*rows, verbose=0, callbacks=Look())
        assert set(activations) == {"softmax"}
        np.testing.assert_allclose(sums, 1, rtol=1e-5)


def test_on_every_device(backend: Any, digits: Any) -> None:
    """Weights, changing rates and single steps on the kernels too."""
    from gpucnn.keras.callbacks import LearningRateScheduler

    (x, y), _ = digits

    def trained(device: str) -> list[Any]:
        model = Sequential(
            [layers.Input((1, 28, 28)), layers.MaxPooling2D(4), layers.Flatten(),
             layers.Dropout(0.2), layers.Dense(10, "softmax")]
        )  # fmt: skip
        model.compile(
            "adam", "sparse_categorical_crossentropy", ["accuracy"], device=device, seed=0
        )
        rate = LearningRateScheduler(lambda epoch, lr: lr / (1 + epoch))
        options = {"class_weight": {3: 2.0}, "validation_split": 0.25, "callbacks": rate}
        history = model.fit(x[:64], y[:64], epochs=2, verbose=0, **options).history
        step = model.train_on_batch(x[:16], y[:16], sample_weight=np.linspace(0, 1, 16))
        return [*history["loss"], *history["val_loss"], *step, *model.get_weights()]

    for found, expected in zip(trained(backend.name), trained("cpu"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_weights_of_a_data_set_reach_the_trainer(rows: Any) -> None:
    """`gpucnn.training.fit` takes them as well."""
    from gpucnn import training
    from gpucnn.data import Dataset, Splits
    from gpucnn.nn import Dense
    from gpucnn.nn import Sequential as Plain

    x, c = rows
    config = training.TrainConfig(model="softmax", device="cpu", epochs=1, batch_size=60)
    dataset = Dataset("rows", x, c, 3)
    weights = np.linspace(0, 2, 60).astype(np.float32)
    found = training.fit(Plain([Dense(3)]), Splits(replace(dataset, weights=weights)), config)
    plain = Plain([Dense(3)]).build((4,))
    losses = functions.softmax_cross_entropy(plain(x), c.astype(np.int32), reduction="none").numpy()
    assert found.records[0]["loss"] == pytest.approx((weights * losses).mean(), rel=1e-5)


@pytest.mark.parametrize("shuffle", ["batch", 1, None])
def test_shuffle_is_yes_or_no(shuffle: Any, rows: Any, small: Make) -> None:
    with pytest.raises(UsageError, match="shuffle is"):
        small().fit(*rows, shuffle=shuffle)


def test_no_images(small: Make) -> None:
    with pytest.raises(UsageError, match="no images to train on"):
        small().fit(np.zeros((0, 4)), np.zeros(0, int))
    assert np.isnan(small().evaluate(np.zeros((0, 4)), np.zeros(0, int)).loss)


def test_several_metrics_have_a_number_each(rows: Any, small: Make) -> None:
    x, c = rows
    model = small(metrics=["acc", "sparse_categorical_accuracy"])
    loss, a, b = model.evaluate(x, c)
    assert model.evaluate(x, c, return_dict=True) == {
        "loss": loss, "acc": a, "sparse_categorical_accuracy": b,
    }  # fmt: skip
    assert a == b == (model.predict(x).argmax(axis=1) == c).mean()
    assert len(model.test_on_batch(x, c)) == len(model.train_on_batch(x, c)) == 3


class TestNothingToTrain:
    def test_layers_that_are_all_frozen(self, rows: Any, small: Make) -> None:
        model = small().build((4,))
        model.trainable = False
        for verb in (model.fit, model.train_on_batch):
            with pytest.raises(UsageError, match="nothing to train") as caught:
                verb(*rows)
            assert "trainable = True" in str(caught.value.fix)
        assert model.evaluate(*rows).loss > 0

    @pytest.mark.parametrize("last", [False, True])
    def test_a_forward_that_leaves_the_graph(self, last: bool, rows: Any) -> None:
        class Leaves(nn.Module):
            def forward(self, x: Any) -> Any:
                return x.numpy() if last else Tensor(2 * x.numpy())

        model = Sequential([layers.Dense(3), Leaves()])
        model.compile("sgd", "mse", device="cpu")
        for verb in (model.fit, model.train_on_batch):
            with pytest.raises(UsageError) as caught:
                verb(rows[0], np.zeros((60, 3)))
            assert "without .numpy()" in str(caught.value.fix)


@pytest.mark.parametrize("device", ["tpu", "gpu", "GPU:0"])
def test_a_device_that_is_not_there(device: str, small: Make) -> None:
    with pytest.raises(UsageError, match="unknown device"):
        small(device=device)
