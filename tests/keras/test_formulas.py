"""Keras's losses and metrics, held against its formulas in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpucnn import Tensor
from gpucnn.errors import UsageError
from gpucnn.keras import Sequential, layers, losses, metrics
from gpucnn.keras.losses import LOSSES

Make = Callable[..., Sequential]
Array = NDArray[np.float64]


def clipped(a: Array) -> Array:
    return np.clip(a, 1e-7, 1)


def unit(a: Array) -> Array:
    return a / np.sqrt(np.maximum((a**2).sum(-1, keepdims=True), 1e-12))


def huber(y: Array, p: Array, delta: float = 1.0) -> Array:
    e = np.abs(y - p)
    return np.where(e <= delta, 0.5 * e**2, delta * e - 0.5 * delta**2).mean(-1)


#: What Keras computes for each example, by the names that `compile` takes.
FORMULAS: dict[str, Callable[[Array, Array], Array]] = {
    "mean_absolute_error": lambda y, p: np.abs(y - p).mean(-1),
    "mae": lambda y, p: np.abs(y - p).mean(-1),
    "mean_squared_error": lambda y, p: ((y - p) ** 2).mean(-1),
    "huber": huber,
    "log_cosh": lambda y, p: np.log(np.cosh(y - p)).mean(-1),
    "kl_divergence": lambda y, p: (clipped(y) * np.log(clipped(y) / clipped(p))).sum(-1),
    "poisson": lambda y, p: (p - y * np.log(p + 1e-7)).mean(-1),
    "cosine_similarity": lambda y, p: -(unit(y) * unit(p)).sum(-1),
}
OF_PROBABILITIES = ("kl_divergence", "poisson")


def arrays(name: str, outputs: int) -> tuple[Any, Any]:
    """(targets, outputs), float32 (7, outputs)."""
    rng = np.random.default_rng(3)
    y, p = (3 * rng.standard_normal((2, 7, outputs))).astype(np.float32)
    if name in OF_PROBABILITIES:
        y, p = (np.exp(a / 3) / np.exp(a / 3).sum(-1, keepdims=True) for a in (y, p))
        if outputs == 1:
            y, p = 0.3 * y, rng.uniform(0.1, 0.9, (7, 1)).astype(np.float32)
    return y, p


class TestLosses:
    @pytest.mark.parametrize("outputs", [1, 5])
    @pytest.mark.parametrize("name", FORMULAS)
    def test_values_and_gradients(self, name: str, outputs: int) -> None:
        y, p = arrays(name, outputs)
        function, formula = LOSSES[name].function.function, FORMULAS[name]
        output = Tensor(p, requires_grad=True)
        found = function(output, y)
        each = found.numpy().reshape(7, -1).mean(axis=1)
        np.testing.assert_allclose(each, formula(*map(np.float64, (y, p))), rtol=2e-5, atol=1e-6)
        found.mean().backward()
        expected, step = np.zeros(p.shape), 1e-6
        for index in np.ndindex(*p.shape):
            ends = []
            for sign in (1, -1):
                moved = p.astype(np.float64)
                moved[index] += sign * step
                ends.append(formula(y.astype(np.float64), moved).mean())
            expected[index] = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(output.grad, expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("delta", [0.2, 5.0])
    def test_huber_takes_its_delta(self, delta: float, rows: Any, small: Make) -> None:
        x, c = rows
        model = small(3, None, loss=losses.Huber(delta))
        y = np.eye(3)[c]
        expected = huber(y, model.predict(x).astype(np.float64), delta).mean()
        assert model.evaluate(x, c).loss == pytest.approx(expected, rel=1e-5)
        for wrong in (0, -1, np.nan, "1"):
            with pytest.raises(UsageError, match="delta is"):
                losses.Huber(wrong)  # type: ignore[arg-type]

    def test_large_errors_are_finite(self) -> None:
        y, p = np.zeros((2, 1), np.float32), np.array([[1e4], [-1e4]], np.float32)
        output = Tensor(p, requires_grad=True)
        found = losses.log_cosh.function.function(output, y)
        np.testing.assert_allclose(found.numpy(), 1e4 - np.log(2), rtol=1e-6)
        found.mean().backward()
        np.testing.assert_allclose(output.grad, [[0.5], [-0.5]])

    @pytest.mark.parametrize(
        ("name", "made"),
        [
            ("MeanAbsoluteError", losses.MeanAbsoluteError), ("Huber", losses.Huber),
            ("LogCosh", losses.LogCosh), ("KLDivergence", losses.KLDivergence),
            ("Poisson", losses.Poisson), ("CosineSimilarity", losses.CosineSimilarity),
        ],
    )  # fmt: skip
    def test_train_by_name_and_by_object(
        self, name: str, made: Any, rows: Any, small: Make, tmp_path: Any
    ) -> None:
        """And a file keeps them."""
        from gpucnn.keras import load_model

        word = {"KLDivergence": "kl_divergence", "LogCosh": "log_cosh"}.get(
            name, "".join(f"_{a.lower()}" if a.isupper() else a for a in name).lstrip("_")
        )
        one, other = small(loss=made()), small(loss=word)
        histories = [m.fit(*rows, epochs=5, verbose=0).history["loss"] for m in (one, other)]
        assert histories[0] == histories[1]
        assert histories[0][-1] < histories[0][0]
        one.save(tmp_path / "m.safetensors")
        loaded = load_model(tmp_path / "m.safetensors", device="cpu")
        assert loaded.evaluate(*rows) == one.evaluate(*rows)
        assert loaded.loss == word

    def test_a_file_keeps_delta(self, rows: Any, small: Make, tmp_path: Any) -> None:
        from gpucnn.keras import load_model

        model = small(loss=losses.Huber(0.05), metrics=metrics.Recall(0.4, class_id=2))
        expected = model.evaluate(*rows)
        model.save(tmp_path / "m.safetensors")
        assert load_model(tmp_path / "m.safetensors", device="cpu").evaluate(*rows) == expected

    def test_of_probabilities(self, rows: Any, small: Make) -> None:
        for final in ("softmax", "sigmoid"):
            small(3, final, loss="kl_divergence").evaluate(*rows)
        for final, words in ((None, "no activation"), ("relu", "relu"), ("linear", "linear")):
            with pytest.raises(UsageError, match=f"kl_divergence takes .* {words}"):
                small(3, final, loss="kl_divergence")
        for last in (layers.Dropout(0.0), layers.Flatten()):
            model = Sequential([layers.Dense(3, "softmax"), last])
            model.compile("sgd", "kl_divergence", device="cpu")
            model.evaluate(*rows)

    def test_have_no_class_weight(self, rows: Any, small: Make) -> None:
        for name in FORMULAS:
            model = small(loss=name)
            if name == "kl_divergence":
                model.fit(*rows, class_weight={0: 2.0}, verbose=0)
                continue
            with pytest.raises(UsageError, match="class_weight without classes"):
                model.fit(*rows, class_weight={0: 2.0}, verbose=0)

    def test_compute_nothing_by_themselves(self) -> None:
        for name, loss in LOSSES.items():
            with pytest.raises(UsageError, match="computes nothing by itself"):
                loss(np.zeros(1), np.zeros(1))
            assert loss.name == name or name in ("mse", "mae")


def quotient(a: Any, b: Any) -> float:
    return float(a / b) if b else 0.0


def f1(y: Array, p: Array, average: str, threshold: float | None = None) -> float:
    """From the counts of each class, or of all."""
    if threshold is None:
        answer = (p >= p.max(1, keepdims=True)).astype(np.float64)  # in a tie all of them
    else:
        answer = (p > threshold).astype(np.float64)
    tp, fp, fn = (answer * y).sum(0), (answer * (1 - y)).sum(0), ((1 - answer) * y).sum(0)
    if average == "micro":
        tp, fp, fn = (np.array([a.sum()]) for a in (tp, fp, fn))
    scores = np.array([quotient(2 * a, 2 * a + b + c) for a, b, c in zip(tp, fp, fn, strict=True)])
    if average == "weighted":
        return float((scores * y.sum(0)).sum() / y.sum())
    return float(scores.mean())


def area(y: Array, p: Array) -> float:
    """By the 200 thresholds of Keras, one by one."""
    truth, score = y.ravel() > 0, p.ravel().astype(np.float32)
    points = []
    for t in [-1e-7, *(np.arange(1, 199) / 199), 1 + 1e-7]:
        answer = score > np.float32(t)
        points.append(
            (quotient((answer & ~truth).sum(), (~truth).sum()),
             quotient((answer & truth).sum(), truth.sum()))
        )  # fmt: skip
    return sum((a[0] - b[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))


def top(y: Array, p: Array, k: int) -> float:
    """As TensorFlow's in_top_k: in a tie with the k-th, all of them are in."""
    limit = np.sort(p, axis=1)[:, ::-1][:, min(k, p.shape[1]) - 1]
    return float((p[np.arange(len(p)), y.argmax(1)] >= limit).mean())


