"""Filters as pictures: which weights, at which place, in which colors."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import Tensor, backend, keras, models, nn, plots
from gpucnn.errors import DataError, DeviceError, DtypeError, ShapeError, UsageError
from gpucnn.plots import show_filters

pytest.importorskip("matplotlib")


def panels(picture: plots.Picture) -> list[np.ndarray]:
    """The arrays in the axes, in order."""
    return [np.asarray(axes.images[0].get_array()) for axes in picture.axes if axes.images]


def tile(panel: np.ndarray, row: int, column: int, KH: int, KW: int) -> np.ndarray:
    return panel[row * KH : (row + 1) * KH, column * KW : (column + 1) * KW]


@pytest.mark.parametrize(("F", "columns"), [(1, 1), (5, 3), (6, 3), (64, 8)])
def test_filters_of_one_channel_are_a_grid(rng, F, columns):
    weight = rng.normal(size=(F, 1, 3, 2))
    picture = show_filters(weight)
    (panel,) = panels(picture)
    assert panel.shape == (3 * -(-F // columns), 2 * columns)
    for place in range(F):
        assert np.array_equal(tile(panel, *divmod(place, columns), 3, 2), weight[place, 0])
    assert np.isfinite(panel).sum() == weight.size
    assert picture.get_suptitle() == f"{F} filter{'s' * (F > 1)} of 3 x 2, 1 channel"


def test_white_is_zero_and_the_color_bar_is_of_the_weights(rng):
    weight = rng.normal(size=(4, 1, 3, 3)) + 2
    picture = show_filters(weight)
    (image,) = picture.axes[0].images
    most = np.abs(weight).max()
    assert image.get_clim() == (-most, most)
    assert image.get_cmap().name == "RdBu_r"
    assert image.cmap(image.norm(0.0)) == pytest.approx((0.97, 0.97, 0.97, 1), abs=0.01)
    assert picture.axes[-1].get_ylabel() == "weight"


def test_filters_of_colors_are_shown_in_color_and_by_channel(rng):
    weight = rng.normal(size=(7, 3, 4, 4))
    picture = show_filters(weight)
    in_color, *channels = panels(picture)
    most = np.abs(weight).max()
    assert len(channels) == 3
    for place in range(7):
        at = divmod(place, 3)
        expected = 0.5 + weight[place].transpose(1, 2, 0) / (2 * most)
        assert tile(in_color, *at, 4, 4) == pytest.approx(expected)
        for channel, panel in enumerate(channels):
            assert np.array_equal(tile(panel, *at, 4, 4), weight[place, channel])
    titles = [axes.get_title() for axes in picture.axes[:4]]
    assert titles == ["in color, gray is 0", "red", "green", "blue"]
    assert [text.get_text() for text in picture.axes[1].get_yticklabels()] == ["0-2", "3-5", "6"]


@pytest.mark.slow
@pytest.mark.parametrize(("F", "C", "k"), [(16, 6, 5), (4, 2, 3), (20, 12, 1), (1, 4, 3)])
def test_other_filters_are_rows_of_channels(rng, F, C, k):
    weight = rng.normal(size=(F, C, k, k))
    picture = show_filters(weight)
    (panel,) = panels(picture)
    for filter_ in range(F):
        for channel in range(C):
            assert np.array_equal(tile(panel, filter_, channel, k, k), weight[filter_, channel])
    assert (picture.axes[0].get_ylabel(), picture.axes[0].get_xlabel()) == ("filter", "channel")


@pytest.mark.slow
def test_many_filters_are_cut_and_the_title_says_so(rng):
    weight = rng.normal(size=(128, 32, 3, 3))
    picture = show_filters(weight)
    (panel,) = panels(picture)
    assert panel.shape == (64 * 3, 16 * 3)
    assert (
        picture.get_suptitle()
        == "the first 64 of 128 filters of 3 x 3, the first 16 of 32 channels"
    )
    assert picture.axes[0].images[0].get_clim()[1] == np.abs(weight[:64, :16]).max()


def test_the_layers_of_a_model():
    net = models.get("lenet").build((1, 28, 28), seed=0)
    picture = show_filters(net["conv2"])
    assert np.array_equal(tile(panels(picture)[0], 15, 5, 5, 5), net["conv2"].weight.numpy()[15, 5])
    assert picture.get_suptitle() == "conv2 (Conv2d)\n16 filters of 5 x 5, 6 channels"


def test_arrays_of_any_kind(rng):
    weight = rng.normal(size=(2, 1, 3, 3)).astype(np.float32)
    kinds = [Tensor(weight), weight.tolist()]
    try:
        kinds.append(backend.get("sim").asarray(weight))
    except DeviceError as error:
        pytest.skip(str(error))
    for given in kinds:
        assert np.array_equal(panels(show_filters(given))[0], np.hstack(weight[:, 0]))


def test_all_weights_are_zero():
    picture = show_filters(np.zeros((2, 1, 3, 3)))
    assert picture.axes[0].images[0].get_clim() == (-1, 1)


# ---- Dense ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_units_of_a_dense_are_images(rng):
    net = nn.Sequential([nn.Flatten(), nn.Dense(3)]).build((1, 6, 6), seed=0)
    weight = rng.normal(size=(36, 3)).astype(np.float32)
    net["dense1"].weight.data[:] = weight
    (panel,) = panels(show_filters(net["dense1"]))
    assert np.array_equal(tile(panel, 1, 0, 6, 6), weight[:, 2].reshape(6, 6))
    (panel,) = panels(show_filters(net["dense1"], image_shape=(4, 9)))
    assert np.array_equal(tile(panel, 0, 1, 4, 9), weight[:, 1].reshape(4, 9))
    panel = panels(show_filters(net["dense1"], image_shape=[3, 4, 3]))[2]
    assert np.array_equal(tile(panel, 0, 1, 4, 3), weight[:, 1].reshape(3, 4, 3)[1])
    (panel,) = panels(show_filters(weight, image_shape=(6, 6)))
    assert np.array_equal(tile(panel, 0, 0, 6, 6), weight[:, 0].reshape(6, 6))


def test_a_dense_of_keras(rng):
    model = keras.Sequential([keras.layers.Dense(2, input_shape=(16,))])
    model.build()
    assert panels(show_filters(model.layers[0]))[0].shape == (4, 8)


def test_a_dense_that_is_not_on_squares():
    layer = nn.Dense(2, input_shape=(30,)).build()
    with pytest.raises(ShapeError, match="the 30 inputs of the layer are not the pixels") as error:
        show_filters(layer)
    assert "image_shape=" in error.value.fix
    for wrong in [(5, 5), (30,), 30, "5x6", (5.0, 6.0), (1, 1, 5, 6)]:
        with pytest.raises(ShapeError, match=r"image_shape is .*, for a layer of 30 inputs"):
            show_filters(layer, image_shape=wrong)
    assert panels(show_filters(layer, image_shape=(5, 6)))[0].shape == (5, 12)


# ---- errors --------------------------------------------------------------------------------


def test_a_layer_that_is_not_built():
    with pytest.raises(UsageError, match="is not built") as error:
        show_filters(nn.Conv2d(4, 3))
    assert "build" in error.value.fix


def test_a_layer_without_a_weight():
    net = models.get("lenet").build((1, 28, 28))
    with pytest.raises(UsageError, match=r"lenet \(Sequential\) has no weight") as error:
        show_filters(net)
    assert error.value.fix == "give one of its layers: conv1, conv2, dense1, dense2, dense3"
    with pytest.raises(UsageError, match=r"pool1 \(MaxPool2d\) has no weight"):
        show_filters(net["pool1"])


@pytest.mark.parametrize("shape", [(9,), (3, 3), (4, 3, 3), (1, 1, 1, 3, 3)])
def test_arrays_that_are_no_filters(shape):
    with pytest.raises(ShapeError, match="show_filters: the weight has the shape") as error:
        show_filters(np.ones(shape))
    assert "array[None, None]" in error.value.fix


def test_values_that_have_no_color():
    with pytest.raises(DataError, match="show_filters: the array holds NaN"):
        show_filters(np.full((1, 1, 3, 3), np.nan))
    with pytest.raises(DtypeError, match="show_filters: a list holds no real numbers") as error:
        show_filters(nn.Conv2d(4, 3).build((1, 5, 5)).get_weights())
    assert error.value.cause == "its elements have different shapes"
    assert error.value.fix == "give one of them, or elements of one shape"
    with pytest.raises(DtypeError, match="show_filters: a type holds no real numbers"):
        show_filters(nn.Conv2d)
    with pytest.raises(DtypeError, match="show_filters: a str holds no real numbers"):
        show_filters("conv1")
    with pytest.raises(ShapeError, match="empty"):
        show_filters(np.zeros((0, 1, 3, 3)))


@pytest.mark.parametrize("shape", [(5, 1, 3, 2), (7, 3, 4, 4), (4, 20, 3, 3)])
def test_it_is_drawn(rng, shape):
    assert show_filters(rng.normal(size=shape)).png().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (128, 32, 3, 3), (3, 3, 2, 9), (64, 1, 28, 28)])
def test_nothing_is_cut_off(rng, shape):
    picture = show_filters(rng.normal(size=shape))
    picture.png()
    box = picture.get_tightbbox()
    width, height = picture.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= width
    assert box.y1 <= height
