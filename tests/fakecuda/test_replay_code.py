"""Which steps are captured: code of the user's only if asked, and none that reads a value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fakecuda import run
from selection import slow_except

from gpucnn import Tensor, keras, nn, no_grad, optim
from gpucnn import functions as F
from gpucnn.errors import DivergedError, GraphError, UsageError
from gpucnn.training import Callback, Run, Trainer, fit, step

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

from fakecuda.trainings import At, assert_same, config, digits, mixed, plain, train


class Notes(Callback):
    """Keeps the notes of a training."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, trainer: Trainer, note: str) -> None:
        self.notes.append(note)


class Own(nn.Module):
    """A layer of the user's, with numbers and arrays of the host in it."""

    def forward(self, x: Tensor) -> Tensor:
        offset = x.backend.asarray(np.arange(10, dtype=np.float32))
        offset -= 4.5  # a change in place, of an array that is new in each step
        return x * 2.0 + Tensor(offset) * 0.1 + np.float32(0.5)


class Reads(nn.Module):
    """A layer that reads a value back in training."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1.0 if not self.training or x.numpy().max() < 1e9 else 0.0)


def with_own(layer: type[nn.Module] = Own) -> nn.Sequential:
    return nn.Sequential([nn.Flatten(), nn.Dense(10), layer()])


class MyAdam(optim.Adam):
    """The same, and yet not of the library."""


class OwnOptimizer(Trainer):
    def _make_optimizer(self, config: Any) -> optim.Optimizer:
        return MyAdam(self.model, 0.01)


def own_instance_forward() -> nn.Sequential:
    model = plain()
    model[1].forward = lambda x, activation=None: F.relu(x @ model[1].weight)
    return model


class TestCodeOfTheUsers:
    @pytest.mark.parametrize("make", [with_own, own_instance_forward])
    def test_is_not_captured_by_itself(self, make: Callable[[], nn.Sequential]) -> None:
        notes = Notes()
        assert train(None, make(), notes).replays == 0
        (note,) = notes.notes
        assert "is your own code; --graph captures it" in note

    def test_an_optimizer(self) -> None:
        trainer = OwnOptimizer(plain(), digits(), config())
        for _ in range(4):
            trainer.train_step()
        assert "the optimizer MyAdam" in trainer.notes[0]

    def test_is_captured_if_asked(self) -> None:
        notes = Notes()
        eager, replayed = (train(graph, with_own(), notes) for graph in (False, True))
        assert_same(eager, replayed, least=4)
        assert not notes.notes

    def test_that_reads_a_value_is_named(self) -> None:
        with pytest.raises(
            UsageError, match="cannot be captured as a graph: an array of"
        ) as caught:
            train(True, with_own(Reads))
        line = 1 + inspect.getsourcelines(Reads.forward)[1]
        assert f"line {line} of {__file__}" in caught.value.message
        assert "graph=False" in str(caught.value.fix)

    def test_an_error_of_a_step_stays_what_it_is(self) -> None:
        def freeze(trainer: Trainer) -> None:
            trainer.model.freeze()

        for graph in (False, None, True):
            with pytest.raises(GraphError, match="requires no gradient"):
                train(graph, plain(), At(freeze, 2))


class TestFailures:
    def test_a_capture_that_fails_is_noted_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No code of the library waits for the device in a step; here it does."""
        losses = step.compute_losses

        def read(*given: Any) -> Tensor:
            found = losses(*given)
            found.numpy()
            return found

        eager, notes = train(False, plain()), Notes()
        monkeypatch.setattr(step, "compute_losses", read)
        replayed = train(None, plain(), notes)
        assert replayed._replace(launches=0) == eager._replace(launches=0)
        (note,) = notes.notes
        assert "not captured as a graph: an array of (8,) is read" in note

    @pytest.mark.parametrize("graph", slow_except([None, True], None))
    def test_no_memory_for_a_graph(
        self, cupy: Any, monkeypatch: pytest.MonkeyPatch, graph: bool | None
    ) -> None:
        eager, notes, pool = train(False, mixed()), Notes(), cupy.cuda.MemoryPool

        def small() -> Any:
            made = pool()
            made.set_limit(size=4096)
            return made

        monkeypatch.setattr(cupy.cuda, "MemoryPool", small)
        replayed = train(graph, mixed(), notes)
        assert replayed._replace(launches=0) == eager._replace(launches=0)
        (note,) = notes.notes
        assert "has no room" in note

    def test_a_loss_that_is_not_finite(self) -> None:
        """The step that failed is found, and the weights are those before it."""
        found = []
        for graph in (False, None):
            model = plain()
            wild = {"learning_rate": 1e-3, "optimizer": "sgd", "log_interval": 50}

            def ruin(trainer: Trainer) -> None:
                trainer.set_learning_rate(1e38)

            with pytest.raises(DivergedError) as caught:
                train(graph, model, At(ruin), **wild)
            weights = {path: array.tobytes() for path, array in model.state_dict().items()}
            found.append((caught.value.message, caught.value.cause, weights))
        assert found[0] == found[1]