def counted(y: Array, p: Array, threshold: float, class_id: int | None = None) -> Any:
    """(TP, FP, FN)."""
    if class_id is not None:
        y, p = y[:, class_id], p[:, class_id]
    answer, truth = p > threshold, y > 0
    return (answer & truth).sum(), (answer & ~truth).sum(), (~answer & truth).sum()


def precision(y: Array, p: Array, *options: Any) -> float:
    tp, fp, _ = counted(y, p, *options)
    return quotient(tp, tp + fp)


def recall(y: Array, p: Array, *options: Any) -> float:
    tp, _, fn = counted(y, p, *options)
    return quotient(tp, tp + fn)


#: A metric -> Keras's formula of all examples.
METRICS: list[tuple[Any, Callable[[Array, Array], float]]] = [
    ("precision", lambda y, p: precision(y, p, 0.5)),
    (metrics.Precision(0.35), lambda y, p: precision(y, p, 0.35)),
    (metrics.Precision(thresholds=0.3, class_id=1), lambda y, p: precision(y, p, 0.3, 1)),
    (metrics.Precision(0.999), lambda y, p: 0.0),
    ("Recall", lambda y, p: recall(y, p, 0.5)),
    (metrics.Recall(0.2, 0), lambda y, p: recall(y, p, 0.2, 0)),
    (metrics.F1Score("macro"), lambda y, p: f1(y, p, "macro")),
    (metrics.F1Score("micro"), lambda y, p: f1(y, p, "micro")),
    (metrics.F1Score(average="weighted", threshold=0.3), lambda y, p: f1(y, p, "weighted", 0.3)),
    (metrics.F1Score("macro", threshold=0.4), lambda y, p: f1(y, p, "macro", 0.4)),
    ("AUC", area),
    (metrics.TopKCategoricalAccuracy(2), lambda y, p: top(y, p, 2)),
    (metrics.SparseTopKCategoricalAccuracy(k=1), lambda y, p: top(y, p, 1)),
    ("TopKCategoricalAccuracy", lambda y, p: 1.0),
    ("mse", lambda y, p: float(((y - p) ** 2).mean())),
    (metrics.MeanAbsoluteError(), lambda y, p: float(np.abs(y - p).mean())),
]


