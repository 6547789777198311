"""Callbacks by Keras's names: when they are called, and what each does."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import training
from gpucnn.errors import DivergedError, StorageError, UsageError
from gpucnn.keras import Sequential, load_model
from gpucnn.keras.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from gpucnn.keras.optimizers import SGD

Make = Callable[..., Sequential]


class Feign(Callback):
    """Puts values of its own into the logs, before the callbacks after it see them."""

    def __init__(self, name: str, *values: float) -> None:
        self.name, self.values = name, values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs[self.name] = self.values[epoch]


class Record(Callback):
    """Notes every event."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.events: list[Any] = []
        self.batches: list[float] = []
        self.stop_after = stop_after

    def on_train_begin(self, logs: Any = None) -> None:
        self.events.append("begin")

    def on_train_end(self, logs: Any = None) -> None:
        self.events.append(("end", sorted(logs)))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.events.append(("epoch", epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.events.append(("epoch over", epoch, sorted(logs)))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.events.append(("batch", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.events.append(("batch over", batch))
        self.batches.append(logs["loss"])
        if len(self.batches) == self.stop_after:
            self.model.stop_training = True


def stopped_at(callback: Callback, values: Any, small: Make, monitor: str = "val_loss") -> int:
    """How many epochs were trained with these values of the quantity that is watched."""
    x, y = np.zeros((6, 4), np.float32), np.arange(6) % 3
    feign = Feign(monitor, *values)
    held = {"validation_data": (x, y)}
    return len(
        small().fit(x, y, epochs=len(values), verbose=0, callbacks=[feign, callback], **held)[0]
    )


class TestEvents:
    def test_are_in_the_order_of_keras(self, rows: Any, small: Make) -> None:
        record = Record()
        model = small()
        history = model.fit(
            *rows, batch_size=30, epochs=2, validation_split=0.1, callbacks=record, verbose=0
        )
        names = ["accuracy", "loss", "val_accuracy", "val_loss"]
        batches = [event for i in (0, 1) for event in (("batch", i), ("batch over", i))]
        assert record.events == [
            "begin",
            ("epoch", 0), *batches, ("epoch over", 0, names),
            ("epoch", 1), *batches, ("epoch over", 1, names),
            ("end", names),
        ]  # fmt: skip
        assert record.batches[1::2] == history.history["loss"]  # the mean so far
        assert record.model is model
        assert record.params == {"epochs": 2, "steps": 2, "verbose": 0}

    @pytest.mark.parametrize(("stop_after", "batches", "epochs"), [(1, 1, 1), (2, 2, 1), (3, 3, 2)])
    def test_stopping_within_an_epoch_puts_it_on_record(
        self, stop_after: int, batches: int, epochs: int, rows: Any, small: Make
    ) -> None:
        record = Record(stop_after)
        history = small().fit(*rows, batch_size=30, epochs=9, callbacks=record, verbose=0)
        assert len(record.batches) == batches
        assert history.epoch == list(range(epochs))
        assert record.events[-2][:2] == ("epoch over", epochs - 1)
        assert history.history["loss"][-1] == record.batches[-1]

    def test_change_nothing(self, rows: Any, small: Make) -> None:
        expected = small().fit(*rows, epochs=3, validation_split=0.2, verbose=0)
        found = small().fit(*rows, epochs=3, validation_split=0.2, verbose=0, callbacks=[Record()])
        assert found == expected

    def test_stopping_is_for_one_training(self, rows: Any, small: Make) -> None:
        model = small()
        model.fit(*rows, epochs=5, callbacks=Record(1), verbose=0)
        assert len(model.fit(*rows, epochs=2, verbose=0).epoch) == 2

    def test_epochs_begin_where_the_training_does(self, rows: Any, small: Make) -> None:
        record = Record()
        small().fit(*rows, epochs=4, initial_epoch=3, callbacks=record, verbose=0)
        assert record.events[1] == ("epoch", 3)

    def test_events_that_never_come_are_an_error(self, rows: Any, small: Make) -> None:
        for event in ("on_test_end", "on_predict_batch_begin", "on_test_batch_end"):
            wrong = type("Wrong", (Callback,), {event: lambda self, *_: None})()
            with pytest.raises(UsageError, match=f"Wrong defines {event}"):
                small().fit(*rows, callbacks=wrong)


class TestTheArgument:
    @pytest.mark.parametrize("given", [None, [], (), Record(), [Record()], (Record(),)])
    def test_none_one_or_some(self, given: Any, rows: Any, small: Make) -> None:
        assert small().fit(*rows, callbacks=given, verbose=0).epoch == [0]

    def test_those_of_training_still_work(self, rows: Any, small: Make) -> None:
        class Count(training.Callback):
            steps = 0

            def on_step_end(self, trainer: training.Trainer) -> None:
                self.steps += 1

        alone, record = Count(), Record()
        small().fit(*rows, batch_size=20, callbacks=alone, verbose=0)
        both = [Count(), record]
        small().fit(*rows, batch_size=20, callbacks=both, verbose=0)
        assert (alone.steps, both[0].steps, len(record.batches)) == (3, 3, 3)

    @pytest.mark.parametrize("given", [print, object(), "EarlyStopping", {"a": 1}, 3, [[Record()]]])
    def test_something_else_is_refused_before_the_training(
        self, given: Any, rows: Any, small: Make
    ) -> None:
        model = small()
        with pytest.raises(UsageError, match="is no callback"):
            model.fit(*rows, callbacks=given)
        assert model.path is None

    def test_a_class_in_place_of_an_object(self, rows: Any, small: Make) -> None:
        with pytest.raises(UsageError, match="EarlyStopping is no callback but a class") as caught:
            small().fit(*rows, callbacks=[EarlyStopping])
        assert caught.value.fix == "write EarlyStopping(...)"

    def test_early_stopping_of_training_needs_a_validation(self, rows: Any, small: Make) -> None:
        from gpucnn.training.callbacks import EarlyStopping as Ours

        for options in ({}, {"validation_split": 0.2}):
            model = small(learning_rate=1e-12)
            if not options:
                with pytest.raises(UsageError, match="needs a validation set"):
                    model.fit(*rows, callbacks=Ours(1), epochs=9, verbose=0)
            else:
                fitted = model.fit(*rows, callbacks=Ours(1), epochs=9, verbose=0, **options)
                assert len(fitted.epoch) == 2
        for wrong in (0, -1, "2", 1.5, True):
            with pytest.raises(UsageError, match="patience is"):
                Ours(wrong)
        with pytest.raises(UsageError, match=r"gpucnn\.keras\.callbacks\.EarlyStopping has it"):
            Ours(monitor="val_loss", patience=2)


# Values of val_loss (val_accuracy where it says so), the arguments, epochs that Keras trains.
COURSES: list[Any] = [
    ([5, 4, 3, 2, 1], {}, 5),
    ([5, 4, 4.5, 3, 1], {}, 3),
    ([5, 5, 5, 5, 5], {"patience": 0}, 2),
    ([5, 5, 5, 5, 5], {"patience": 1}, 2),
    ([5, 5, 5, 5, 5], {"patience": 2}, 3),
    ([5, 6, 4, 6, 6, 6], {"patience": 2}, 5),
    ([5, 4.9, 4.8, 4.7, 3], {"patience": 2, "min_delta": 0.5}, 3),
    ([5, 4.9, 4.8, 4.7, 3], {"patience": 2, "min_delta": -0.5}, 3),
    ([1, 2, 3, 4, 5], {"patience": 1, "mode": "max"}, 5),
    ([5, 4, 3, 2, 1], {"patience": 1, "mode": "max"}, 2),
    ([1, 2, 1, 1, 5], {"patience": 2, "monitor": "val_accuracy"}, 4),
    ([5, 4, 3, 2, 1], {"patience": 2, "monitor": "val_accuracy", "mode": "min"}, 5),
    ([5, 4, 3, 3, 3, 3], {"patience": 1, "baseline": 4.5}, 4),
    ([5, 5, 5, 5], {"patience": 2, "baseline": 1}, 2),
    ([5, 6, 7, 8, 9, 9], {"patience": 1, "start_from_epoch": 3}, 5),
    ([np.nan, np.nan, np.nan], {"patience": 1}, 2),
]


class TestEarlyStopping:
    @pytest.mark.parametrize(("values", "options", "epochs"), COURSES)
    def test_stops_where_keras_does(
        self, values: Any, options: Any, epochs: int, small: Make
    ) -> None:
        callback = EarlyStopping(**options)
        assert stopped_at(callback, values, small, options.get("monitor", "val_loss")) == epochs
        assert stopped_at(callback, values, small, options.get("monitor", "val_loss")) == epochs

    def test_gives_the_best_weights_back(self, rows: Any, small: Make, capsys: Any) -> None:
        x, c = rows
        kept: list[Any] = []
        keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
        feign = Feign("loss", 5, 4, 6, 6, 6)
        stop = EarlyStopping("loss", patience=2, restore_best_weights=True, verbose=1)
        model = small(learning_rate=0.5)
        model.fit(x, c, epochs=5, verbose=0, callbacks=[keep, feign, stop])
        assert len(kept) == 4
        for a, b in zip(model.get_weights(), kept[1], strict=True):
            np.testing.assert_array_equal(a, b)
        printed = capsys.readouterr().out
        assert "Epoch 4: early stopping" in printed
        assert "from epoch 2" in printed
        assert (stop.stopped_epoch, stop.best_epoch, stop.best) == (3, 1, 4)

    @pytest.mark.parametrize("restore", [False, True])
    def test_knows_the_best_epoch(self, restore: bool, rows: Any, small: Make) -> None:
        stop = EarlyStopping("loss", patience=2, restore_best_weights=restore)
        feign = Feign("loss", 5, 4, 3, 6, 6, 6)
        small().fit(*rows, epochs=6, verbose=0, callbacks=[feign, stop])
        assert (stop.best_epoch, stop.best, stop.stopped_epoch) == (2, 3, 4)

    def test_at_the_end_too(self, rows: Any, small: Make) -> None:
        kept: list[Any] = []
        keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
        model = small(learning_rate=0.5)
        feign = Feign("loss", 1, 2, 3)
        stop = EarlyStopping("loss", patience=9, restore_best_weights=True)
        model.fit(*rows, epochs=3, verbose=0, callbacks=[keep, feign, stop])
        for a, b in zip(model.get_weights(), kept[0], strict=True):
            np.testing.assert_array_equal(a, b)

    def test_something_to_watch_that_is_not_there(self, rows: Any, small: Make) -> None:
        for monitor, options, words in (
            ("val_loss", {}, "give validation_data or validation_split"),
            ("val_accuracy", {}, "give validation_data or validation_split"),
            ("val_mse", {"validation_split": 0.2}, "monitor='val_accuracy'"),
            ("mse", {}, "monitor='accuracy'"),
        ):
            model = small()
            with pytest.raises(UsageError, match=f"watches {monitor}, which is not") as caught:
                model.fit(*rows, callbacks=EarlyStopping(monitor), epochs=3, **options)
            assert words in str(caught.value)
            assert all((a == b).all() for a, b in zip(
                model.get_weights(), small().build((4,)).get_weights(), strict=True))  # fmt: skip

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"patience": -1}, "patience is -1"), ({"patience": "2"}, "patience is '2'"),
            ({"patience": True}, "patience is True"), ({"mode": "down"}, "mode is 'down'"),
            ({"min_delta": "a"}, "min_delta is 'a'"), ({"min_delta": np.nan}, "min_delta is nan"),
            ({"start_from_epoch": -1}, "start_from_epoch is -1"),
            ({"restore_best_weights": 1}, "restore_best_weights is 1"),
            ({"restore_best": True}, "did you mean restore_best_weights"),
        ],
    )  # fmt: skip
    def test_arguments_that_make_no_sense(self, options: Any, words: str) -> None:
        with pytest.raises(UsageError) as caught:
            EarlyStopping(**options)
        assert words in str(caught.value)


