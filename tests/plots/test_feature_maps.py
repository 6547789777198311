"""The outputs of the layers as a picture: the right numbers, in rows with names and shapes."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import Tensor, backend, data, keras, models, nn, no_grad, plots
from gpucnn import functions as F
from gpucnn.errors import DataError, DeviceError, NoLayerError, ShapeError, UsageError
from gpucnn.plots import show_feature_maps

pytest.importorskip("matplotlib")


@pytest.fixture
def digit():
    return data.load("digits").train.images[3]


@pytest.fixture
def net():
    """A ReLU and a pooling that are folded, a dropout, and flat outputs."""
    layers = [
        nn.Conv2d(20, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 1), nn.Flatten(),
        nn.Dropout(0.5), nn.Dense(40, activation="tanh"), nn.Dense(10),
    ]  # fmt: skip
    return nn.Sequential(layers).build((1, 28, 28), seed=0)


def rows(picture: plots.Picture) -> dict[str, np.ndarray]:
    """The label of each row -> its array, or the heights of its bars."""
    found = {}
    for axes in picture.axes:
        if axes.images:
            found[axes.get_ylabel()] = np.asarray(axes.images[0].get_array())
        elif axes.patches:
            found[axes.get_ylabel()] = np.array([bar.get_height() for bar in axes.patches])
    return found


def outputs(net, x: np.ndarray) -> list[np.ndarray]:
    """The outputs of a Sequential's layers, each called by itself, in evaluation mode."""
    found = []
    y = Tensor(x)
    with net.evaluating(), no_grad():
        for layer in net:
            y = layer(y)
            found.append(y.numpy().copy()[0])
    return found


def test_each_layer_has_a_row_with_its_outputs(net, digit):
    picture = show_feature_maps(net, digit)
    assert picture.png().startswith(b"\x89PNG")
    found = rows(picture)
    assert list(found) == [
        "image\n1 channel, 28 x 28",
        "conv1 (Conv2d)\n16 of 20 maps, 26 x 26",
        "relu1 (ReLU)\n16 of 20 maps, 26 x 26",
        "pool1 (MaxPool2d)\n16 of 20 maps, 13 x 13",
        "conv2 (Conv2d)\n2 maps, 13 x 13",
        "flatten1 (Flatten)\n338 numbers",
        "dropout1 (Dropout)\n338 numbers",
        "dense1 (Dense, tanh)\n40 numbers",
        "dense2 (Dense)\n10 numbers",
    ]
    image, *layers = found.values()
    assert image[:, :28] == pytest.approx(digit[0] / 255)
    for shown, output in zip(layers, outputs(net, digit[None] / np.float32(255)), strict=True):
        if output.ndim == 1:
            assert shown.ravel() == pytest.approx(output, abs=1e-5)
            continue
        W = output.shape[2]
        for place, each in enumerate(output[:16]):
            assert shown[:, place * W : (place + 1) * W] == pytest.approx(each, abs=1e-5)
        assert np.isnan(shown[:, len(output) * W :]).all()


def test_white_is_zero(net, digit):
    picture = show_feature_maps(net, digit)
    for axes in picture.axes[1:9]:
        for image in axes.images:
            low, high = image.get_clim()
            assert low == -high
            assert image.get_cmap().name == "RdBu_r"
    assert "blue is below 0, red is above" in picture.get_suptitle()


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        lambda digit: digit[0],
        lambda digit: digit[None],
        lambda digit: digit[0][..., None],
        lambda digit: digit.astype(np.int64),
        lambda digit: digit.astype(np.float32) / 255,
        lambda digit: Tensor(digit.astype(np.float64) / 255),
        lambda digit: (digit / 255).ravel(),
    ],
)
def test_forms_of_an_image(net, digit, form):
    expected = rows(show_feature_maps(net, digit, "dense2"))
    found = rows(show_feature_maps(net, form(digit), "dense2"))
    assert list(found) == list(expected)
    for a, b in zip(found.values(), expected.values(), strict=True):
        assert a == pytest.approx(b, abs=1e-5, nan_ok=True)


@pytest.mark.slow
def test_one_layer_by_its_path_or_itself(net, digit):
    for layer in ("conv2", net["conv2"], net[3]):
        assert list(rows(show_feature_maps(net, digit, layer))) == [
            "image\n1 channel, 28 x 28",
            "conv2 (Conv2d)\n2 maps, 13 x 13",
        ]


def test_images_of_colors(rng):
    net = nn.Sequential([nn.Conv2d(3, 3, activation="relu")]).build((3, 8, 9), seed=0)
    image = rng.integers(0, 256, (3, 8, 9), dtype=np.uint8)
    for given in (image, image.transpose(1, 2, 0)):
        found = rows(show_feature_maps(net, given))
        assert list(found) == [
            "image\n3 channels, 8 x 9",
            "conv1 (Conv2d, relu)\n3 maps, 6 x 7",
        ]
        colors = found["image\n3 channels, 8 x 9"][:, :9]
        assert colors == pytest.approx(image.transpose(1, 2, 0) / 255, abs=1e-5)


def test_an_image_of_equal_sides_has_its_channels_first(rng):
    net = nn.Sequential([nn.Flatten()]).build((3, 3, 3))
    image = rng.random((3, 3, 3)).astype(np.float32)
    found = rows(show_feature_maps(net, image))["flatten1 (Flatten)\n27 numbers"]
    assert np.array_equal(found, image.ravel())


