"""Verbs at the same time: in threads, and called by a callback. Each gives what it gives alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn import nn
from gpucnn.autograd import is_grad_enabled
from gpucnn.keras import Sequential, layers
from gpucnn.nn.summary import table as summary_table
from gpucnn.training import Callback, Trainer


class Slow(nn.Module):
    """Lets every other thread have its turn while it is under way."""

    def forward(self, x: Any) -> Any:
        threading.Event().wait(0.002)
        return x


def network(**options: Any) -> Sequential:
    """Dropout, batch norm and a final activation: all that has modes. It is slow in between."""
    model = Sequential(
        [
            layers.Conv2D(4, 3),
            Slow(),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            Slow(),
            layers.Dense(10, "softmax"),
        ]
    )
    told = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "device": "cpu"}
    model.compile("adam", **{**told, "seed": 0, **options})
    return model


def together(*functions: Callable[[], Any]) -> list[Any]:
    """What the functions give, each in a thread of its own, started at once."""
    start = threading.Barrier(len(functions), timeout=30)
    results: list[Any] = [None] * len(functions)

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = functions[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.fixture
def arrays(digits: Any) -> Any:
    (x, y), (x_test, y_test) = digits
    return x[:64], y[:64], x_test[:40], y_test[:40]


def bits(model: Sequential) -> list[bytes]:
    return [array.tobytes() for array in model.get_weights()]


def test_predictions_at_the_same_time(arrays: Any, backend: Any) -> None:
    x, y, x_test, y_test = (array[:16] for array in arrays)
    model = network(device=backend.name)
    model.fit(x, y, verbose=0)
    sizes = (16, 7, 1, 5)
    alone = [model.predict(x_test, batch_size=size) for size in sizes]
    score, table, before = model.evaluate(x_test, y_test), summary_table(model, 1), bits(model)
    for _ in range(3):
        *predicted, scored, shown = together(
            *(lambda size=size: model.predict(x_test, batch_size=size) for size in sizes),
            lambda: model.evaluate(x_test, y_test),
            lambda: summary_table(model, 1),
        )
        for found, expected in zip(predicted, alone, strict=True):
            np.testing.assert_array_equal(found, expected)
        assert (scored, shown) == (score, table)
    assert bits(model) == before
    assert model.training
    assert is_grad_enabled()


def test_predictions_of_a_model_that_is_not_built(arrays: Any) -> None:
    x_test = arrays[2]
    alone = network().predict(x_test)
    model = network()
    for found in together(*[lambda: model.predict(x_test)] * 3):
        np.testing.assert_array_equal(found, alone)


#: With weights that stand still, what another thread sees of a training is known.
STILL = {"learning_rate": 1e-38}


def test_predicting_while_another_thread_trains(arrays: Any) -> None:
    x, y, x_test, y_test = arrays
    options = {"epochs": 3, "batch_size": 16, "verbose": 0, "validation_data": (x_test, y_test)}

    def frozen() -> Sequential:
        model = network(**STILL)
        model["batchnorm1"].freeze()  # or the running statistics would move
        return model.build((1, 28, 28))

    model, other = frozen(), frozen()
    history = other.fit(x, y, **options)
    alone, score = other.predict(x_test), other.evaluate(x_test, y_test)
    table = summary_table(other, 1)

    trained, predicted, scored, tables = together(
        lambda: model.fit(x, y, **options),
        lambda: [model.predict(x_test, batch_size=11) for _ in range(6)],
        lambda: [model.evaluate(x_test, y_test) for _ in range(6)],
        lambda: [summary_table(model, 1) for _ in range(6)],
    )
    assert trained == history
    assert bits(model) == bits(other)
    assert scored == [score] * 6
    assert tables == [table] * 6
    expected = other.predict(x_test, batch_size=11)
    for found in predicted:
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(expected, alone, rtol=1e-5)


def test_a_training_is_not_changed_by_predictions(arrays: Any) -> None:
    """With weights that move: what another thread sees of them varies, the training does not."""
    x, y, x_test, y_test = arrays
    options = {"epochs": 3, "batch_size": 16, "verbose": 0, "validation_split": 0.25}
    alone = network()
    expected = alone.fit(x, y, **options)
    model = network()
    trained, predicted, _ = together(
        lambda: model.fit(x, y, **options),
        lambda: [model.predict(x_test) for _ in range(8)],
        lambda: [model.evaluate(x_test, y_test) for _ in range(8)],
    )
    assert trained == expected
    assert bits(model) == bits(alone)
    np.testing.assert_allclose(np.sum(predicted, axis=2), 1, rtol=1e-5)  # probabilities, always


def test_two_models_in_one_thread(arrays: Any) -> None:
    """Evaluating one leaves the other in training."""
    x, y, x_test, _ = arrays
    alone, model, other = network(), network(), network()
    alone.fit(x, y, epochs=2, verbose=0)
    seen: list[Any] = []

    class Ask(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            seen.append(other.predict(x_test))

    model.fit(x, y, epochs=2, verbose=0, callbacks=Ask())
    assert bits(model) == bits(alone)
    for found in seen:
        np.testing.assert_array_equal(found, seen[0])


def test_a_callback_may_ask_for_anything(arrays: Any) -> None:
    x, y, x_test, y_test = arrays
    alone, model = network(), network()
    expected = alone.fit(x, y, epochs=2, verbose=0, validation_data=(x_test, y_test))
    sums, scores = [], []

    class Ask(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            summary_table(model, 1)
            sums.append(model.predict(x_test, batch_size=9).sum(axis=1))
            model.test_on_batch(x_test, y_test)

        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            scores.append(model.evaluate(x_test, y_test).loss)

    found = model.fit(
        x, y, epochs=2, verbose=0, validation_data=(x_test, y_test), callbacks=[Ask()]
    )
    assert found == expected
    assert bits(model) == bits(alone)
    assert scores == expected.history["val_loss"]
    np.testing.assert_allclose(sums, 1, rtol=1e-5)


def test_trainings_of_two_models_at_once(arrays: Any) -> None:
    x, y, _, _ = arrays
    alone = [network(seed=seed) for seed in (1, 2)]
    for model in alone:
        model.fit(x, y, epochs=2, verbose=0)
    models = [network(seed=seed) for seed in (1, 2)]
    together(*(lambda m=m: m.fit(x, y, epochs=2, verbose=0) for m in models))
    assert list(map(bits, models)) == list(map(bits, alone))
