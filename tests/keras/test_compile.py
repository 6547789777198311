"""What `compile` takes, and what the optimizers, losses and metrics of these names are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import functions, keras, optim
from gpucnn.errors import DivergedError, UsageError
from gpucnn.keras import Sequential, layers, losses, metrics, optimizers, to_categorical

Make = Callable[..., Sequential]


def history(model: Sequential, x: Any, y: Any, **options: Any) -> Any:
    return model.fit(x, y, epochs=2, verbose=0, **options).history


class TestOptimizers:
    @pytest.mark.parametrize(
        ("name", "make"),
        [
            ("sgd", optimizers.SGD), ("SGD", optimizers.SGD), ("Adam", optimizers.Adam),
            ("adamw", optimizers.AdamW), ("AdamW", optimizers.AdamW),
            ("RMSprop", optimizers.RMSprop), ("rmsprop", optimizers.RMSprop),
        ],
    )  # fmt: skip
    def test_a_name_in_any_case_is_the_object_with_its_defaults(
        self, name: str, make: Any, rows: Any, small: Make
    ) -> None:
        assert history(small(optimizer=name), *rows) == history(small(optimizer=make()), *rows)

    @pytest.mark.parametrize(
        ("given", "kind", "options"),
        [
            (optimizers.SGD(0.1, momentum=0.9, nesterov=True), optim.SGD,
             {"momentum": 0.9, "nesterov": True}),
            (optimizers.SGD(weight_decay=0.01), optim.SGD, {"weight_decay": 0.01}),
            (optimizers.RMSprop(rho=0.8, epsilon=1e-5), optim.RMSprop, {"rho": 0.8, "eps": 1e-5}),
            (optimizers.Adam(beta_1=0.8, beta_2=0.99, epsilon=1e-7), optim.Adam,
             {"beta1": 0.8, "beta2": 0.99, "eps": 1e-7}),
            (optimizers.Adam(weight_decay=0.1), optim.AdamW, {"weight_decay": 0.1}),
            (optimizers.AdamW(weight_decay=0.1), optim.AdamW, {"weight_decay": 0.1}),
        ],
    )  # fmt: skip
    def test_arguments_reach_the_optimizer(
        self, given: optimizers.Optimizer, kind: type, options: Any, small: Make
    ) -> None:
        made = given.make(small().build((4,)))
        assert type(made) is kind
        for name, value in options.items():
            assert getattr(made, name) == value, name

    def test_a_training_uses_them(self, rows: Any, small: Make) -> None:
        """One full batch by hand."""
        x, c = rows
        model = small(optimizer=optimizers.SGD(0.5, momentum=0.9)).build((4,))
        other = small().build((4,))
        made = optim.SGD(other, learning_rate=0.5, momentum=0.9)
        for _ in range(2):
            made.zero_grad()
            logits = other(x, logits=True)
            functions.softmax_cross_entropy(logits, c.astype(np.int32)).backward()
            made.step()
        model.fit(x, c, batch_size=60, shuffle=False, epochs=2, verbose=0)
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_the_learning_rate(self, rows: Any, small: Make) -> None:
        x, c = rows
        expected = history(small(optimizer="sgd", learning_rate=0.3), x, c)
        assert history(small(optimizer=optimizers.SGD(learning_rate=0.3)), x, c) == expected
        model = small(optimizer=optimizers.SGD())
        model.optimizer.learning_rate = np.float32(0.3)
        assert history(model, x, c)["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        model.optimizer.lr = 0.25
        assert model.optimizer.learning_rate == model.optimizer.lr == 0.25
        for wrong in (-1, np.nan, "0.1", None, True):
            with pytest.raises(UsageError, match="learning_rate is"):
                model.optimizer.learning_rate = wrong

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: optimizers.SGD(lr=0.1, decay=1e-6), "callbacks.LearningRateScheduler"),
            (lambda: optimizers.SGD(clipnorm=1.0), "training loop of your own"),
            (lambda: optimizers.SGD(clipnorm=1.0), "global_clipnorm=1.0 scales"),
            (lambda: optimizers.Adam(clipvalue=1.0), "global_clipnorm=1.0 scales"),
            (lambda: optimizers.Adam(global_clipnorm=0), "global_clipnorm is 0"),
            (lambda: optimizers.AdamW(global_clipnorm=np.nan), "global_clipnorm is nan"),
            (lambda: optimizers.RMSprop(global_clipnorm="1"), "global_clipnorm is '1'"),
            (lambda: optimizers.SGD(global_clipnorm=True), "global_clipnorm is True"),
            (lambda: optimizers.Adam(amsgrad=True), "it is Adam without it"),
            (lambda: optimizers.SGD(momentum=0.9, weight_decay=0.1), "use AdamW"),
            (lambda: optimizers.RMSprop(weight_decay=0.1), "use AdamW"),
            (lambda: optimizers.RMSprop(momentum=0.9), "leave them out"),
            (lambda: optimizers.SGD(learning_rate=-1), "learning_rate is -1"),
            (lambda: optimizers.SGD(momentum=2.0), "momentum is 2.0"),
            (lambda: optimizers.Adam(beta_1=1.0), "beta1 is 1.0"),
            (lambda: optimizers.get("adadelta"), "choose one of sgd, rmsprop, adam, adamw"),
            (lambda: optimizers.get(optimizers.Adam), "call it: Adam()"),
            (lambda: optimizers.get(optimizers.Adam(), 0.1), "given twice"),
            (lambda: optimizers.get(3), "unknown optimizer 3"),
        ],
    )
    def test_what_is_not_acceptable(self, make: Any, words: str) -> None:
        with pytest.raises(UsageError) as caught:
            make()
        assert words in str(caught.value)

    @pytest.mark.parametrize("kind", ["SGD", "RMSprop", "Adam", "AdamW"])
    def test_gradients_are_clipped_together(self, rows: Any, small: Make, kind: str) -> None:
        """By fit and train_on_batch as by a loop of one's own, and after a file."""
        x, c = rows
        made = getattr(optimizers, kind)(global_clipnorm=0.25)
        assert "global_clipnorm=0.25" in repr(made)
        model, stepped, other = (small(optimizer=made).build((4,)) for _ in range(3))
        loop = getattr(optim, kind)(other, learning_rate=made.learning_rate)
        for _ in range(2):
            loop.zero_grad()
            logits = other(x, logits=True)
            functions.softmax_cross_entropy(logits, c.astype(np.int32)).backward()
            assert float(optim.clip_grad_norm(other, 0.25)) > 0.25
            loop.step()
            stepped.train_on_batch(x, c)
        model.fit(x, c, batch_size=60, shuffle=False, epochs=2, verbose=0)
        for a, b, d in zip(*(m.get_weights() for m in (model, stepped, other)), strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, d)

    def test_weight_decay_of_adam_keeps_the_clipping(self) -> None:
        made = optimizers.Adam(weight_decay=0.1, global_clipnorm=2)
        assert (made.name, made.global_clipnorm) == ("adamw", 2.0)

    def test_a_file_keeps_the_clipping(self, small: Make, tmp_path: Path) -> None:
        model = small(optimizer=optimizers.SGD(0.5, global_clipnorm=3.0)).build((4,))
        model.save(tmp_path / "m.safetensors")
        loaded = keras.models.load_model(tmp_path / "m.safetensors")
        assert loaded.optimizer.global_clipnorm == 3.0

    def test_a_divergence_names_the_clipping(self, rows: Any, small: Make) -> None:
        x, c = rows
        for norm in (None, 1e30):
            made = optimizers.SGD(1e38, global_clipnorm=norm)
            with pytest.raises(DivergedError) as caught:
                small(optimizer=made).fit(1e6 * x, c, epochs=9, verbose=0)
            assert ("global_clipnorm=1.0" in str(caught.value.fix)) == (norm is None)

    def test_an_optimizer_of_parameters(self, small: Make) -> None:
        made = optim.Adam(small().build((4,)))
        with pytest.raises(UsageError) as caught:
            small(optimizer=made)
        assert "gpucnn.keras.optimizers.Adam(...)" in str(caught.value.fix)


