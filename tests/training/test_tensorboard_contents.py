"""What TensorBoard shows beside the curves: histograms, pictures, the graph, hyper-parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_files import decoded, everything, read, reader

from gpucnn import Tensor, data, functions
from gpucnn.nn import Conv2d, Dense, Flatten, Module, ReLU, Sequential
from gpucnn.training import Callback, TensorBoard, TrainConfig, Trainer, fit

Make = Callable[[], Sequential]


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
