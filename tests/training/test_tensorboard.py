"""The curves as TensorBoard's own reader sees them."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selection import slow_except

from gpucnn import Tensor, backend, data, functions
from gpucnn.errors import Interrupted, MissingExtraError, SignatureError, StorageError, UsageError
from gpucnn.keras import Sequential as KerasSequential
from gpucnn.keras import callbacks, layers
from gpucnn.nn import Conv2d, Dense, Flatten, Module, ReLU, Sequential
from gpucnn.training import Callback, History, Run, TensorBoard, TrainConfig, Trainer, fit

Make = Callable[[], Sequential]
Curves = dict[str, list[tuple[int, float]]]


def reader(folder: Path) -> Any:
    """TensorBoard's reader of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "histograms": 0, "images": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def read(folder: Path) -> Curves:
    """The points (step, value) of each curve in a folder."""
    found = reader(folder)
    return {
        tag: [(point.step, point.value) for point in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def everything(folder: Path) -> dict[str, Any]:
    """All that is in a folder, by its tag: the points of curves, histograms and pictures."""
    found = reader(folder)
    tags = found.Tags()
    points = {
        **{tag: found.Scalars(tag) for tag in tags["scalars"]},
        **{tag: found.Histograms(tag) for tag in tags["histograms"]},
        **{tag: found.Images(tag) for tag in tags["images"]},
    }
    return {
        **{tag: [replace(point, wall_time=0) for point in each] for tag, each in points.items()},
        "graph": tags["graph"] and found.Graph(),
        "hparams": dict(found._plugin_to_tag_to_content["hparams"]),
    }


def decoded(image: Any) -> Any:
    """The pixels of a picture."""
    pillow = pytest.importorskip("PIL.Image", reason="the extra `image` is not installed")
    return np.asarray(pillow.open(io.BytesIO(image.encoded_image_string)))


def epochs_of(history: History, key: str, steps: int = 4) -> list[tuple[int, Any]]:
    return [(steps * record["epoch"], pytest.approx(record[key])) for record in history.records]


class Listen(Callback):
    """Keeps what `on_log` is given, and ends the training at a step by an error."""

    def __init__(self, stop: int | None = None, error: BaseException | None = None) -> None:
        self.logged: list[tuple[int, float, float]] = []
        self.stop, self.error = stop, error

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.stop and self.error is not None:
            raise self.error

    def on_log(self, trainer: Trainer, loss: float, accuracy: float) -> None:
        self.logged.append((trainer.step, loss, accuracy))


def test_the_points_are_those_of_the_training(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    listen, rates = Listen(), []

    class Rates(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            rates.append(float(trainer.optimizer.learning_rate[0]))

    folder = tmp_path / "new" / "logs"
    history = fit(make_model(), digits, config, [TensorBoard(folder), listen, Rates()])
    train, validation = read(folder / "train"), read(folder / "validation")
    assert [step for step, _, _ in listen.logged] == [2, 4, 6, 8, 10, 12]
    assert train.pop("step/loss") == [(s, pytest.approx(loss)) for s, loss, _ in listen.logged]
    assert train.pop("step/accuracy") == [(s, pytest.approx(a)) for s, _, a in listen.logged]
    assert train.pop("step/learning_rate") == [
        (step, pytest.approx(rates[step - 1])) for step, _, _ in listen.logged
    ]
    for key in ("loss", "accuracy", "learning_rate"):
        assert train.pop(f"epoch/{key}") == epochs_of(history, key)
    assert history.test is not None
    tested = {f"test_{key}": value for key, value in history.test.items()}
    for key in ("loss", "accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy"):
        value = {**history.records[-1], **tested}[key]
        assert train.pop(f"final/{key}") == [(12, pytest.approx(value))]
    assert not train
    for key in ("loss", "accuracy"):
        assert validation.pop(f"epoch/{key}") == epochs_of(history, f"val_{key}")
    assert not validation


def test_histograms_are_those_of_weights_and_gradients(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    """After each epoch; the gradients are those of its last batch, in evaluation mode."""
    kept: dict[str, list[Any]] = {}

    class Keep(Callback):
        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            images, labels = trainer.loader.batch(record["epoch"] - 1, 3)
            before = {path: p.grad for path, p in trainer.model.named_parameters().items()}
            with trainer.model.evaluating():
                loss = functions.softmax_cross_entropy(trainer.model(images), labels)
            for path, parameter in trainer.model.named_parameters().items():
                parameter.zero_grad()
                kept.setdefault(f"weights/{path}", []).append(parameter.numpy().copy())
            loss.backward()
            for path, parameter in trainer.model.named_parameters().items():
                kept.setdefault(f"gradients/{path}", []).append(parameter.grad.copy())
                parameter.grad = before[path]

    fit(make_model(), digits, config, [TensorBoard(tmp_path), Keep()])
    found = reader(tmp_path / "train")
    assert set(found.Tags()["histograms"]) == set(kept)
    assert "gradients/conv1.weight" in kept
    for tag, arrays in kept.items():
        points = found.Histograms(tag)
        assert [point.step for point in points] == [4, 8, 12]
        for point, array in zip(points, arrays, strict=True):
            histogram = point.histogram_value
            assert histogram.num == array.size == sum(histogram.bucket)
            assert histogram.min == pytest.approx(array.min())
            assert histogram.max == pytest.approx(array.max())
            assert histogram.sum == pytest.approx(array.sum(dtype=np.float64), abs=1e-5)


def test_pictures_are_what_the_network_gets_and_its_filters(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    first: list[Any] = []

    class Keep(Callback):
        def on_train_begin(self, trainer: Trainer) -> None:
            first.append(trainer.loader.batch(0, 0)[0][:16, 0])

    model = make_model()
    fit(model, digits, config, [TensorBoard(tmp_path), Keep()])
    found = reader(tmp_path / "train")
    assert found.Tags()["images"] == ["samples", "filters/conv1.weight"]
    (samples,) = found.Images("samples")
    assert samples.step == 1
    pixels = decoded(samples)
    assert pixels.shape == (4 * 113 - 1, 4 * 113 - 1)
    for place, image in enumerate(first[0]):
        y, x = 113 * (place // 4), 113 * (place % 4)
        large = np.kron(image, np.ones((4, 4)))
        np.testing.assert_allclose(pixels[y : y + 112, x : x + 112], 255 * large, atol=0.51)
    filters = found.Images("filters/conv1.weight")
    assert [each.step for each in filters] == [4, 8, 12]
    weight = model.state_dict()["conv1.weight"][:, 0]
    pixels = decoded(filters[-1])
    for place, kernel in enumerate(weight):
        y, x = 25 * (place // 2), 25 * (place % 2)
        large = np.kron(127.5 + 127.5 * kernel / np.abs(weight).max(), np.ones((8, 8)))
        np.testing.assert_allclose(pixels[y : y + 24, x : x + 24], large, atol=0.51)


class Branches(Module):
    """A network with a layer inside of another, one that is called twice, and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Sequential([Conv2d(3, 3, padding=1), ReLU()])
        self.head = Dense(10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(functions.concat([x, x, x], axis=1))
        return self.head((y + self.block(y)).reshape(len(x), -1))


def test_the_graph_has_the_layers_and_their_connections(
    digits: data.Splits, config: TrainConfig, tmp_path: Path
) -> None:
    fit(Branches(), digits, replace(config, epochs=1), [TensorBoard(tmp_path)])
    nodes = {node.name: node for node in reader(tmp_path / "train").Graph().node}
    assert nodes["head"].op == "Dense"
    assert nodes["head"].attr["parameters"].s == b"23,530 parameters"
    assert nodes["head"].attr["shape"].s == b"(1, 10)"
    assert list(nodes["output"].input) == ["head"]
    assert list(nodes["block/relu1"].input) == ["block/conv1"]
    assert list(nodes["block/relu1_1"].input) == ["block/conv1_1"]
    assert list(nodes["block/conv1_1"].input) == ["block/relu1"]
    (total,) = (node for node in nodes.values() if node.op == "Add")
    assert list(total.input) == ["block/relu1", "block/relu1_1"]
    assert all(source in nodes for node in nodes.values() for source in node.input)


def test_a_network_without_a_graph_is_trained_all_the_same(
    digits: data.Splits, config: TrainConfig, tmp_path: Path
) -> None:
    class Several(Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = Dense(10)

        def forward(self, x: Tensor) -> Tensor:
            # A constant: there is no path from the images to the output but through NumPy.
            y = self.head(Tensor(x.numpy().reshape(len(x), -1)))
            return Tensor(y.numpy()) if not y.requires_grad else y

    fit(Several(), digits, replace(config, epochs=1), [TensorBoard(tmp_path)])
    assert read(tmp_path / "train")["epoch/loss"]


def test_options_and_results_are_hyper_parameters(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    from tensorboard.plugins.hparams import metadata

    fit(make_model(), digits, config, [TensorBoard(tmp_path)])
    found = everything(tmp_path / "train")["hparams"]
    start = metadata.parse_session_start_info_plugin_data(found["_hparams_/session_start_info"])
    assert start.hparams["learning_rate"].number_value == 0.01
    assert start.hparams["optimizer"].string_value == "adam"
    assert start.hparams["nesterov"].bool_value is False
    assert start.hparams["model"].string_value == "Sequential"
    assert start.hparams["data"].string_value == "digits"
    assert "momentum" not in start.hparams
    experiment = metadata.parse_experiment_plugin_data(found["_hparams_/experiment"])
    metrics = [each.name.tag for each in experiment.metric_infos]
    assert sorted(metrics) == sorted(tag for tag in read(tmp_path / "train") if "final/" in tag)
    assert {each.name for each in experiment.hparam_infos} == set(start.hparams)
    assert "_hparams_/session_end_info" in found


def test_the_training_is_not_changed(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    """Its weights, running statistics and gradients are those of a training without logs."""
    alone, logged = make_model(), make_model()
    fit(alone, digits, config)
    fit(logged, digits, config, [TensorBoard(tmp_path)])
    for name, array in alone.state_dict().items():
        np.testing.assert_array_equal(array, logged.state_dict()[name])
    for one, other in zip(alone.parameters(), logged.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad, other.grad)


@pytest.mark.parametrize("shape", [(3, 12, 16), (2, 12, 12), (5,)])
def test_images_of_other_shapes(
    config: TrainConfig, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    """Colors are shown; what is no picture is left out."""
    images = np.random.default_rng(0).random((60, *shape), np.float32)
    splits = data.Splits(data.Dataset("noise", images, np.arange(60, dtype=np.int32) % 3, 3))
    options = replace(config, epochs=1, validation=None, shift=0)
    fit(Sequential([Flatten(), Dense(3)]), splits, options, [TensorBoard(tmp_path)])
    tags = reader(tmp_path / "train").Tags()["images"]
    assert tags == (["samples"] if shape[0] == 3 else [])
    if tags:
        pixels = decoded(reader(tmp_path / "train").Images("samples")[0])
        assert pixels.shape == (4 * 49 - 1, 4 * 65 - 1, 3)


def test_without_a_validation_set_there_is_no_folder_for_it(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    splits = data.Splits(digits.train, None, digits.test)
    fit(make_model(), splits, replace(config, epochs=1), [TensorBoard(tmp_path / "logs")])
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["train"]


@pytest.mark.parametrize("log_interval", [1, 3])
@pytest.mark.parametrize("step", slow_except(range(1, 13), 1, 4, 6, 7))
def test_a_resumed_training_continues_the_curves(
    digits: data.Splits,
    make_model: Make,
    config: TrainConfig,
    tmp_path: Path,
    step: int,
    log_interval: int,
) -> None:
    """Killed at any step, also between a checkpoint and the points of its step."""
    config = replace(config, log_interval=log_interval, checkpoint_every=3)
    fit(make_model(), digits, config, [TensorBoard(tmp_path / "whole")])

    run = Run.create(config, backend.get("cpu"))
    curves = TensorBoard(tmp_path / "logs")
    # `Listen` comes after the checkpoint is written, and before the points.
    with pytest.raises(KeyError):
        fit(make_model(), digits, config, [Listen(step, KeyError()), curves], run=run)
    fit(make_model(), digits, config, [curves], run=run, resume=True)
    for part in ("train", "validation"):
        assert everything(tmp_path / "logs" / part) == everything(tmp_path / "whole" / part)


def test_points_of_an_epoch_that_were_never_written(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    class Die(Callback):
        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            if record["epoch"] == 2:
                raise KeyError

    fit(make_model(), digits, config, [TensorBoard(tmp_path / "whole")])
    run = Run.create(config, backend.get("cpu"))
    curves = TensorBoard(tmp_path / "logs")
    with pytest.raises(KeyError):
        fit(make_model(), digits, config, [Die(), curves], run=run)
    assert len(read(tmp_path / "logs" / "train")["epoch/loss"]) == 1
    fit(make_model(), digits, config, [curves], run=run, resume=True)
    for part in ("train", "validation"):
        assert everything(tmp_path / "logs" / part) == everything(tmp_path / "whole" / part)


def test_points_are_on_the_disk_at_once(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    """So `kill -9` loses none that is older than the checkpoint."""

    class Look(Callback):
        def on_log(self, trainer: Trainer, loss: float, accuracy: float) -> None:
            seen.append((trainer.step, read(tmp_path / "train")["step/loss"][-1][0]))

        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            for part in ("train", "validation"):
                seen.append((trainer.step, read(tmp_path / part)["epoch/loss"][-1][0]))

    seen: list[tuple[int, int]] = []
    fit(make_model(), digits, config, [TensorBoard(tmp_path), Look()])
    assert len(seen) == 12
    assert [(step, written) for step, written in seen if step != written] == []


def test_ctrl_c_keeps_the_points(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    run = Run.create(config, backend.get("cpu"))
    curves = TensorBoard(tmp_path / "logs")
    with pytest.raises(Interrupted):
        fit(make_model(), digits, config, [curves, Listen(7, KeyboardInterrupt())], run=run)
    assert [step for step, _ in read(tmp_path / "logs" / "train")["step/loss"]] == [2, 4, 6]


def test_a_new_training_replaces_the_curves(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    others = tmp_path / "train" / "events.out.tfevents.1.other"
    others.parent.mkdir()
    others.touch()
    board = TensorBoard(tmp_path)
    fit(make_model(), digits, replace(config, log_interval=1), [board])
    splits = data.Splits(digits.train, None, digits.test)
    history = fit(make_model(), splits, replace(config, epochs=1), [board])
    train = read(tmp_path / "train")
    assert train["epoch/loss"] == epochs_of(history, "loss")
    assert [step for step, _ in train["step/loss"]] == [2, 4]
    assert not list((tmp_path / "validation").iterdir())
    assert others.exists()


class TestKeras:
    def model(self) -> KerasSequential:
        model = KerasSequential([layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def test_fit_takes_it_by_the_name_of_keras(self, tmp_path: Path) -> None:
        assert callbacks.TensorBoard is TensorBoard
        x, y = np.arange(48, dtype=np.float32).reshape(12, 4) / 48, np.arange(12) % 3
        model = self.model()
        board = callbacks.TensorBoard(log_dir=tmp_path)
        given: Any = {"batch_size": 4, "verbose": 0, "callbacks": [board]}
        first = model.fit(x, y, epochs=2, validation_data=(x, y), **given).history
        second = model.fit(x, y, epochs=5, initial_epoch=2, validation_data=(x, y), **given).history
        for part, prefix in (("train", ""), ("validation", "val_")):
            for key in ("loss", "accuracy"):
                values = first[prefix + key] + second[prefix + key]
                assert read(tmp_path / part)[f"epoch/{key}"] == [
                    (3 * number, pytest.approx(value)) for number, value in enumerate(values, 1)
                ]

    def test_arguments_of_keras_are_explained(self) -> None:
        with pytest.raises(SignatureError, match="histogram_freq"):
            callbacks.TensorBoard(log_dir="logs", histogram_freq=5)  # type: ignore[call-arg]
        older: dict[str, Any] = {"histogram_freq": 1, "write_graph": True, "write_images": True}
        assert callbacks.TensorBoard(log_dir="logs", **older).log_dir == Path("logs")


def test_a_missing_package_is_said_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match="tensorboardX") as caught:
        TensorBoard()
    assert 'pip install "gpucnn[tensorboard]"' in str(caught.value.fix)


def test_a_folder_that_cannot_be_written(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/logs"):
        with pytest.raises(StorageError, match="file") as caught:
            fit(make_model(), digits, config, [TensorBoard(tmp_path / folder)])
        assert caught.value.cause == "a part of the path is a file, and no directory"
    with pytest.raises(StorageError) as caught:
        fit(make_model(), digits, config, [TensorBoard(tmp_path / ("x" * 300))])
    assert caught.value.fix == "shorten it, or write to another place"
    with pytest.raises(UsageError, match="log_dir is a NoneType"):
        TensorBoard(None)  # type: ignore[arg-type]


def test_a_file_that_another_training_deletes_at_the_same_time(
    digits: data.Splits,
    make_model: Make,
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "train").mkdir()
    monkeypatch.setattr(Path, "glob", lambda folder, _: [folder / "events.gone.gpucnn"])
    fit(make_model(), digits, replace(config, epochs=1), [TensorBoard(tmp_path)])
    assert read(tmp_path / "train")