@pytest.mark.slow
def test_a_model_on_rows_of_pixels(digit):
    model = keras.Sequential([keras.layers.Dense(12, activation="relu", input_shape=(784,))])
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.build()
    for image in (digit, digit[0], digit.reshape(1, 784), digit.ravel()):
        found = rows(show_feature_maps(model, image))
        assert len(found) == 3
        assert found["input\n784 numbers"].ravel() == pytest.approx(digit.ravel() / 255)
        assert list(found.values())[-1].sum() == pytest.approx(1)
    with pytest.raises(ShapeError, match="a batch of 3 images"):
        show_feature_maps(model, np.zeros((3, 784), np.uint8))


class Block(nn.Module):
    """A module of one's own: a layer that is called twice, in a module in a list."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 3, padding="same")
        self.parts = [nn.Sequential([nn.Conv2d(2, 3, padding="same"), nn.ReLU()])]

    def forward(self, x):
        x = self.stem(x)
        x = self.parts[0](self.parts[0](x))
        return F.flatten(x).sum(axis=1)


@pytest.mark.slow
def test_a_module_of_ones_own(digit):
    net = Block().build((1, 28, 28), seed=0)
    names = [label.split()[0] for label in rows(show_feature_maps(net, digit))]
    twice = ["parts.0.conv1", "parts.0.relu1"] * 2
    assert sorted(names) == sorted({"image", "stem", *twice})  # labels are keys here
    picture = show_feature_maps(net, digit)
    labels = [axes.get_ylabel().split()[0] for axes in picture.axes if axes.get_ylabel()]
    assert labels == ["image", "stem", *twice]
    assert len(rows(show_feature_maps(net, digit, "parts.0"))) == 2
    assert len(rows(show_feature_maps(net, digit, net))) == 2  # a single number


def test_the_model_is_left_as_it_was(net, digit):
    net.train()
    calls = []
    with net.observe(lambda *call: calls.append(call)):
        show_feature_maps(net, digit)
    assert not calls
    assert all(module.training for module in net.modules())
    assert net.observer is None
    assert all(parameter.grad is None for parameter in net.parameters())
    assert net(digit[None] / np.float32(255)).requires_grad


@pytest.mark.parametrize("device", ["sim", "cuda"])
def test_a_model_on_a_device(digit, device):
    def row(device: str) -> dict[str, np.ndarray]:
        layers = [nn.Conv2d(2, 3), nn.ReLU(), nn.Flatten(), nn.Dense(3)]
        net = nn.Sequential(layers).build((1, 8, 8), seed=0, device=device)
        return rows(show_feature_maps(net, digit[:, 8:16, 8:16]))

    try:
        backend.get(device)
    except DeviceError as error:
        pytest.skip(str(error))
    expected, found = row("cpu"), row(device)
    assert list(found) == list(expected)
    for a, b in zip(found.values(), expected.values(), strict=True):
        assert a == pytest.approx(b, abs=1e-4, nan_ok=True)


# ---- errors --------------------------------------------------------------------------------


def test_there_is_no_such_layer(net, digit):
    with pytest.raises(NoLayerError, match="nothing at 'conv3'") as error:
        show_feature_maps(net, digit, "conv3")
    assert "conv2" in error.value.cause
    for other in (nn.ReLU(), 7, [1], nn.Conv2d):
        with pytest.raises(NoLayerError, match="is no layer of") as error:
            show_feature_maps(net, digit, other)
        assert "conv2" in error.value.cause
        assert "0x" not in error.value.message


def test_a_layer_that_is_not_called(digit):
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Flatten(), nn.ReLU()

        def forward(self, x):
            return self.used(x)

    with pytest.raises(UsageError, match="forward did not call idle"):
        show_feature_maps(Lazy().build((1, 28, 28)), digit, "idle")


def test_what_is_no_model(digit):
    with pytest.raises(UsageError, match="the model is a ndarray"):
        show_feature_maps(digit, digit)
    with pytest.raises(UsageError, match="the model is a type"):
        show_feature_maps(nn.Sequential, digit)
    with pytest.raises(UsageError, match="is not built"):
        show_feature_maps(nn.Sequential([nn.Conv2d(2, 3)]), digit)


def test_a_model_of_two_inputs(digit):
    class Sum(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(UsageError, match="Sum has 2 inputs"):
        show_feature_maps(Sum().build((1, 28, 28), (1, 28, 28)), digit)


@pytest.mark.parametrize("shape", [(1, 20, 20), (2, 28, 28), (7,), (2, 1, 28, 28)])
def test_an_image_that_does_not_fit(shape):
    net = models.get("lenet").build((1, 28, 28))
    with pytest.raises(ShapeError):
        show_feature_maps(net, np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (5, 28, 28, 1), (2, 3, 4, 5)])
def test_a_batch_of_several_images(net, shape):
    with pytest.raises(ShapeError, match=f"a batch of {shape[0]} images") as error:
        show_feature_maps(net, np.zeros(shape, np.uint8))
    assert error.value.fix == "give one image, such as images[0]"


def test_outputs_that_are_not_finite(net, digit):
    net["conv2"].weight.data[:] = np.nan
    with pytest.raises(
        DataError, match=r"show_feature_maps: conv2 \(Conv2d\): the array holds NaN"
    ):
        show_feature_maps(net, digit)


@pytest.mark.slow
def test_nothing_is_cut_off(net, digit):
    picture = show_feature_maps(net, digit)
    picture.png()
    box = picture.get_tightbbox()
    width, height = picture.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= width
    assert box.y1 <= height