class TestSteps:
    """What Python does in a step beside its launches."""

    def trained(self, graph: bool | None, steps: int = 4) -> Trainer:
        trainer = Trainer(plain(), digits(8), config(graph=graph, epochs=9))
        for _ in range(steps):
            trainer.train_step()
        return trainer

    def test_gradients_are_those_of_the_step(self) -> None:
        eager, replayed = self.trained(False), self.trained(None)
        assert replayed._replays._graphs
        for _ in range(2):
            for trainer in (eager, replayed):
                trainer.optimizer.zero_grad()
                trainer.train_step()
            gradients = [
                [trainer.backend.to_numpy(p.grad) for p in trainer.model.parameters()]
                for trainer in (eager, replayed)
            ]
            assert any(g.any() for g in gradients[0])
            for a, b in zip(*gradients, strict=True):
                np.testing.assert_array_equal(a, b)

    def test_a_replay_is_a_change_of_the_parameters(self) -> None:
        trainer = self.trained(None)
        x = Tensor(trainer.backend.asarray(np.ones((1, 1, 28, 28), np.float32)))
        loss = trainer.model(x).sum()
        trainer.train_step()
        with pytest.raises(GraphError, match="in place"):
            loss.backward()

    def test_memory_of_a_graph_is_nobody_elses(self, cupy: Any) -> None:
        """An array made between the replays does not lie where the graph works."""
        eager, replayed = self.trained(False), self.trained(None)
        kept = []
        for _ in range(3):
            for trainer in (eager, replayed):
                trainer.train_step()
            kept += [cupy.full(size, np.nan, np.float32) for size in (8, 80, 800, 8000) * 4]
        assert all(cupy.isnan(array).all() for array in kept)
        weights = [trainer.model.state_dict() for trainer in (eager, replayed)]
        for path, array in weights[0].items():
            np.testing.assert_array_equal(array, weights[1][path])

    def test_in_a_stream_of_the_users(self, cupy: Any) -> None:
        eager = train(False, mixed())
        with cupy.cuda.Stream(non_blocking=True):
            assert_same(eager, train(None, mixed()), least=4)

    def test_while_observed_steps_are_eager(self) -> None:
        trainer = self.trained(None)
        (graph,) = trainer._replays._graphs.values()
        seen: list[str] = []
        with trainer.model.observe(lambda module, *_: seen.append(module.display_name)):
            trainer.train_step()
        assert len(seen) == 1 + len(list(trainer.model))
        trainer.train_step()
        assert trainer._replays._graphs == {8: graph}

    def test_recording_is_off(self) -> None:
        trainer = self.trained(None)
        with no_grad(), pytest.raises(GraphError):
            trainer.train_step()


@pytest.mark.parametrize("first", slow_except([False, None], None))
def test_a_run_is_resumed_with_or_without_graphs(first: bool | None, tmp_path: Any) -> None:
    class Stop(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.step == 8:  # in the middle of an epoch
                trainer.stop = "here"

    options = {"runs_dir": str(tmp_path), "epochs": 5}
    whole = mixed()
    fit(whole, digits(), config(graph=False, **options))
    begun = Run.create(config(**options), _cuda())
    fit(mixed(), digits(), config(graph=first, **options), [Stop()], run=begun)
    model = mixed()
    fit(model, digits(), config(graph=None if first is False else False, **options), run=begun,
        resume=True)  # fmt: skip
    for path, array in whole.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[path], array)


@pytest.mark.parametrize("steps_per_epoch", slow_except([None, 2], 2))
def test_fit_of_keras(monkeypatch: pytest.MonkeyPatch, steps_per_epoch: int | None) -> None:
    import fake_driver

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 8)).astype(np.float32), rng.integers(0, 3, 20)
    weights = np.linspace(0.5, 1.5, 20)

    def trained() -> tuple[Any, Any, int]:
        model = keras.Sequential(
            [keras.layers.Dense(7, activation="relu"), keras.layers.Dense(3, activation="softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", device="cuda", seed=1)
        before = fake_driver.counters()
        rate = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 / (1 + epoch))
        fitted = model.fit(
            x, y, batch_size=8, epochs=5, verbose=0, sample_weight=weights, callbacks=[rate],
            steps_per_epoch=steps_per_epoch,
        )  # fmt: skip
        made = fake_driver.counters() - before
        return fitted.history, [w.tobytes() for w in model.get_weights()], made["graph launch"]

    replayed = trained()
    monkeypatch.setattr("gpucnn.backend.cuda.cupy_launcher.CupyLauncher.has_graphs", False)
    eager = trained()
    assert replayed[:2] == eager[:2]
    assert replayed[2] >= 4
    assert eager[2] == 0


def squares(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return ((y_true - y_pred) ** 2).mean(axis=1)


@pytest.mark.parametrize(
    ("loss", "graph", "captured"),
    [("huber", None, True), (squares, None, False), (squares, True, True)],
)
def test_losses_and_metrics_of_keras(loss: Any, graph: bool | None, captured: bool) -> None:
    """A loss of the user's own is captured if asked; the metrics are the same to the bit.

    They are those of the CPU: the step that compiles kernels ahead adds nothing to them.
    """
    import fake_driver

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 8)).astype(np.float32), rng.integers(0, 3, 20)

    def trained(graph: bool | None, device: str = "cuda") -> tuple[Any, Any, int]:
        model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
        metrics = ["accuracy", "recall", "auc", "mse"]
        model.compile("adam", loss, metrics, device=device, seed=1, graph=graph)
        before = fake_driver.counters()
        fitted = model.fit(x, y, batch_size=8, epochs=5, verbose=0, validation_split=0.2)
        made = fake_driver.counters() - before
        return fitted.history, [w.tobytes() for w in model.get_weights()], made["graph launch"]

    replayed, eager = trained(graph), trained(False)
    assert replayed[:2] == eager[:2]
    for name, values in trained(None, "cpu")[0].items():
        assert values == pytest.approx(eager[0][name], rel=1e-4), name
    assert (replayed[2] > 0) == captured
    assert eager[2] == 0


def _cuda() -> Any:
    from gpucnn import backend

    return backend.get("cuda")
