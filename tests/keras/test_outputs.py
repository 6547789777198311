"""What a loss by name takes the outputs for: right values are Keras's formulas, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from gpucnn import functions as F
from gpucnn import nn
from gpucnn.errors import ShapeError, UsageError
from gpucnn.keras import Sequential, layers, losses

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 6)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 40)
YES = (CLASSES > 0).astype(int)


class Own(nn.Module):
    """A layer whose computation cannot be seen: softmax, sigmoid or none of a product."""

    def __init__(self, units: int, activation: str) -> None:
        super().__init__()
        self.dense, self.activation_name = nn.Dense(units), activation

    def forward(self, x: Any) -> Any:
        function = {"softmax": F.softmax, "sigmoid": F.sigmoid, "none": lambda x: x}
        return function[self.activation_name](self.dense(x))


class Scaled(nn.Dense):
    """A Dense with a forward of its own."""

    def forward(self, x: Any, activation: str | None = None) -> Any:
        return F.softmax(2 * super().forward(x, "linear"))


def compiled(parts: list[Any], loss: Any, **options: Any) -> Sequential:
    model = Sequential(parts)
    told = {"optimizer": "sgd", "metrics": ["accuracy"], "device": "cpu", "seed": 1, **options}
    model.compile(loss=loss, **told)
    return model


def categorical(p: Any, classes: Any) -> float:
    p = np.float64(p)
    p = np.clip(p / p.sum(axis=1, keepdims=True), 1e-7, 1 - 1e-7)
    return float(-np.log(p[np.arange(len(p)), classes]).mean())


def binary(p: Any, yes: Any) -> float:
    p, yes = np.clip(np.float64(p), 1e-7, 1 - 1e-7), np.reshape(yes, (-1, 1))
    return float(-(yes * np.log(p) + (1 - yes) * np.log(1 - p)).mean())


ENDS = {
    "own": lambda: [Own(3, "softmax")],
    "subclass": lambda: [Scaled(3)],
    "dropout": lambda: [layers.Dense(3, "softmax"), layers.Dropout(0.3)],
    "two layers": lambda: [layers.Dense(3), layers.Softmax(), layers.Dropout(0.3)],
    "linear": lambda: [layers.Dense(3, "softmax"), layers.Activation("linear")],
    "nested": lambda: [nn.Sequential([Own(3, "softmax")]), nn.Sequential()],
    "flatten": lambda: [Sequential([layers.Dense(3, "softmax")]), layers.Flatten()],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_softmax_that_is_not_seen(end: str) -> None:
    model = compiled(ENDS[end](), "sparse_categorical_crossentropy")
    p = model.predict(X)
    right = (p.argmax(axis=1) == CLASSES).mean()
    assert tuple(model.evaluate(X, CLASSES)) == pytest.approx(
        (categorical(p, CLASSES), right), rel=1e-5
    )
    model.compile("sgd", losses.CategoricalCrossentropy(from_logits=False), device="cpu")
    found = model.evaluate(X, np.eye(3)[CLASSES])
    assert found == pytest.approx(categorical(p, CLASSES), rel=1e-5)


@pytest.mark.parametrize(
    "end",
    [
        lambda: [Own(1, "sigmoid")],
        lambda: [layers.Dense(1, "sigmoid"), layers.Dropout(0.2)],
        lambda: [layers.Dense(1), layers.Activation("sigmoid"), layers.Flatten()],
    ],
)
def test_a_sigmoid_that_is_not_seen(end: Any) -> None:
    model = compiled(end(), "binary_crossentropy")
    p = model.predict(X)
    right = ((p[:, 0] > 0.5) == YES).mean()
    assert tuple(model.evaluate(X, YES)) == pytest.approx((binary(p, YES), right), rel=1e-5)


def test_it_trains_as_the_softmax_that_is_seen() -> None:
    seen = compiled([layers.Dense(3, "softmax")], "sparse_categorical_crossentropy")
    hidden = compiled([Own(3, "softmax")], "sparse_categorical_crossentropy")
    for model in (seen, hidden):
        model.build((6,)).set_weights([np.linspace(-1, 1, 18).reshape(6, 3), np.zeros(3)])
        model.fit(X, CLASSES, epochs=3, verbose=0)
    for a, b in zip(seen.get_weights(), hidden.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert hidden.train_on_batch(X, CLASSES) == pytest.approx(
        seen.train_on_batch(X, CLASSES), rel=1e-4
    )


def test_probabilities_of_0_and_1_are_clipped() -> None:
    model = compiled([Own(3, "softmax")], "sparse_categorical_crossentropy")
    model.build((6,)).set_weights([np.eye(6, 3) * 1000, np.zeros(3)])
    wrong = np.full(3, 2)
    found = model.evaluate(np.eye(6)[[0, 1, 0]], wrong).loss
    assert found == pytest.approx(-np.log(1e-7), rel=1e-5)


@pytest.mark.parametrize(
    "parts",
    [
        [layers.Dense(3)], [layers.Dense(3), layers.Dropout(0.2)],
        [layers.Dense(3, "linear"), layers.Flatten()], [layers.Dense(3), nn.LogSoftmax()][:1],
    ],
)  # fmt: skip
def test_a_plain_end_gives_logits(parts: list[Any]) -> None:
    model = compiled(parts, "sparse_categorical_crossentropy")
    logits = np.float64(model.predict(X))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert model.evaluate(X, CLASSES).loss == pytest.approx(categorical(p, CLASSES), rel=1e-5)


def test_logits_of_a_layer_of_ones_own() -> None:
    model = compiled([Own(3, "none")], losses.SparseCategoricalCrossentropy(from_logits=True))
    logits = np.float64(model.predict(X))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert model.evaluate(X, CLASSES).loss == pytest.approx(categorical(p, CLASSES), rel=1e-5)


@pytest.mark.parametrize(
    ("end", "loss"),
    [
        (lambda: Own(3, "none"), "sparse_categorical_crossentropy"),
        (lambda: Own(3, "sigmoid"), "categorical_crossentropy"),
        (lambda: nn.Residual(layers.Dense(6, "softmax")), "sparse_categorical_crossentropy"),
        (lambda: Own(1, "none"), "binary_crossentropy"),
    ],
)
def test_outputs_that_are_no_probabilities(end: Any, loss: str) -> None:
    model = compiled([end()], loss)
    for verb in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(UsageError, match="takes probabilities") as caught:
            verb(X, YES)
        named = "".join(word.capitalize() for word in loss.split("_"))
        assert f"losses.{named}(from_logits=True)" in str(caught.value.fix)
        assert hasattr(losses, named)


@pytest.mark.parametrize(
    ("parts", "loss", "expected"),
    [
        ([3, "softmax"], "sparse_categorical_crossentropy", 1.1009175777435303),
        ([1, "sigmoid"], "binary_crossentropy", 1.040388822555542),
        ([1, "sigmoid"], "mse", 0.36065158247947693),
    ],
)
@pytest.mark.parametrize("after", [[], [layers.Dropout(0.3)]])
def test_the_numbers_of_keras(parts: Any, loss: str, expected: float, after: Any) -> None:
    """Computed by Keras 3.15 on PyTorch."""
    units, activation = parts
    classes = np.arange(40) % 3
    model = compiled([layers.Dense(units, activation), *after], loss).build((6,))
    kernel = np.linspace(-1, 1, 6 * units).reshape(6, units)
    model.set_weights([kernel, np.zeros(units)])
    x = np.random.default_rng(0).standard_normal((40, 6))
    score = model.evaluate(x, classes if units == 3 else classes > 0)
    assert score.loss == pytest.approx(expected, rel=1e-5)
    if units == 1:
        assert score.accuracy == pytest.approx(0.525)


def test_a_dropout_that_leaves_nothing_of_an_image() -> None:
    parts = [layers.Dense(3, "softmax"), layers.Dropout(0.5)]
    model = compiled(parts, "sparse_categorical_crossentropy", metrics=None)
    found = model.fit(X, CLASSES, batch_size=2, epochs=20, verbose=0).history["loss"]
    assert np.isfinite(found).all()
    assert np.isfinite(model.get_weights()[0]).all()


def dense(**options: Any) -> nn.Module:
    return nn.Dense(3, **options)


def with_head(*layers_: nn.Module) -> nn.Sequential:
    return nn.Sequential([nn.Dropout(0.5, name="head"), *layers_])


class TestTheModelWithoutItsFinalActivation:
    STACKS: ClassVar[list[Callable[[], list[nn.Module]]]] = [
        lambda: [dense(activation="softmax")],
        lambda: [dense(), nn.Softmax()],
        lambda: [dense(), nn.Activation("sigmoid")],
        lambda: [nn.Sequential([Sequential([dense(activation="tanh")])])],
        lambda: [nn.Sequential([dense(), nn.Softmax()]), nn.Sequential()],
        lambda: [nn.Sequential([nn.Sequential([dense()]), nn.Softmax()])],
        lambda: [dense(), nn.Sequential([nn.Softmax()]), nn.Sequential([nn.Sequential()])],
        lambda: [nn.Dropout(0.1, name="head"), with_head(dense(name="dense1"), nn.Softmax())],
        lambda: [dense(), nn.ReLU()],
        lambda: [dense(), nn.LeakyReLU(0.5)],
    ]

    @pytest.mark.parametrize("make", STACKS)
    def test_gives_the_product(self, make: Callable[[], list[nn.Module]]) -> None:
        model = Sequential(make()).build((6,), seed=4).eval()
        plain = nn.Dense(3).build((6,))
        plain.set_weights(model.get_weights())
        complete, logits = model(X).numpy(), model(X, logits=True).numpy()
        np.testing.assert_array_equal(logits, plain(X).numpy())
        assert (logits != complete).any()
        seen: list[nn.Module] = []
        with model.observe(lambda module, *_: seen.append(module)):
            np.testing.assert_array_equal(model(X, logits=True).numpy(), logits)
        assert {type(module) for module in seen} >= {nn.Dense, Sequential}
        assert seen[-1] is model
        np.testing.assert_array_equal(model(X).numpy(), complete)

    def test_of_a_copy_runs_the_layers_of_the_copy(self) -> None:
        model = compiled([dense(activation="softmax")], "sparse_categorical_crossentropy")
        score = model.evaluate(X, CLASSES)
        other = copy.deepcopy(model)
        other.set_weights([np.zeros_like(array) for array in other.get_weights()])
        assert other.evaluate(X, CLASSES).loss == pytest.approx(np.log(3))
        assert model.evaluate(X, CLASSES) == score

    def test_of_other_ends_is_the_model(self) -> None:
        for layers_ in ([], [nn.Sequential()], [Own(3, "softmax")], [dense(), nn.Dropout(0.2)]):
            model = Sequential(layers_).build((6,)).eval()
            np.testing.assert_array_equal(model(X, logits=True).numpy(), model(X).numpy())

    @pytest.mark.parametrize("base", [nn.Dense, nn.Softmax])
    def test_of_an_end_with_a_forward_of_its_own(self, base: Any) -> None:
        class Mixed(base):  # type: ignore[misc]
            def forward(self, x: Any) -> Any:
                return 0.5 * super().forward(x) + 0.5 / 3

        last = [Mixed(3, "softmax")] if base is nn.Dense else [dense(), Mixed()]
        model = compiled(last, "sparse_categorical_crossentropy")
        p = model.predict(X)
        assert p.min() >= 0.5 / 3
        assert model.evaluate(X, CLASSES).loss == pytest.approx(categorical(p, CLASSES), rel=1e-5)
        np.testing.assert_array_equal(model(X, logits=True).numpy(), p)

    def test_of_a_model_with_a_forward_of_its_own(self) -> None:
        class Doubled(Sequential):
            def forward(self, x: Any, logits: bool = False) -> Any:
                return 2 * super().forward(x, logits)

        for make in (Doubled, lambda layers_: Sequential([Doubled(layers_)])):
            model = make([dense(activation="softmax")])
            model.compile("sgd", "mse", device="cpu", seed=1)
            model.fit(X, np.eye(3)[CLASSES], verbose=0)
            np.testing.assert_allclose(model.predict(X).sum(axis=1), 2, rtol=1e-5)
            model.compile("sgd", "sparse_categorical_crossentropy", device="cpu")
            with pytest.raises(UsageError, match="takes probabilities"):
                model.evaluate(X, CLASSES)

    def test_of_a_model_that_calls_its_layers_in_its_forward(self) -> None:
        class Doubled(Sequential):
            def forward(self, x: Any, **options: Any) -> Any:
                return 2 * super().forward(x, **options)

        plain, doubled = (
            kind([dense(), nn.Softmax()]).build((6,), seed=1) for kind in (Sequential, Doubled)
        )
        for logits in (False, True):
            expected = 2 * plain(X, logits=logits).numpy()
            np.testing.assert_array_equal(doubled(X, logits=logits).numpy(), expected)

    def test_takes_images_through_folded_layers(self) -> None:
        body = [nn.Conv2d(4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        model = Sequential([*body, dense(activation="softmax")]).build((1, 6, 6))
        x = RNG.standard_normal((5, 1, 6, 6)).astype(np.float32)
        logits = model(x, logits=True)
        np.testing.assert_array_equal(F.softmax(logits).numpy(), model(x).numpy())
        with pytest.raises(ShapeError, match=r"conv1 .* the kernel does not fit"):
            model(x[:, :, :2], logits=True)

    @pytest.mark.parametrize("nested", [False, True])
    def test_layers_that_are_added_after_compile(self, nested: bool) -> None:
        inner = nn.Sequential([dense()]) if nested else None
        model = compiled([inner or dense()], "sparse_categorical_crossentropy")
        (inner or model).add(nn.Softmax())
        p = model.predict(X)
        assert model.evaluate(X, CLASSES).loss == pytest.approx(categorical(p, CLASSES), rel=1e-5)
        wrong = np.float32([[0, 0, 500]] * 40)  # what a softmax makes infinitely unlikely is finite
        model.set_weights([np.zeros((6, 3)), wrong[0]])
        assert model.evaluate(X, np.zeros(40)).loss == pytest.approx(500)

    def test_an_activation_that_is_set_later(self) -> None:
        model = compiled([dense()], "sparse_categorical_crossentropy")
        model.fit(X, CLASSES, verbose=0)
        model.layers[-1].activation = "softmax"
        p = model.predict(X)
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
        assert model.evaluate(X, CLASSES).loss == pytest.approx(categorical(p, CLASSES), rel=1e-5)