# Values of the loss, the arguments, the rate in each epoch as a share of the first.
PLATEAUS: list[Any] = [
    ([5, 4, 3, 2], {"patience": 1}, [1, 1, 1, 1]),
    ([5, 5, 5, 5], {"patience": 1}, [1, 1, 0.1, 0.01]),
    ([5, 5, 5, 5, 5], {"patience": 2, "factor": 0.5}, [1, 1, 1, 0.5, 0.5]),
    ([5, 5, 5, 5, 5], {"patience": 1, "factor": 0.5, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.25]),
    ([5, 5, 5, 5], {"patience": 1, "factor": 0.5, "min_lr": 0.3}, [1, 1, 0.5, 0.375]),
    ([5, 4.9, 4.8, 4.7], {"patience": 1, "factor": 0.5, "min_delta": 1}, [1, 1, 0.5, 0.25]),
    ([5, 4, 3, 2], {"patience": 1, "factor": 0.5, "mode": "max"}, [1, 1, 0.5, 0.25]),
]


class TestLearningRates:
    def rates(self, model: Sequential, rows: Any, epochs: int, *callbacks: Any) -> list[float]:
        """The rate of each epoch's step, as the optimizer had it."""

        class Look(training.Callback):
            def on_step_end(self, trainer: training.Trainer) -> None:
                seen.append(float(trainer.optimizer.learning_rate[0]))

        seen: list[float] = []
        every = [*callbacks, Look()]
        history = model.fit(*rows, batch_size=60, epochs=epochs, verbose=0, callbacks=every).history
        assert history["learning_rate"] == pytest.approx(self.logged(seen, history))
        return seen

    def logged(self, seen: list[float], history: Any) -> list[float]:
        return seen[: len(history["learning_rate"])]

    def test_a_schedule_of_the_epoch(self, rows: Any, small: Make) -> None:
        given = [0.1, 0.2, 0.05, 0.4]
        schedule = LearningRateScheduler(lambda epoch: given[epoch])
        assert self.rates(small(), rows, 4, schedule) == pytest.approx(given)

    def test_a_schedule_of_the_rate(self, rows: Any, small: Make, capsys: Any) -> None:
        schedule = LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr, verbose=1)
        model = small(learning_rate=0.8)
        assert self.rates(model, rows, 3, schedule) == pytest.approx([0.8, 0.4, 0.2])
        assert "Epoch 3: the learning rate is 0.2" in capsys.readouterr().out
        # As in Keras the optimizer keeps it.
        assert model.optimizer.learning_rate == pytest.approx(0.2)

    def test_an_error_of_the_schedule_is_its_own(self, rows: Any, small: Make) -> None:
        def broken(epoch: int, rate: float) -> float:
            raise TypeError("from inside")

        with pytest.raises(TypeError, match="from inside"):
            small().fit(*rows, callbacks=LearningRateScheduler(broken))
        for given in (lambda epoch: "fast", lambda epoch: None, lambda epoch: -1.0):
            with pytest.raises(UsageError, match="learning_rate is"):
                small().fit(*rows, callbacks=LearningRateScheduler(given), verbose=0)
        with pytest.raises(UsageError, match=r"the schedule is 0\.1"):
            LearningRateScheduler(0.1)  # type: ignore[arg-type]

    def test_a_callback_of_ones_own(self, rows: Any, small: Make) -> None:
        class Halve(Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self.model.optimizer.learning_rate /= 2

        class Look(training.Callback):
            def on_step_end(self, trainer: training.Trainer) -> None:
                seen.append(float(trainer.optimizer.learning_rate[0]))

        seen: list[float] = []
        model = small(learning_rate=0.8)
        model.fit(*rows, batch_size=20, verbose=0, callbacks=[Halve(), Look()])
        assert seen == pytest.approx([0.8, 0.4, 0.2])

    @pytest.mark.parametrize(("values", "options", "shares"), PLATEAUS)
    def test_a_plateau_lowers_it_as_in_keras(
        self, values: Any, options: Any, shares: Any, rows: Any, small: Make
    ) -> None:
        reduce = ReduceLROnPlateau("loss", **options)
        feign = Feign("loss", *values)
        found = self.rates(small(learning_rate=0.8), rows, len(values), feign, reduce)
        assert found == pytest.approx([0.8 * share for share in shares])

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"factor": 1.0}, "factor is 1.0"), ({"factor": -0.1}, "factor is -0.1"),
            ({"patience": -1}, "patience is -1"), ({"min_lr": -1}, "min_lr is -1"),
            ({"cooldown": 0.5}, "cooldown is 0.5"),
        ],
    )  # fmt: skip
    def test_arguments_that_make_no_sense(self, options: Any, words: str) -> None:
        with pytest.raises(UsageError) as caught:
            ReduceLROnPlateau(**options)
        assert words in str(caught.value)

    def test_a_schedule_of_compile_is_not_overruled(self, rows: Any, small: Make) -> None:
        model = small(schedule="cosine", learning_rate=0.5)
        with pytest.raises(UsageError, match="follows the schedule cosine"):
            model.fit(*rows, callbacks=LearningRateScheduler(lambda epoch: 0.1), verbose=0)
        assert model.optimizer.learning_rate == 0.5


