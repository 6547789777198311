"""A training step that is replayed as a graph gives the bits of eager steps, whatever changes.

Each training is done twice, without graphs and with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from fakecuda import run
from selection import slow_except

from gpucnn import Tensor, nn
from gpucnn.nn.activations import ACTIVATIONS
from gpucnn.training import Callback, Trainer, replay

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

from fakecuda.trainings import EPOCHS, STEPS, At, Trained, assert_same, digits, mixed, plain, train

OPTIONS: dict[str, dict[str, Any]] = {
    "adam": {},
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    "rmsprop": {"optimizer": "rmsprop", "schedule": "constant"},
    "adamw, warm-up": {"optimizer": "adamw", "warmup_steps": 4},
    "augmentation": {"shift": 2, "rotate": 10.0},
    "photographs": {"augment": "flip,crop,color"},
    "frozen layers": {"freeze": "features"},
    "overfitting": {"overfit_batches": 2},
    "few batches": {"limit_batches": 2},
    "early stopping": {"patience": 2, "learning_rate": 0.3, "epochs": 8},
    "binary cross-entropy": {"loss": "binary_cross_entropy"},
    "mean squared error": {"loss": "mean_squared_error", "standardise": True},
    "clipped gradients": {"clip_norm": 0.5},
}


@pytest.mark.parametrize("make", slow_except([plain, mixed], mixed))
@pytest.mark.parametrize(
    "name", slow_except(list(OPTIONS), "sgd", "photographs", "clipped gradients")
)
def test_options(make: Callable[[], nn.Sequential], name: str) -> None:
    eager, replayed = (train(graph, make(), **OPTIONS[name]) for graph in (False, None))
    assert_same(eager, replayed, least=4)
    assert replayed.launches < eager.launches


class Root(nn.Module):
    """x, with a gradient that is not finite where an example is all 0."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * (x * x).sum(axis=1, keepdims=True).sqrt()


def test_a_graph_skips_steps() -> None:
    """Those whose batch has a black image, in each epoch another one."""
    splits = digits()
    images = splits.train.images.copy()
    images[5] = 0
    splits = replace(splits, train=replace(splits.train, images=images))
    found = [
        train(
            graph,
            nn.Sequential([nn.Flatten(), nn.Dense(12, use_bias=False), Root(), nn.Dense(10)]),
            splits=splits,
            clip_norm=1.0,
        )
        for graph in (False, True)
    ]
    assert_same(*found, least=4)
    assert [record["skipped_steps"] for record in found[1].records] == [1] * EPOCHS


def test_all_but_two_steps_of_each_size_are_replayed() -> None:
    found = train(None, mixed())
    assert found.replays == EPOCHS * STEPS - 2 * replay.EAGER


def test_weights_of_the_images_and_float_images() -> None:
    splits = digits()
    images = splits.train.images.astype(np.float32) / 255
    weights = np.linspace(0, 2, len(images), dtype=np.float32)
    train_part = replace(splits.train, images=images, weights=weights)
    weighted = replace(splits, train=train_part, validation=None)
    assert_same(*(train(graph, mixed(), splits=weighted) for graph in (False, None)), least=4)


@pytest.mark.slow
def test_every_kind_of_layer_can_be_captured() -> None:
    """None copies from the host or waits for the device."""

    def layers() -> nn.Sequential:
        images = [
            nn.AvgPool2d(4), nn.Conv2d(4, 3, padding="same", groups=1), nn.BatchNorm2d(),
            nn.MaxPool2d(3, 2, padding=1), nn.Dropout(0.2), nn.AvgPool2d(2, count_include_pad=True),
            nn.Residual(nn.Conv2d(4, 1)), nn.GlobalAvgPool2d(), nn.Flatten(), nn.LayerNorm(),
        ]  # fmt: skip
        activations = [
            layer for name in ACTIVATIONS for layer in (nn.Dense(6), nn.Activation(name))
        ]
        return nn.Sequential([*images, *activations, nn.Dense(10)])

    assert_same(*(train(graph, layers()) for graph in (False, None)), least=4)


# ---- what a callback changes -------------------------------------------------------------------


def copied(trainer: Trainer, array: Any) -> Any:
    """Another array with other values."""
    return trainer.backend.asarray(trainer.backend.to_numpy(array) * 2 + 1)


def layer(trainer: Trainer, kind: type[nn.Module]) -> Any:
    return next(m for m in trainer.model.modules() if isinstance(m, kind))


def replaced(owner: Any, name: str, trainer: Trainer) -> None:
    setattr(owner, name, copied(trainer, getattr(owner, name)))


def with_other_slot(trainer: Trainer) -> None:
    slots = trainer.optimizer.state["m"]
    path = next(iter(slots))
    slots[path] = copied(trainer, slots[path])


