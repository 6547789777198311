"""Losses and metrics of the user's own: functions of (y_true, y_pred)."""

from __future__ import annotations

import copy
import csv
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import Tensor
from gpucnn import functions as F
from gpucnn.data import Dataset
from gpucnn.errors import DivergedError, UsageError
from gpucnn.inspection import checks, inspect
from gpucnn.inspection.evidence import Evidence
from gpucnn.keras import Sequential, callbacks, layers, load_model, losses, metrics
from gpucnn.training import Callback, SavedModel, TrainConfig, replay
from gpucnn.training.metrics import beats_guessing, get_loss, guessing

Make = Callable[..., Sequential]


def squares(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return ((y_true - y_pred) ** 2).mean(axis=1)


def mean_of_squares(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return ((y_true - y_pred) ** 2).mean()


def right(y_true: Tensor, y_pred: Tensor) -> Any:
    return y_true.argmax(axis=1) == y_pred.argmax(axis=1)


class Scaled:
    """An object that is called, and whose class has the name of a loss of Keras."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return squares(y_true, y_pred) * self.factor


def one_hot(c: Any) -> Any:
    return np.eye(3, dtype=np.float32)[c]


def options(loss: Any, **others: Any) -> dict[str, Any]:
    return {"loss": loss, "metrics": ["accuracy"], **others}


class TestALoss:
    @pytest.mark.parametrize(
        "loss",
        [squares, mean_of_squares, partial(squares), Scaled(1.0), lambda y, p: squares(y, p)],
    )
    def test_trains_and_evaluates_as_the_same_loss_by_name(
        self, loss: Any, rows: Any, small: Make
    ) -> None:
        """Class ids and one-hot targets are one thing for it, as they are for the loss by name."""
        x, c = rows
        one, other = small(**options(loss)), small(**options("mse"))
        for y in (c, one_hot(c)):
            histories = [
                model.fit(x, y, epochs=2, batch_size=16, verbose=0, validation_split=0.25).history
                for model in (one, other)
            ]
            for name, values in histories[0].items():
                assert values == pytest.approx(histories[1][name], rel=1e-5), name
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
        assert one.evaluate(x, c) == pytest.approx(other.evaluate(x, c), rel=1e-5)
        expected = other.train_on_batch(x, c)
        assert one.train_on_batch(x, c) == pytest.approx(expected, rel=1e-5)

    def test_gets_the_outputs_of_predict(self, rows: Any, small: Make) -> None:
        """Probabilities after a softmax, and logits without one."""
        x, c = rows
        for final in ("softmax", None):
            seen: list[Any] = []

            def loss(y_true: Tensor, y_pred: Tensor, seen: list[Any] = seen) -> Tensor:
                seen.append((y_true.numpy(), y_pred.numpy()))
                return squares(y_true, y_pred)

            model = small(3, final, **options(loss))
            model.evaluate(x, c)
            ((y_true, y_pred),) = seen
            np.testing.assert_array_equal(y_true, one_hot(c))
            np.testing.assert_array_equal(y_pred, model.predict(x))

    def test_of_one_output(self, rows: Any, small: Make) -> None:
        x, c = rows
        one, other = small(1, None, **options(squares)), small(1, None, **options("mse"))
        for y in (c > 0, (c > 0)[:, None], c + 0.5):
            found, expected = (m.fit(x, y, verbose=0).history["loss"] for m in (one, other))
            assert found == pytest.approx(expected, rel=1e-5)

    def test_of_logits(self, rows: Any, small: Make) -> None:
        """A function of gpucnn in a function of the user's."""
        x, c = rows
        one = small(3, None, **options(lambda y, p: F.softmax_cross_entropy(p, y)))
        other = small(3, None)
        found, expected = (m.fit(x, c, epochs=2, verbose=0).history["loss"] for m in (one, other))
        assert found == pytest.approx(expected, rel=1e-5)

    def test_weights_of_examples(self, rows: Any, small: Make) -> None:
        x, c = rows
        weights = np.linspace(0, 2, 60)
        one, other = small(**options(squares)), small(**options("mse"))
        found, expected = (m.evaluate(x, c, sample_weight=weights) for m in (one, other))
        assert found == pytest.approx(expected, rel=1e-5)
        one.fit(x, c, class_weight={0: 2.0}, verbose=0)
        with pytest.raises(UsageError, match="mean_of_squares gives one number") as caught:
            small(**options(mean_of_squares)).fit(x, c, sample_weight=weights, verbose=0)
        assert ".mean(axis=1)" in str(caught.value.fix)

    def test_divergence_names_it(self, rows: Any, small: Make) -> None:
        def broken(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return F.log(y_pred.sum(axis=1) - 5)

        model = small(**options(broken))
        before = [array.copy() for array in model.build((4,)).get_weights()]
        for verb in (partial(model.fit, verbose=0), model.train_on_batch):
            with pytest.raises(DivergedError, match="broken of the output is nan"):
                verb(*rows)
            for a, b in zip(before, model.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)

    def test_callbacks_of_the_library_see_it(self, rows: Any, small: Make) -> None:
        """The configuration has its name, which alone is no loss."""
        seen: list[Any] = []

        class Look(Callback):
            def on_epoch_end(self, trainer: Any, record: Any) -> None:
                seen.append((trainer.config.loss, trainer.snapshot().description["loss"]))

        for loss, name in ((squares, "own:squares"), ("huber", "own:huber"), ("mse", None)):
            small(**options(loss)).fit(*rows, verbose=0, callbacks=[Look()])
            assert seen.pop() == (name or "mean_squared_error",) * 2
        assert TrainConfig(loss="own:squares").loss == "own:squares"
        with pytest.raises(UsageError, match="squares is a function, and only its name"):
            get_loss("own:squares")
        for wrong in ("own:", "mine"):
            with pytest.raises(UsageError):
                TrainConfig(loss=wrong)

    @pytest.mark.parametrize(
        ("told", "words"),
        [
            ({"loss": squares}, "the loss squares"),
            ({"loss": partial(squares)}, "the loss squares"),
            ({"loss": Scaled(2.0)}, "the loss Scaled"),
            ({"metrics": ["mse", right]}, "the metric right"),
            ({"loss": "huber", "metrics": ["auc", "mse", "accuracy"]}, None),
        ],
    )
    def test_is_the_users_code_in_a_step(
        self, told: dict[str, Any], words: str | None, rows: Any, small: Make
    ) -> None:
        """It is then not captured as a graph, unless `compile` says so."""
        seen: list[Any] = []

        class Look(Callback):
            def on_epoch_end(self, trainer: Any, record: Any) -> None:
                seen.append((replay._of_the_user(trainer._train_step), trainer.config.graph))

        small(**told).fit(*rows, verbose=0, callbacks=[Look()])
        small(**told, graph=False).fit(*rows, verbose=0, callbacks=[Look()])
        assert seen == [(words, None), (words, False)]
        with pytest.raises(UsageError, match="the device cpu has no graphs"):
            small(**told, graph=True).fit(*rows, verbose=0)

    def test_is_measured_by_inspect(self, rows: Any, small: Make) -> None:
        x, c = rows
        dataset = Dataset("rows", x, c.astype(np.int32), 3)
        found = []
        for loss in ("mse", squares, mean_of_squares):
            health = inspect(small(**options(loss)).build((4,)), dataset)
            found.append((health.results[0].loss, [image.index for image in health.most_wrong]))
        assert [loss for loss, _ in found] == pytest.approx([found[0][0]] * 3, rel=1e-5)
        assert found[1][1] == found[0][1]
        assert len(found[2][1]) == len(found[0][1])  # one number tells not which is the worst

    def test_of_a_constant_answer_is_not_known(self, rows: Any, small: Make) -> None:
        """So no warning says how bad it is; the accuracy tells whether something was learned."""
        c = rows[1].astype(np.int32)
        records = [{"epoch": 1, "loss": 9.0, "accuracy": 0.1}]
        for told, known in (("mse", True), (squares, False), ("mae", False)):
            compiled = small(loss=told).compiled
            assert compiled is not None
            loss = compiled.loss.function
            assert np.isnan(guessing(loss, c)[0]) != known
            assert beats_guessing(loss, c, 9.0, 0.9)
            assert not beats_guessing(loss, c, 9.0, 0.1)
            found = checks.run(Evidence(loss=loss, labels=c, class_names="abc", records=records))
            assert ("learning at all" in found.made) == known
            text = str([*found.findings, *found.unchecked.values()])
            assert "nan" not in text.split()
            assert ("not known for this loss" in text) != known

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
    @pytest.mark.parametrize(
        "loss", [squares, losses.Huber(0.1), "sparse_categorical_crossentropy", "kl_divergence"]
    )
    def test_of_a_copy(self, loss: Any, copied: Any, rows: Any, small: Make) -> None:
        """Its optimizer goes on where that of the original is."""
        model = small(loss=loss, metrics=[right, "recall", metrics.Precision(0.2)])
        model.fit(*rows, verbose=0)
        model.train_on_batch(*rows)
        other = copied(model)
        assert other.evaluate(*rows) == model.evaluate(*rows)
        for _ in range(2):
            assert other.train_on_batch(*rows) == model.train_on_batch(*rows)
        assert other.compiled.config() == model.compiled.config()

    @pytest.mark.parametrize("loss", [squares, "huber"])
    def test_in_a_run(self, loss: Any, rows: Any, tmp_path: Path) -> None:
        """A run holds a loss by its name in `TrainConfig`, which tells what the outputs are."""
        images, c = np.repeat(rows[0], 16, axis=1).reshape(60, 1, 8, 8), rows[1]
        model = Sequential([layers.Flatten(), layers.Dense(3, "softmax")])
        model.compile("sgd", loss, ["accuracy", right, "recall"], device="cpu", seed=0)
        model.fit(images, c, epochs=2, verbose=0, validation_split=0.2)
        with pytest.raises(UsageError, match="is a function, which a run cannot hold") as caught:
            model.save_run(tmp_path / "mine")
        assert 'loss="softmax_cross_entropy" for logits' in str(caught.value.fix)
        assert not (tmp_path / "mine").exists()
        run = model.save_run(tmp_path / "mine", loss="mean_squared_error", scale=1.0, offset=0.0)
        saved = SavedModel.load(run.path)
        np.testing.assert_allclose(
            saved.model(Tensor(images)).numpy(), model.predict(images), rtol=1e-6
        )
        first, _ = run.records()
        assert model.history is not None
        assert first["metrics"]["recall"] == model.history.history["recall"][0]
        assert first["val_metrics"]["right"] == model.history.history["val_right"][0]

    def test_in_a_file(self, rows: Any, small: Make, tmp_path: Path) -> None:
        """A file holds the name, and the function is given when it is loaded."""
        path = tmp_path / "m.safetensors"
        model = small(**options(squares, metrics=["accuracy", right, metrics.Recall(0.3)]))
        model.fit(*rows, verbose=0)
        expected = model.evaluate(*rows, return_dict=True)
        model.save(path)
        with pytest.raises(UsageError, match="compiled with right, squares, which") as caught:
            load_model(path, device="cpu")
        assert '"squares": squares' in str(caught.value.fix)
        with pytest.raises(UsageError, match="compiled with right, which"):
            load_model(path, {"squares": squares}, device="cpu")
        with pytest.raises(UsageError, match="custom_objects is"):
            load_model(path, {"squares": 3}, device="cpu")
        given = {"squares": squares, "right": right}
        loaded = load_model(path, custom_objects=given, device="cpu")
        assert loaded.evaluate(*rows, return_dict=True) == expected
        assert loaded.loss == "squares"
        bare = load_model(path, compile=False, device="cpu")
        assert bare.compiled is None
        np.testing.assert_array_equal(bare.predict(rows[0]), model.predict(rows[0]))


WRONG: dict[str, tuple[Any, str]] = {
    "NumPy": (lambda y, p: np.float32(1.0), "returned a float32"),
    "a number": (lambda y, p: 1.0, "returned a float"),
    "nothing": (lambda y, p: None, "returned nothing"),
    "two": (lambda y, p: (p.mean(), p.mean()), "returned a tuple"),
    "all elements": (lambda y, p: (y - p) ** 2, "returned a Tensor (32, 3) for 32 examples"),
    "a column": (lambda y, p: p.mean(axis=1, keepdims=True), "returned a Tensor (32, 1)"),
    "of classes": (lambda y, p: ((y - p) ** 2).mean(axis=0), "returned a Tensor (3,)"),
}


class TestWrongResults:
    @pytest.mark.parametrize("kind", WRONG)
    def test_of_a_loss_and_of_a_metric(self, kind: str, rows: Any, small: Make) -> None:
        function, words = WRONG[kind]
        for part, told in (("loss", {"loss": function}), ("metric", {"metrics": [function]})):
            model = small(**told)
            for verb in (
                partial(model.fit, verbose=0),
                partial(model.evaluate, batch_size=32),
                lambda x, c, model=model: model.train_on_batch(x[:32], c[:32]),
            ):
                with pytest.raises(UsageError) as caught:
                    verb(*rows)
                assert caught.value.message.startswith(f"the {part} <lambda> ")
                assert words in caught.value.message
                assert caught.value.fix

    @pytest.mark.parametrize(
        "loss",
        [
            lambda y, p: ((y - p.detach()) ** 2).mean(),
            lambda y, p: Tensor(((y.numpy() - p.numpy()) ** 2).mean(axis=1)),
            lambda y, p: (y**2).mean(),
            lambda y, p: (y.argmax(axis=1) == p.argmax(axis=1)).mean(),
        ],
    )
    def test_without_a_gradient(self, loss: Any, rows: Any, small: Make) -> None:
        model = small(loss=loss)
        for verb in (partial(model.fit, verbose=0), model.train_on_batch):
            with pytest.raises(UsageError, match="has no gradient"):
                verb(*rows)

    def test_of_another_dtype(self, rows: Any, small: Make) -> None:
        model = small(loss=lambda y, p: (p > 0.5).mean())
        with pytest.raises(UsageError, match="is float64, and the outputs are float32"):
            model.evaluate(*rows)

    def test_a_frozen_model_has_its_own_error(self, rows: Any, small: Make) -> None:
        model = small(loss=squares)
        model.build((4,)).freeze()
        with pytest.raises(UsageError, match="nothing to train"):
            model.fit(*rows, verbose=0)

    @pytest.mark.parametrize(
        ("function", "words"),
        [
            (F.softmax_cross_entropy, "softmax_cross_entropy(y_pred, y_true)"),
            (partial(F.mean_squared_error, reduction="none"), "mean_squared_error(y_pred, y_true)"),
            (Scaled, "Scaled()"),
            (lambda y: y, "(y_true, y_pred)"),
            (lambda y, p, weight: y, "(y_true, y_pred)"),
            (lambda *, y_true, y_pred: y_true, "(y_true, y_pred)"),
        ],
    )
    def test_functions_that_cannot_be_called(self, function: Any, words: str, small: Make) -> None:
        for told in ({"loss": function}, {"metrics": function}):
            with pytest.raises(UsageError) as caught:
                small(**told)
            assert words in str(caught.value)

    def test_subclasses_in_the_manner_of_keras(self) -> None:
        for base in (losses.Loss, metrics.Metric):
            with pytest.raises(UsageError, match="Mine is a subclass of") as caught:
                type("Mine", (base,), {})
            assert "__call__(self, y_true, y_pred)" in str(caught.value.fix)

    def test_names_of_metrics(self, small: Make) -> None:
        def loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return y_pred.mean()

        def acc(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return y_pred.mean()

        def val_recall(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return y_pred.mean()

        for given in ([right, right], loss, [val_recall, "recall"], ["mae", "mae"]):
            with pytest.raises(UsageError, match="the metrics are") as caught:
                small(metrics=given)
            assert "name of its own" in str(caught.value.fix)
        for name in ("", 3, []):
            with pytest.raises(UsageError, match="the name of a metric is"):
                small(metrics=[metrics.Recall(name=name)])  # type: ignore[arg-type]
        for wrong in (acc, metrics.Recall(name="accuracy")):
            with pytest.raises(UsageError, match="is not the fraction of right answers"):
                small(metrics=[wrong])
        with pytest.raises(UsageError, match="unknown metric 'mean_absolute_error'"):
            small(metrics=[losses.mae])


class TestAMetric:
    def test_is_the_mean_over_the_examples(self, rows: Any, small: Make) -> None:
        """Batches of 25, 25 and 10: the mean of their means is another number."""
        x, c = rows

        def one_number(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return (y_true[:, 0] * y_pred[:, 0]).mean()

        def one_each(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return y_true[:, 0] * y_pred[:, 0]

        model = small(metrics=[one_number, right, one_each, "accuracy"])
        p = model.predict(x)
        expected = float((p[:, 0] * (c == 0)).mean())
        found = model.evaluate(x, c, batch_size=25, return_dict=True)
        assert found["one_number"] == pytest.approx(expected, rel=1e-6)
        assert found["one_each"] == pytest.approx(expected, rel=1e-6)
        assert found["right"] == found["accuracy"] == (p.argmax(axis=1) == c).mean()
        assert model.metrics_names == ["loss", "one_number", "right", "one_each", "accuracy"]
        assert model.evaluate(x, c, batch_size=25) == list(found.values())
        assert model.test_on_batch(x, c, return_dict=True) == pytest.approx(found, rel=1e-6)
        assert model.train_on_batch(x, c)[1:] == pytest.approx(list(found.values())[1:], rel=1e-6)

    def test_gets_logits_where_predict_gives_them(self, rows: Any, small: Make) -> None:
        x, c = rows
        means = {}
        for final in ("softmax", None):
            model = small(3, final, metrics=[lambda y, p: p[:, 0]])
            means[final] = model.evaluate(x, c)[1]
            assert means[final] == pytest.approx(model.predict(x)[:, 0].mean(), rel=1e-5)
        assert means["softmax"] != pytest.approx(means[None], rel=0.01)

    def test_does_not_change_the_training(self, rows: Any, small: Make) -> None:
        weights = []
        for told in ({}, {"metrics": [right, "recall", "auc"]}):
            model = small(**told)
            model.fit(*rows, epochs=2, verbose=0)
            weights.append(model.get_weights())
        for a, b in zip(*weights, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_is_in_all_places_of_a_training(
        self, rows: Any, small: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        x, c = rows
        seen: list[Any] = []
        model = small(metrics=[right, "recall"])
        model.optimizer.learning_rate = 0.0
        history = model.fit(
            x[:50], c[:50], epochs=2, batch_size=20, validation_data=(x[50:], c[50:]),
            callbacks=[
                callbacks.CSVLogger(tmp_path / "log.csv"),
                callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: seen.append(logs)),
            ],
        ).history  # fmt: skip
        assert list(history) == [
            "loss", "right", "recall", "val_loss", "val_right", "val_recall"
        ]  # fmt: skip
        p = model.predict(x).argmax(axis=1) == c
        assert history["right"] == pytest.approx([p[:50].mean()] * 2)
        assert history["val_right"] == pytest.approx([p[50:].mean()] * 2)
        assert len(seen) == 6
        assert seen[2]["right"] == pytest.approx(p[:50].mean())  # of the epoch so far
        with (tmp_path / "log.csv").open() as file:
            (first, _) = csv.DictReader(file)
        assert float(first["val_right"]) == pytest.approx(p[50:].mean())
        assert f"val_right: {p[50:].mean():.4f}" in capsys.readouterr().out

    def test_of_a_generator(self, rows: Any, small: Make) -> None:
        x, c = rows

        def batches() -> Any:
            while True:
                yield x[:40], c[:40]
                yield x[40:], c[40:]

        model = small(metrics=[right])
        found = model.evaluate(batches(), steps=2)
        assert found == pytest.approx(model.evaluate(x, c), rel=1e-5)


class TestMonitors:
    def falling(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred.mean()

    @pytest.mark.parametrize(
        ("metric", "monitor", "falls"),
        [
            ("recall", "val_recall", False), ("mae", "mae", True), ("auc", "val_auc", False),
            (metrics.Accuracy(name="share"), "share", False), ("accuracy", "val_acc", False),
            (metrics.F1Score("macro"), "f1_score", False), ("mse", "val_loss", True),
        ],
    )  # fmt: skip
    def test_know_what_is_better(
        self, metric: Any, monitor: str, falls: bool, rows: Any, small: Make
    ) -> None:
        x, c = rows
        model, callback = small(metrics=metric), callbacks.EarlyStopping(monitor)
        model.fit(x, c, verbose=0, validation_split=0.2, callbacks=[callback])
        assert callback.falls == falls

    def test_ask_for_the_mode_of_a_metric_of_ones_own(self, rows: Any, small: Make) -> None:
        for mode, falls in (("max", False), ("min", True)):
            callback = callbacks.ReduceLROnPlateau("right", mode=mode)
            small(metrics=right).fit(*rows, verbose=0, callbacks=[callback])
            assert callback.falls == falls
        with pytest.raises(UsageError, match="watches right, and its mode") as caught:
            small(metrics=right).fit(*rows, verbose=0, callbacks=callbacks.EarlyStopping("right"))
        assert 'mode="max"' in str(caught.value.fix)

    def test_a_checkpoint_of_the_best(self, rows: Any, small: Make, tmp_path: Path) -> None:
        """The best value so far stays when the mode is found."""
        path = tmp_path / "best-{epoch}-{recall:.2f}.safetensors"
        for threshold, files in ((2.0, 0), (None, 1)):
            callback = callbacks.ModelCheckpoint(
                path, "recall", save_best_only=True, initial_value_threshold=threshold
            )
            small(metrics="recall").fit(*rows, verbose=0, callbacks=[callback])
            assert len(list(tmp_path.iterdir())) == files


@pytest.mark.parametrize("loss", ["huber", squares])
def test_on_the_simulated_device(loss: Any, rows: Any) -> None:
    """The kernels of the GPU, on the CPU: the same numbers as on the CPU."""
    x, c = rows
    found = []
    for device in ("cpu", "sim"):
        model = Sequential([layers.Dense(3, "softmax")])
        model.compile(
            "sgd", loss, [right, "recall", metrics.F1Score("macro"), "auc", "mse"],
            device=device, seed=0,
        )  # fmt: skip
        model.fit(x, c, batch_size=40, epochs=1, verbose=0)
        found.append(model.evaluate(x, c, return_dict=True))
    assert found[0] == pytest.approx(found[1], rel=1e-4)