class TestLosses:
    @pytest.mark.parametrize(
        "loss",
        [
            "Sparse_Categorical_Crossentropy", losses.sparse_categorical_crossentropy,
            losses.SparseCategoricalCrossentropy(), losses.CategoricalCrossentropy(),
            keras.losses.SparseCategoricalCrossentropy(from_logits=False),
        ],
    )  # fmt: skip
    def test_names_and_objects(self, loss: Any, rows: Any, small: Make) -> None:
        assert history(small(loss=loss), *rows) == history(small(), *rows)

    def test_from_logits(self, rows: Any, small: Make) -> None:
        expected = history(small(), *rows)
        logits = losses.SparseCategoricalCrossentropy(from_logits=True)
        assert history(small(3, None, loss=logits), *rows) == expected
        assert history(small(3, "linear", loss=logits), *rows) == expected
        yes = (rows[1] > 0).astype(int)
        for activation, loss in (
            ("sigmoid", "binary_crossentropy"),
            (None, losses.BinaryCrossentropy(from_logits=True)),
        ):
            found = history(small(1, activation, loss=loss), rows[0], yes)
            assert found == history(small(1, None, loss="binary_crossentropy"), rows[0], yes)

    @pytest.mark.parametrize(
        ("units", "loss"),
        [
            (3, losses.CategoricalCrossentropy()),
            (3, losses.SparseCategoricalCrossentropy()),
            (1, losses.BinaryCrossentropy()),
        ],
    )
    @pytest.mark.parametrize("activation", [None, "linear", "taken over"])
    def test_an_object_is_as_its_name(
        self, units: int, loss: Any, activation: str | None, rows: Any, small: Make
    ) -> None:
        final = loss.takes_over if activation == "taken over" else activation
        labels = rows[1] if units == 3 else rows[1] > 0
        found = [history(small(units, final, loss=of), rows[0], labels) for of in (loss, loss.name)]
        assert found[0] == found[1]

    def test_mean_squared_error(self, rows: Any, small: Make) -> None:
        x, c = rows
        found = [
            history(small(1, None, loss=loss), x, c)
            for loss in ("mse", "MSE", "mean_squared_error", losses.MeanSquaredError(), losses.mse)
        ]
        assert found == found[:1] * 5

    @pytest.mark.parametrize(
        ("final", "loss", "words"),
        [
            ("softmax", losses.SparseCategoricalCrossentropy(True), "or from_logits"),
            ("sigmoid", losses.BinaryCrossentropy(from_logits=True), "or from_logits"),
            (None, losses.CategoricalCrossentropy(from_logits=False), "or from_logits=True"),
            ("linear", losses.BinaryCrossentropy(False), "or from_logits=True"),
            ("sigmoid", losses.CategoricalCrossentropy(), 'activation="softmax"'),
            ("tanh", losses.BinaryCrossentropy(from_logits=True), 'activation="sigmoid"'),
        ],
    )
    def test_a_last_layer_that_the_loss_does_not_go_with(
        self, final: str | None, loss: Any, words: str, rows: Any, small: Make
    ) -> None:
        with pytest.raises(UsageError) as caught:
            small(3, final, loss=loss)
        assert words in str(caught.value)
        late = Sequential()
        late.compile("sgd", "mse")
        late.compiled = late.compiled.__class__(  # type: ignore[union-attr]
            **{**late.compiled.__dict__, "loss": loss}
        )
        late.add(layers.Dense(3, final))
        for verb in (late.fit, late.evaluate, late.train_on_batch):
            with pytest.raises(UsageError) as caught:
                verb(*rows)
            assert words in str(caught.value)

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: losses.get("msre"), "did you mean mse?"),
            (
                lambda: losses.get(functions.mean_squared_error),
                "mean_squared_error(y_pred, y_true)",
            ),
            (lambda: losses.get(losses.CategoricalCrossentropy), "CategoricalCrossentropy()"),
            (lambda: losses.CategoricalCrossentropy(label_smoothing=0.1), "smoothed targets"),
            (lambda: losses.get(None), "unknown loss None"),
            (lambda: losses.mse([1.0], [2.0]), "gpucnn.functions.mean_squared_error"),
        ],
    )
    def test_what_is_not_acceptable(self, make: Any, words: str) -> None:
        with pytest.raises(UsageError) as caught:
            make()
        assert words in str(caught.value)