def with_other_scale(trainer: Trainer) -> None:
    trainer.loader.scale *= 2


def with_other_images(trainer: Trainer) -> None:
    images = trainer.backend.to_numpy(trainer.loader._images)
    trainer.loader._images = trainer.backend.asarray(255 - images)


# What a graph would not notice by itself. Without the comparison the result is another.
CHANGES: dict[str, Callable[[Trainer], Any]] = {
    "a layer is frozen": lambda t: layer(t, nn.Conv2d).freeze(),
    "all but the last layer are frozen": lambda t: [m.freeze() for m in list(t.model)[:-1]],
    "a parameter is frozen": lambda t: setattr(layer(t, nn.Dense).bias, "requires_grad", False),
    "a parameter has another array": lambda t: replaced(layer(t, nn.Dense).weight, "data", t),
    "dropout has another rate": lambda t: setattr(layer(t, nn.Dropout), "rate", 0.6),
    "dropout has another counter": lambda t: replaced(layer(t, nn.Dropout), "step", t),
    "batch norm has another momentum": lambda t: setattr(layer(t, nn.BatchNorm2d), "momentum", 0.5),
    "an activation is taken away": lambda t: setattr(layer(t, nn.ReLU), "activation", "tanh"),
    "the optimizer has another beta": lambda t: setattr(t.optimizer, "beta1", 0.5),
    "the optimizer decays weights": lambda t: setattr(t.optimizer, "weight_decay", 0.1),
    "the optimizer has other slots": with_other_slot,
    "the optimizer has another counter": lambda t: replaced(t.optimizer, "step_count", t),
    "the images have another scale": with_other_scale,
    "the images are others": with_other_images,
    "the loss is another": lambda t: setattr(t._replays.step, "loss", "binary_cross_entropy"),
}
QUICK = ("a layer is frozen", "the optimizer has other slots")
# What is written into the arrays of the graph, which it reads.
WRITES: dict[str, Callable[[Trainer], Any]] = {
    "learning rate": lambda t: t.set_learning_rate(0.03),
    "weights": lambda t: t.model.load_state_dict(
        {path: array * 0.5 for path, array in t.model.state_dict().items()}
    ),
    "counters": lambda t: t.model.set_step(77),
    "gradients are forgotten": lambda t: t.optimizer.zero_grad(),
    "an evaluation": lambda t: t.evaluate(t.validation),
    "a look at another batch": lambda t: t.loader.batch(3, 1),
    "training mode": lambda t: t.model.train(),
}


@cache  # two tests compare with it
def eager(name: str) -> Trained:
    return train(False, mixed(), At({**CHANGES, **WRITES}[name]))


@pytest.mark.parametrize("name", slow_except([*CHANGES, *WRITES], *QUICK, "learning rate"))
def test_a_change_in_between(name: str) -> None:
    replayed = train(None, mixed(), At({**CHANGES, **WRITES}[name]))
    assert_same(eager(name), replayed, least=4)
    if name in WRITES and name != "training mode":
        assert replayed.replays == EPOCHS * STEPS - 2 * replay.EAGER


@pytest.mark.parametrize("name", slow_except(list(CHANGES), *QUICK))
def test_without_the_comparison_the_result_is_another(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(replay._Watch, "is_unchanged", lambda self: True)
    assert train(None, mixed(), At(CHANGES[name])).weights != eager(name).weights


def test_a_layer_that_was_put_in_is_compared_too() -> None:
    def put_in(trainer: Trainer) -> None:
        added = nn.BatchNorm2d(momentum=0.0)
        added.build((3, 5, 5), device=trainer.backend.name)
        layer(trainer, nn.Residual).shortcut = added

    def change(trainer: Trainer) -> None:
        layer(trainer, nn.Residual).shortcut.eps = 10.0

    found = [
        train(graph, mixed(), At(put_in, 7), At(change, 19), splits=digits(8), epochs=24)
        for graph in (False, None)
    ]
    assert_same(*found, least=12)


def test_another_algorithm_is_captured_anew() -> None:
    """Its bits may be the same, so launches are counted."""
    import fake_driver

    def force(trainer: Trainer) -> None:
        trainer.backend.launcher.algorithm = "naive"

    class Restore(Callback):
        def on_train_begin(self, trainer: Trainer) -> None:
            self.launcher = trainer.backend.launcher

        def close(self) -> None:
            self.launcher.algorithm = None

    before = fake_driver.counters()
    found = train(None, mixed(), At(force), Restore())
    assert (fake_driver.counters() - before)["launch conv2d_forward_naive"]
    assert 4 <= found.replays < EPOCHS * STEPS - 2 * replay.EAGER