class TestModelCheckpoint:
    @pytest.mark.parametrize(
        ("path", "fix"),
        [
            ("model_{epoch:02d}_{val_accuracy:.4f}.keras", "model_{epoch:02d}_{val_accuracy:.4f}"),
            ("weights.{epoch:02d}-{val_loss:.2f}.hdf5", "weights.{epoch:02d}-{val_loss:.2f}"),
            ("a.{val_loss:.2f}.weights.h5", "a.{val_loss:.2f}"),
            ("m-{val_loss:.2f}", "m-{val_loss:.2f}"),
            ("best.keras", "best"),
        ],
    )
    def test_the_advice_keeps_the_fields_of_a_name(self, path: str, fix: str) -> None:
        with pytest.raises(UsageError) as caught:
            ModelCheckpoint(path)
        assert caught.value.fix == f"write {fix}.safetensors"
        ModelCheckpoint(f"{fix}.safetensors")

    @pytest.mark.parametrize(
        "name", ["{epoch:zz}", "{epoch", "epoch}", "{}", "{epoch[0]}", "{val_loss:d}", "{loss.x.y}"]
    )
    def test_formats_are_checked_at_once(self, name: str) -> None:
        with pytest.raises(UsageError, match="filepath is") as caught:
            ModelCheckpoint(f"{name}.safetensors")
        assert "{epoch:02d}" in str(caught.value.fix)

    def test_writes_each_epoch(self, rows: Any, small: Make, tmp_path: Path, capsys: Any) -> None:
        x, c = rows
        name = tmp_path / "new" / "m-{epoch:02d}-{val_loss:.2f}.safetensors"
        model = small()
        held = {"validation_data": (x, c)}
        save = ModelCheckpoint(name, verbose=1)
        history = model.fit(x, c, epochs=3, verbose=0, callbacks=save, **held).history
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
            f"m-{epoch:02d}-{loss:.2f}.safetensors"
            for epoch, loss in enumerate(history["val_loss"], 1)
        ]
        last = sorted((tmp_path / "new").iterdir())[-1]
        np.testing.assert_array_equal(load_model(last).predict(x), model.predict(x))
        assert capsys.readouterr().out.count("saved") == 3

    def test_the_best_only(self, rows: Any, small: Make, tmp_path: Path) -> None:
        for mode, values, written in (
            ("auto", (3, 4, 2, 5), [1, 3]), ("max", (3, 4, 2, 5), [1, 2, 4]),
        ):  # fmt: skip
            folder = tmp_path / mode
            save = ModelCheckpoint(
                str(folder / "{epoch}.safetensors"), "loss", save_best_only=True, mode=mode
            )
            small().fit(*rows, epochs=4, verbose=0, callbacks=[Feign("loss", *values), save])
            assert sorted(int(path.stem) for path in folder.iterdir()) == written

    def test_an_accuracy_is_to_rise(self, rows: Any, small: Make, tmp_path: Path) -> None:
        save = ModelCheckpoint(tmp_path / "{epoch}.safetensors", "accuracy", save_best_only=True)
        small().fit(*rows, epochs=3, verbose=0, callbacks=[Feign("accuracy", 0.5, 0.4, 0.6), save])
        assert sorted(path.stem for path in tmp_path.iterdir()) == ["1", "3"]

    def test_weights_only(self, rows: Any, small: Make, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        model = small()
        model.fit(*rows, verbose=0, callbacks=ModelCheckpoint(path, save_weights_only=True))
        other = small().build((4,))
        other.load_weights(path)
        np.testing.assert_array_equal(other.predict(rows[0]), model.predict(rows[0]))

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("best.h5",), "best.safetensors"),
            (("best.keras",), "best.safetensors"),
            (("w.weights.h5",), "w.safetensors"),
            (("a.safetensors", "loss", 0, False, False, "auto", 100), "save_freq is 100"),
        ],
    )
    def test_arguments_that_make_no_sense(self, arguments: Any, words: str) -> None:
        with pytest.raises(UsageError) as caught:
            ModelCheckpoint(*arguments)
        assert words in str(caught.value)

    def test_names_that_are_not_there(self, rows: Any, small: Make, tmp_path: Path) -> None:
        for save, words in (
            (ModelCheckpoint(tmp_path / "{val_loss:.2f}.safetensors"), "{val_loss}"),
            (ModelCheckpoint(tmp_path / "a.safetensors", save_best_only=True), "val_loss"),
        ):
            with pytest.raises(UsageError, match=re.escape(words)):
                small().fit(*rows, callbacks=save, verbose=0)
        assert not list(tmp_path.iterdir())

    def test_a_folder_that_cannot_be(self, rows: Any, small: Make, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        save = ModelCheckpoint(tmp_path / "file" / "a.safetensors")
        with pytest.raises(StorageError) as caught:
            small().fit(*rows, callbacks=save, verbose=0)
        assert "--runs-dir" not in str(caught.value)


class TestCSVLogger:
    def test_a_line_an_epoch(self, rows: Any, small: Make, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        model = small()
        history = model.fit(
            *rows, epochs=2, validation_split=0.2, verbose=0, callbacks=CSVLogger(path)
        ).history
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert list(lines[0]) == ["epoch", *sorted(history)]
        assert [int(line["epoch"]) for line in lines] == [0, 1]
        for name, values in history.items():
            assert [float(line[name]) for line in lines] == values

    def test_again_and_more(self, rows: Any, small: Make, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        model = small()
        model.fit(*rows, epochs=2, verbose=0, callbacks=CSVLogger(path, separator=";"))
        options = {"epochs": 4, "initial_epoch": 2, "verbose": 0}
        model.fit(*rows, callbacks=CSVLogger(path, separator=";", append=True), **options)
        lines = path.read_text().splitlines()
        assert lines[0] == "epoch;accuracy;loss"
        assert [line.split(";")[0] for line in lines[1:]] == ["0", "1", "2", "3"]
        model.fit(*rows, verbose=0, callbacks=CSVLogger(path))
        assert len(path.read_text().splitlines()) == 2

    def test_what_is_no_name(self) -> None:
        for name in (None, 3, b"log.csv"):
            with pytest.raises(UsageError, match="filename is a "):
                CSVLogger(name)  # type: ignore[arg-type]

    def test_a_place_that_cannot_be_written(self, rows: Any, small: Make, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"log\.csv cannot be written") as caught:
            small().fit(*rows, verbose=0, callbacks=CSVLogger(tmp_path / "no" / "log.csv"))
        assert "there is no such directory" in str(caught.value)
        assert "--runs-dir" not in str(caught.value)


def test_lambda_callback(rows: Any, small: Make) -> None:
    losses: list[float] = []
    epochs: list[int] = []
    callback = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epochs.append(epoch),
        on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]),
        on_train_end=None,
    )
    history = small().fit(*rows, epochs=2, batch_size=60, verbose=0, callbacks=callback).history
    assert (losses, epochs) == (history["loss"], [0, 1])
    with pytest.raises(UsageError, match="has no on_epoch"):
        LambdaCallback(on_epoch=print)