class TestMetrics:
    @pytest.mark.parametrize(
        ("given", "names"),
        [
            ("accuracy", ["accuracy"]),
            (["accuracy"], ["accuracy"]),
            (("acc",), ["acc"]),
            ("sparse_categorical_accuracy", ["sparse_categorical_accuracy"]),
            (["categorical_accuracy"], ["categorical_accuracy"]),
            (metrics.SparseCategoricalAccuracy(), ["sparse_categorical_accuracy"]),
            ([metrics.SparseCategoricalAccuracy(name="right")], ["right"]),
            (["accuracy", metrics.CategoricalAccuracy("again")], ["accuracy", "again"]),
            (None, []),
            ([], []),
        ],
    )
    def test_the_history_uses_the_name_that_was_given(
        self, given: Any, names: list[str], rows: Any, small: Make
    ) -> None:
        model = small(metrics=given)
        found = model.fit(*rows, verbose=0, validation_split=0.2).history
        assert list(found) == ["loss", *names, "val_loss", *(f"val_{name}" for name in names)]
        expected = small().fit(*rows, verbose=0, validation_split=0.2).history
        for name in names:
            assert found[name] == expected["accuracy"]
            assert found[f"val_{name}"] == expected["val_accuracy"]

    def test_an_accuracy_is_found_by_its_other_names(self, rows: Any, small: Make) -> None:
        found = small().fit(*rows, verbose=0, validation_split=0.2).history
        assert found["acc"] == found["accuracy"]
        assert found["val_acc"] == found["val_accuracy"]
        found = small(metrics=["acc"]).fit(*rows, verbose=0).history
        assert found["accuracy"] == found["acc"]
        for missing in ("val_accuracy", "val_loss", "lr"):
            with pytest.raises(KeyError):
                found[missing]

    def test_binary_accuracy(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small(1, "sigmoid", loss="binary_crossentropy", metrics=metrics.BinaryAccuracy())
        model.fit(x, c > 0, epochs=3, verbose=0)
        share = ((model.predict(x)[:, 0] > 0.5) == (c > 0)).mean()
        assert model.evaluate(x, c > 0).accuracy == pytest.approx(share)

    @pytest.mark.parametrize("name", ["accuracy", "acc", "binary_accuracy"])
    @pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
    def test_one_output_says_yes_above_a_half(
        self, name: str, loss: str, rows: Any, small: Make
    ) -> None:
        x, c = rows
        model = small(1, "sigmoid", loss=loss, metrics=[name]).build((4,))
        weights = model.get_weights()
        model.set_weights([*weights[:-1], weights[-1] + 0.1])
        share = ((model.predict(x)[:, 0] > 0.5) == (c > 0)).mean()
        assert 0 < share < 1
        assert model.evaluate(x, c > 0).accuracy == pytest.approx(share)
        assert model.test_on_batch(x, c > 0)[1] == pytest.approx(share)
        assert model.train_on_batch(x, c > 0)[1] == pytest.approx(share)
        held = model.fit(x, c > 0, validation_data=(x, c > 0), verbose=0).history
        share = ((model.predict(x)[:, 0] > 0.5) == (c > 0)).mean()
        assert held[f"val_{name}"][0] == pytest.approx(share)

    def test_what_keras_has_beside(self) -> None:
        with pytest.raises(UsageError) as caught:
            metrics.BinaryAccuracy(threshold=0.3)  # type: ignore[call-arg]
        assert "it is 0.5" in str(caught.value)

    def test_an_accuracy_of_other_outputs(self, rows: Any, small: Make) -> None:
        for units, metric in ((3, "binary_accuracy"), (1, "categorical_accuracy")):
            model = small(units, None, loss="mse", metrics=[metric])
            with pytest.raises(UsageError, match=f"{metric} of a model") as caught:
                model.fit(rows[0], np.zeros((60, units)), verbose=0)
            # The accuracy is refused as well where an image belongs to several classes.
            assert ("several classes" in str(caught.value.fix)) == (units == 3)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("hinge", "unknown metric 'hinge'"),
            (["accuracy", "mcc"], "unknown metric 'mcc'"),
            (3, "unknown metric 3"),
            (metrics.BinaryAccuracy, "call it: BinaryAccuracy()"),
            (["accuracy", "accuracy"], "a name of its own"),
            ([metrics.Accuracy(name="loss")], "a name of its own"),
        ],
    )
    def test_what_is_not_acceptable(self, given: Any, words: str, small: Make) -> None:
        with pytest.raises(UsageError) as caught:
            small(metrics=given)
        assert words in str(caught.value)


def test_words_that_compile_does_not_have(small: Make) -> None:
    for option, words in (
        ("lr", "learning_rate"), ("run_eagerly", "leave it out"), ("loss_weights", "one output"),
        ("metric", "did you mean metrics"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            small(**{option: 1})
        assert words in str(caught.value)


def test_compiling_again_starts_anew(rows: Any, small: Make) -> None:
    x, c = rows
    model = small(loss="categorical_crossentropy")
    model.fit(x, to_categorical(c), verbose=0)
    before = model.evaluate(x, c).loss
    model.compile("adam", "sparse_categorical_crossentropy", device="cpu")
    assert model.evaluate(x, c) == before
    assert list(model.fit(x, c, verbose=0).history) == ["loss"]
