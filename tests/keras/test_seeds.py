"""Which seed the weights of a model are drawn with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import keras
from gpucnn.errors import UsageError
from gpucnn.keras import layers, utils

X, Y = np.ones((4, 5)), np.zeros((4, 2))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process in which no model was made."""
    monkeypatch.setattr(utils, "_seed", 0)
    monkeypatch.setattr(utils, "_models", itertools.count())
    state = np.random.get_state()
    yield
    np.random.set_state(state)


def make(**options: Any) -> keras.Sequential:
    model = keras.Sequential([keras.Input((5,)), layers.Dense(2)])
    if options:
        model.compile("sgd", "mse", device="cpu", **options)
    return model


def kernel(model: keras.Sequential) -> list[float]:
    """The weights, which this draws at the latest."""
    return list(model.get_weights()[0].ravel())


def drawn(seed: int) -> list[float]:
    return kernel(make().build((5,), seed=seed))


BUILDERS: dict[str, Callable[[keras.Sequential], Any]] = {
    "summary": lambda model: model.summary(print_fn=lambda text: None),
    "build": lambda model: model.build((None, 5)),
    "get_weights": lambda model: model.get_weights(),
    "call": lambda model: model(X.astype(np.float32)),
    "predict": lambda model: model.predict(X),
    "output_shape": lambda model: model.output_shape,
}


@pytest.mark.parametrize("how", BUILDERS)
class TestWhateverBuilds:
    def test_takes_the_seed_of_the_process(self, how: str) -> None:
        for seed in (1, 2):
            utils.set_random_seed(seed)
            model = make()
            BUILDERS[how](model)
            model.compile("sgd", "mse", device="cpu")
            assert kernel(model) == drawn(seed)

    def test_takes_the_seed_of_compile(self, how: str) -> None:
        utils.set_random_seed(1)
        model = make(seed=7)
        BUILDERS[how](model)
        assert kernel(model) == drawn(7)

    def test_leaves_none_for_compile(self, how: str) -> None:
        model = make()
        BUILDERS[how](model)
        with pytest.raises(UsageError, match="comes too late") as caught:
            model.compile("sgd", "mse", seed=3)
        assert "set_random_seed(3)" in str(caught.value.fix)
        assert model.compiled is None
        model.compile("sgd", "mse", seed=0)  # it is drawn with this one
        model.compile("sgd", "mse")


def test_models_differ_and_the_first_has_the_seed_itself() -> None:
    assert kernel(make(metrics=None)) == drawn(0)
    others = [kernel(make(metrics=None)) for _ in range(3)] + [kernel(make())]
    assert len({tuple(weights) for weights in [drawn(0), *others]}) == 5
    utils.set_random_seed(0)
    again = [kernel(make(metrics=None)) for _ in range(4)]
    assert again == [drawn(0), *others[:3]]
    utils.set_random_seed(5)
    assert [kernel(make()), kernel(make())] not in ([drawn(5), others[0]], [drawn(5), drawn(5)])


def test_a_seed_of_its_own_counts_no_model() -> None:
    assert kernel(make(seed=4)) == kernel(make(seed=4)) == drawn(4)
    assert kernel(make()) == drawn(0)


def test_a_model_in_a_model_counts_as_none() -> None:
    inner = keras.Sequential([layers.Dense(3)])
    outer = keras.Sequential([keras.Input((5,)), inner, layers.Dense(2)])
    outer.build()
    utils.set_random_seed(0)
    assert kernel(outer) == kernel(
        keras.Sequential([keras.Input((5,)), keras.Sequential([layers.Dense(3)]), layers.Dense(2)])
    )


def test_order_and_dropout_follow_the_seed() -> None:
    """An ensemble: models of one script are trained apart from each other."""
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 5)), rng.random((40, 2))

    def trained(**options: Any) -> list[float]:
        model = keras.Sequential([layers.Dropout(0.5), layers.Dense(2, "linear")])
        model.compile("sgd", "mse", device="cpu", **options)
        model.build((5,)).set_weights([np.ones((5, 2)), np.zeros(2)])
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        return kernel(model)

    assert trained() == trained(seed=0) != trained()
    assert trained(seed=9) == trained(seed=9)


def test_compiling_again_keeps_the_seed() -> None:
    model = make(seed=6)
    model.compile("adam", "mse", device="cpu")
    assert kernel(model) == drawn(6)
    model.compile("adam", "mse", seed=6)


def test_a_model_of_a_file_keeps_its_seed(tmp_path: Any) -> None:
    model = make(seed=8)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "a.safetensors")
    loaded = keras.load_model(tmp_path / "a.safetensors", device="cpu")
    assert loaded.compiled is not None
    assert loaded.compiled.seed == loaded.seed == 8
    assert loaded.fit(X, Y, verbose=0) == model.fit(X, Y, verbose=0)
    with pytest.raises(UsageError, match="comes too late"):
        loaded.compile("sgd", "mse", seed=1)
    assert kernel(make()) == drawn(0)  # a model that is loaded counts as none


def test_a_seed_of_numpy(tmp_path: Path) -> None:
    model = make(seed=np.int64(7))
    assert kernel(model) == drawn(7)
    built = make().build((5,), seed=np.uint8(7))
    built.compile("sgd", "mse", device="cpu")
    for one in (model, built):
        one.fit(X, Y, epochs=np.int64(2), batch_size=np.int32(2), verbose=0)
        one.save(tmp_path / "m.safetensors")
        assert keras.models.load_model(tmp_path / "m.safetensors").seed == 7
    assert kernel(model) == kernel(built) != drawn(7)