class TestMetrics:
    @pytest.mark.parametrize("case", range(len(METRICS)))
    def test_are_accumulated_over_all_examples(self, case: int, rows: Any, small: Make) -> None:
        """Batches of 25, 25 and 10."""
        metric, formula = METRICS[case]
        x, c = rows
        model = small(metrics=[metric], learning_rate=1e-30)
        for array in model.build((4,)).parameters():
            array.data *= 6  # so that some outputs are near 0 and 1
        p, y = model.predict(x).astype(np.float64), np.eye(3)[c]
        expected = pytest.approx(formula(y, p), rel=2e-6)
        for labels in (c, y):
            _, found = model.evaluate(x, labels, batch_size=25)
            assert found == expected
        history = model.fit(x, c, batch_size=25, validation_data=(x[:7], c[:7]), verbose=0).history
        name = metric if isinstance(metric, str) else metric.name
        assert history[name] == [expected]
        held = formula(y[:7], p[:7])
        assert history[f"val_{name}"] == [pytest.approx(held, rel=2e-6)]

    @pytest.mark.parametrize(
        ("metric", "formula"),
        [
            ("precision", lambda y, p: precision(y, p, 0.5)),
            ("recall", lambda y, p: recall(y, p, 0.5)),
            (metrics.F1Score("macro", 0.5), lambda y, p: f1(y, p, "macro", 0.5)),
            ("auc", area),
        ],
    )
    @pytest.mark.parametrize("units", [1, 3])
    def test_take_the_probabilities_of_logits(
        self, metric: Any, formula: Any, units: int, rows: Any, small: Make
    ) -> None:
        x, c = rows
        y = (c > 0)[:, None].astype(np.float64) if units == 1 else np.eye(3)[c]
        found = []
        for final in ("sigmoid", None):
            model = small(units, final, loss="binary_crossentropy", metrics=[metric])
            found.append(model.evaluate(x, y)[1])
        logits = model.predict(x).astype(np.float64)
        assert found == [pytest.approx(formula(y, 1 / (1 + np.exp(-logits))), rel=1e-6)] * 2

    def test_several_classes_of_one_image(self, rows: Any, small: Make) -> None:
        """They have no accuracy, and the other metrics all the same."""
        x, c = rows
        y = np.maximum(np.eye(3)[c], np.eye(3)[1])
        model = small(3, "sigmoid", loss="binary_crossentropy", metrics=["recall"])
        expected = recall(y, model.predict(x).astype(np.float64), 0.5)
        assert model.evaluate(x, y)[1] == pytest.approx(expected)

    def test_numbers_as_targets(self, rows: Any, small: Make) -> None:
        x, c = rows
        model = small(1, None, loss="mae", metrics=["mse", metrics.MeanAbsoluteError(name="far")])
        p = model.predict(x)[:, 0].astype(np.float64)
        found = model.evaluate(x, 3.5 * c)
        np.testing.assert_allclose(
            found, [np.abs(3.5 * c - p).mean(), ((3.5 * c - p) ** 2).mean(), found[0]], rtol=1e-5
        )

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: metrics.F1Score(), 'F1Score(average="macro")'),
            (lambda: metrics.get("f1_score"), 'F1Score(average="macro")'),
            (lambda: metrics.F1Score("mean"), "average 'mean'"),
            (lambda: metrics.Precision([0.2, 0.5]), "thresholds is [0.2, 0.5]"),  # type: ignore
            (lambda: metrics.Recall(1.5), "thresholds is 1.5"),
            (lambda: metrics.Recall(class_id=-1), "class_id is -1"),
            (lambda: metrics.Precision(top_k=3), "compared with the threshold"),  # type: ignore
            (lambda: metrics.AUC(curve="PR"), "it is ROC"),  # type: ignore[call-arg]
            (lambda: metrics.AUC(num_thresholds=10), "they are 200"),  # type: ignore[call-arg]
            (lambda: metrics.TopKCategoricalAccuracy(0), "k is 0"),
            (lambda: metrics.get(metrics.AUC), "call it: AUC()"),
        ],
    )
    def test_arguments_that_are_not_there(self, make: Any, words: str) -> None:
        with pytest.raises(UsageError) as caught:
            make()
        assert words in str(caught.value)

    @pytest.mark.parametrize(
        ("units", "metric", "words"),
        [
            (3, metrics.Recall(class_id=3), "class_id 3, and the model 3 outputs"),
            (1, metrics.F1Score("macro"), "threshold=0.5"),
            (1, "top_k_categorical_accuracy", 'metrics=["accuracy"]'),
        ],
    )
    def test_that_do_not_fit_the_outputs(
        self, units: int, metric: Any, words: str, rows: Any, small: Make
    ) -> None:
        model = small(units, None, loss="mse", metrics=[metric])
        with pytest.raises(UsageError) as caught:
            model.fit(rows[0], np.zeros((60, units)), verbose=0)
        assert words in str(caught.value)

    def test_an_area_of_numbers_that_are_no_probabilities(self, rows: Any, small: Make) -> None:
        model = small(3, None, loss="mse", metrics=["auc"])
        model.build((4,)).layers[-1].bias.data += 3
        with pytest.raises(UsageError, match="AUC takes probabilities"):
            model.evaluate(*rows)