class TestTerminateOnNaN:
    def test_ends_in_place_of_an_error(self, small: Make, capsys: Any) -> None:
        x, y = np.full((4, 4), 3e38, np.float32), [0.0, 1.0, 2.0, 0.0]
        model = small(1, None, loss="mse").build((4,))
        before = model.get_weights()
        record = Record()
        with pytest.raises(DivergedError) as caught:
            model.fit(x, y, verbose=0)
        lower = "lower the learning rate: learning_rate=0.001"
        clip = "or clip the gradients: give the optimizer global_clipnorm=1.0"
        assert caught.value.fix == f"{lower}; {clip}"
        history = model.fit(x, y, epochs=3, verbose=0, callbacks=[TerminateOnNaN()])
        assert history.epoch == [0]
        assert list(history.history) == ["loss", "accuracy"]
        assert np.isnan(list(history.history.values())).all()
        assert "the training ends" in capsys.readouterr().out
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        model.fit(np.zeros((4, 4)), y, verbose=0, callbacks=[TerminateOnNaN(), record])
        assert record.events[-1][0] == "end"

    def test_the_epochs_before_it_stay_on_record(self, rows: Any, small: Make) -> None:
        class Spoil(Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                self.model.optimizer.learning_rate = 1e30

        model = small(1, None, loss="mse")
        history = model.fit(
            rows[0], rows[1], epochs=9, verbose=0, callbacks=[Spoil(), TerminateOnNaN()]
        ).history
        assert np.isfinite(history["loss"][0])
        assert np.isnan(history["loss"][-1])
        assert len(history["loss"]) == len(history["accuracy"])


def test_a_learning_rate_of_0_trains_nothing(rows: Any, small: Make) -> None:
    """Also in the fit that follows a schedule that ended there."""
    x, c = rows
    model = small(optimizer=SGD(0.0)).build((4,))
    before = model.get_weights()
    model.fit(x, c, verbose=0)
    model.train_on_batch(x, c)
    model.fit(x, c, epochs=2, verbose=0, callbacks=LearningRateScheduler(lambda epoch: 0.0))
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.optimizer.learning_rate = 0.1
    model.fit(x, c, verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])
