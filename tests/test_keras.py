"""Keras's verbs."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import data
from gpucnn.errors import DataError, DivergedError, ShapeError, UsageError
from gpucnn.keras import Score, Sequential, to_categorical
from gpucnn.nn import Activation, Conv2d, Dense, Dropout, Flatten, MaxPool2d, Softmax
from gpucnn.nn import Sequential as _Sequential

DIGITS = data.load("digits")
X, Y = DIGITS.train.images[:256].astype(np.float32) / 255, DIGITS.train.labels[:256]
X_TEST, Y_TEST = DIGITS.test.images / 255, DIGITS.test.labels


def small(*final: object) -> Sequential:
    body = [MaxPool2d(2), Flatten(), Dense(32, activation="relu"), Dropout(0.1)]
    return Sequential([*body, *(final or (Dense(10, activation="softmax"),))])


def compiled(*final: object, **options: object) -> Sequential:
    model = small(*final)
    options = {"optimizer": "adam", "metrics": ["accuracy"], "seed": 0, **options}
    model.compile(**options)  # type: ignore[arg-type]
    return model


def test_it_learns_and_reports(capsys: pytest.CaptureFixture[str]) -> None:
    model = compiled(learning_rate=1e-2)
    result = model.fit(
        X, to_categorical(Y), batch_size=32, epochs=8, validation_data=(X_TEST, Y_TEST)
    )
    assert list(result.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert result.epoch == list(range(8))
    assert result.history["loss"][-1] < result.history["loss"][0] / 2
    score = model.evaluate(X_TEST, Y_TEST, verbose=0)
    assert score.accuracy == pytest.approx(result.history["val_accuracy"][-1])
    assert score.loss == pytest.approx(result.history["val_loss"][-1])
    assert score.accuracy > 0.8
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("Epoch 1/8 - ")
    assert "val_accuracy: " in lines[-1]


def test_predict_gives_the_probabilities_that_evaluate_scores() -> None:
    model = compiled()
    model.fit(X, Y, epochs=1, verbose=0)
    p = model.predict(X_TEST, batch_size=100)
    assert p.shape == (360, 10)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    want = Score(-np.log(p[np.arange(360), Y_TEST]).mean(), (p.argmax(axis=1) == Y_TEST).mean())
    np.testing.assert_allclose(model.evaluate(X_TEST, Y_TEST), want, rtol=1e-5)
    assert model.predict(X_TEST[:0]).shape == (0, 10)


@pytest.mark.parametrize("final", [[Dense(10), Softmax()], [Dense(10), Activation("softmax")]])
def test_a_softmax_is_folded_wherever_it_stands(final: list[object]) -> None:
    histories = []
    for model in (compiled(), compiled(*final), compiled(_Sequential(final))):
        histories.append(model.fit(X, Y, epochs=2, verbose=0).history)
        np.testing.assert_allclose(model.predict(X[:5]).sum(axis=1), 1, rtol=1e-5)
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        ("categorical_crossentropy", "sigmoid"),
        ("sparse_categorical_crossentropy", "relu"),
        ("categorical_crossentropy", "tanh"),
        ("binary_crossentropy", "softmax"),
    ],
)
def test_a_final_activation_that_the_loss_does_not_go_with(loss: str, activation: str) -> None:
    wanted = "sigmoid" if loss == "binary_crossentropy" else "softmax"
    for final in (
        [Dense(10, activation=activation)],
        [Dense(10), Activation(activation)],
        [_Sequential([Dense(10, activation=activation)])],
    ):
        with pytest.raises(UsageError, match=f"ends in {activation}") as caught:
            compiled(*final, loss=loss)
        assert f'activation="{wanted}"' in str(caught.value.fix)
    late = Sequential([Flatten()])
    late.compile(loss=loss)
    late.add(Dense(10, activation=activation))
    with pytest.raises(UsageError, match=f"ends in {activation}"):
        late.fit(X, Y, verbose=0)


def test_final_activations_that_are_accepted() -> None:
    for loss in ("categorical_crossentropy", "binary_crossentropy"):
        compiled(Dense(10), loss=loss)
        compiled(Dense(10, activation="linear"), loss=loss)
    compiled(Dense(10, activation="sigmoid"), loss="mse")


def test_predict_leaves_the_modes_as_they_are() -> None:
    model = small().build((1, 28, 28))
    model[0].eval()
    model.predict(X[:2])
    assert [name for name, m in model.modules().items() if not m.training] == ["pool1"]


def test_the_folded_loss_is_stable() -> None:
    model = compiled(optimizer="sgd", learning_rate=1e-9)
    model.build((1, 28, 28))
    layer = model[-1]
    layer.weight.data[...] *= 1e4  # type: ignore[attr-defined]
    loss = model.fit(X, Y, epochs=1, verbose=0).history["loss"][0]
    assert np.isfinite(loss)
    assert loss > 100  # log(0) would have made it infinite, and a clipped log at most 16


def test_regression_and_binary_targets() -> None:
    x = np.linspace(-1, 1, 64)[:, None]
    line = Sequential([Dense(1)])
    line.compile(optimizer="sgd", loss="mse", learning_rate=0.3)
    history = line.fit(x, 3 * x - 1, batch_size=8, epochs=40, verbose=0).history
    assert list(history) == ["loss"]
    assert history["loss"][-1] < 1e-3
    np.testing.assert_allclose(line.predict([[0.5]]), [[0.5]], atol=0.05)

    gate = Sequential([Dense(1, activation="sigmoid")])
    gate.compile(optimizer="adam", loss="binary_crossentropy", metrics=["acc"], learning_rate=0.1)
    history = gate.fit(x, (x > 0).astype(int), batch_size=8, epochs=20, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    assert gate.predict([[1.0], [-1.0]]).ravel() == pytest.approx([1, 0], abs=0.1)


def test_bad_calls_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="categorical_crossentropy"):
        small().compile(loss="crossentropy")
    with pytest.raises(UsageError, match="accuracy"):
        small().compile(metrics=["mcc"])
    with pytest.raises(UsageError, match="adam"):
        small().compile(optimizer="adan")
    with pytest.raises(DataError, match="256 images but 10 labels"):
        compiled().fit(X, Y[:10])
    with pytest.raises(DataError, match="one example a row"):
        compiled().fit(np.zeros(3), np.zeros(3, int))
    convolutional = Sequential([Conv2d(4, 3), Flatten(), Dense(10)])
    convolutional.compile()
    with pytest.raises(ShapeError, match="conv1"):
        convolutional.fit(X[:, 0], Y)
    with pytest.raises(DivergedError, match="step"):
        compiled(learning_rate=1e30).fit(X, Y, epochs=3, verbose=0)
