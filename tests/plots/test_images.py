"""Images as pictures: what is drawn, in which colors, under which titles."""

from __future__ import annotations

import importlib.util
import io
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpucnn import Tensor, backend, data, plots
from gpucnn.errors import (
    DataError,
    DeviceError,
    DtypeError,
    MissingExtraError,
    ShapeError,
    UsageError,
)
from gpucnn.plots import show_image

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


def drawn(picture: plots.Picture) -> list[np.ndarray]:
    """The arrays in the axes, in order."""
    return [np.asarray(each.get_array()) for axes in picture.axes for each in axes.images]


def limits(picture: plots.Picture) -> tuple[float, float]:
    return picture.axes[0].images[0].get_clim()


def titles(picture: plots.Picture) -> list[str]:
    return [axes.get_title() for axes in picture.axes if axes.images]


def color_bars(picture: plots.Picture) -> list[Any]:
    return [axes for axes in picture.axes if axes.get_label() == "<colorbar>"]


def test_a_gray_image_in_pixels(rng):
    image = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    picture = show_image(image, "some noise")
    (shown,) = drawn(picture)
    assert np.array_equal(shown, image)
    assert limits(picture) == (0, 255)
    (axes,) = picture.axes
    assert axes.get_title() == "some noise"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x (pixels)", "y (pixels)")
    assert axes.images[0].get_cmap().name == "gray"
    assert axes.get_ylim() == (19.5, -0.5)  # row 0 is on top


@pytest.mark.parametrize("shape", [(1, 9, 7), (9, 7, 1), (1, 1, 9, 7), (1, 9, 7, 1)])
def test_layouts_of_one_channel(rng, shape):
    image = rng.integers(0, 256, (9, 7), dtype=np.uint8)
    assert np.array_equal(drawn(show_image(image.reshape(shape)))[0], image)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_layouts_of_colors(rng, axes, dtype):
    image = rng.integers(0, 256, (3, 9, 7)).astype(np.uint8)
    given = image if dtype is np.uint8 else image.astype(dtype) / 255
    (shown,) = drawn(show_image(given.transpose(axes)))
    assert shown == pytest.approx(image.transpose(1, 2, 0) / 255, abs=1e-6)


def test_a_shape_of_both_layouts_has_its_channels_first(rng):
    image = rng.integers(0, 256, (3, 8, 3)).astype(np.uint8)
    assert drawn(show_image(image))[0].shape == (8, 3, 3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0, 255], [7, 9]], (0, 255)),
        ([[0, 1], [1, 0]], (0, 1)),
        ([[False, True], [True, True]], (0, 1)),
        ([[0.25, 0.5], [0.5, 0.75]], (0, 1)),
        ([[-1, 2], [0, 1]], (-1, 2)),
        ([[0, 300], [0, 1]], (0, 300)),
        ([[0.0, 255.0], [3.0, 4.0]], (0, 255)),
        (np.array([[-3, 4], [0, 1]], np.float16), (-3, 4)),
    ],
)
def test_black_and_white(values, expected):
    picture = show_image(values)
    assert limits(picture) == expected
    bars = color_bars(picture)
    assert len(bars) == (expected not in [(0, 1), (0, 255)])
    assert all(bar.get_ylabel() == "value of a pixel" for bar in bars)


def test_colors_of_any_range_are_scaled_and_say_so():
    image = np.array([-2.0, 0.0, 6.0])[:, None, None] + np.zeros((3, 4, 5))
    picture = show_image(image)
    assert drawn(picture)[0][0, 0] == pytest.approx([0, 0.25, 1])
    assert picture.get_supylabel() == "values from -2 (black) to 6 (full color)"


@pytest.mark.slow
@pytest.mark.parametrize("value", [7.5, -1, 1e30])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_one_value(value, channels):
    picture = show_image(np.full((channels, 3, 4), value))
    assert np.isfinite(drawn(picture)[0]).all()


def test_a_batch_is_a_grid_with_a_title_each(rng):
    images = rng.random((5, 1, 6, 8))
    picture = show_image(images, [f"image ${i}$_" for i in range(5)])
    assert titles(picture) == [f"image ${i}$_" for i in range(5)]
    for shown, image in zip(drawn(picture), images, strict=True):
        assert np.array_equal(shown, image[0])
    assert picture.get_supxlabel() == "each 8 x 6 pixels"
    assert len({axes.images[0].get_clim() for axes in picture.axes if axes.images}) == 1


@pytest.mark.parametrize(
    ("title", "heading"),
    [
        pytest.param(None, "the first 64 of 70 images", marks=pytest.mark.slow),
        ("noise", "noise: the first 64 of 70 images"),
    ],
)
def test_a_large_batch_is_cut_and_says_so(title, heading):
    picture = show_image(np.zeros((70, 1, 2, 2)), title)
    assert len(titles(picture)) == 64
    assert picture.get_suptitle() == heading


@pytest.mark.slow
@pytest.mark.parametrize("device", ["sim", "cuda"])
def test_arrays_of_a_device(rng, device):
    try:
        on_device = backend.get(device).asarray
    except DeviceError as error:
        pytest.skip(str(error))
    image = rng.random((4, 5)).astype(np.float32)
    for given in (on_device(image), Tensor(on_device(image)), Tensor(image), image.tolist()):
        assert np.array_equal(drawn(show_image(given))[0], image)


def test_other_colors():
    picture = show_image([[0, 1]], cmap="gray_r")
    assert picture.axes[0].images[0].get_cmap().name == "gray_r"
    with pytest.raises(UsageError, match="unknown cmap 'gray-r'") as error:
        show_image([[0, 1]], cmap="gray-r")
    assert "did you mean gray_r" in str(error.value)


@pytest.mark.parametrize(
    ("array", "fix"),
    [
        (np.zeros(784), "array.reshape(28, 28)"),
        (np.zeros((5, 28, 28)), "array[:, None] for 5 gray images"),
        (np.zeros((28, 28, 4)), "array[..., :3]"),
        (np.zeros((9, 16, 5, 5)), "show_feature_maps"),
        (np.zeros((1, 1, 1, 4, 4)), "reshape"),
        (3.0, "reshape"),
    ],
)
def test_what_is_no_image(array, fix):
    with pytest.raises(ShapeError, match="is not the shape of an image") as error:
        show_image(array)
    assert fix in error.value.fix


@pytest.mark.parametrize("shape", [(0, 28), (0, 1, 28, 28), (3, 0, 4)])
def test_empty_arrays(shape):
    with pytest.raises(ShapeError, match=r"show_image: the array of shape .* is empty"):
        show_image(np.zeros(shape))


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_values_that_have_no_color(value, name):
    with pytest.raises(DataError, match=f"holds {name}"):
        show_image([[0, value]])


@pytest.mark.parametrize(
    "values", ["a name", [[1], [2, 3]], [[1j]], None, object(), {"a": 1}, plots]
)
def test_what_holds_no_numbers(values):
    with pytest.raises(DtypeError, match=r"show_image: a .* holds no real numbers"):
        show_image(values)


@pytest.mark.parametrize(("count", "given"), [(2, ["a"]), (2, ["a", "b", "c"]), (None, ["a", "b"])])
def test_titles_that_do_not_match(count, given):
    array = np.zeros((4, 4)) if count is None else np.zeros((count, 1, 4, 4))
    with pytest.raises(UsageError, match=f"{len(given)} titles for {count or 1} images"):
        show_image(array, given)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (64, 3, 5, 9)])
def test_nothing_is_cut_off(shape):
    """All that is drawn lies inside of the picture."""
    picture = show_image(np.linspace(-1, 1, np.prod(shape)).reshape(shape), "title")
    picture.png()
    box = picture.get_tightbbox()
    width, height = picture.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= width
    assert box.y1 <= height


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (3, 1, 4, 5)])
def test_it_is_drawn(shape):
    picture = show_image(np.linspace(-1, 9, np.prod(shape)).reshape(shape), "a $title_")
    assert picture.png().startswith(b"\x89PNG")


# ---- Picture -------------------------------------------------------------------------------


def test_a_picture_is_a_figure_that_a_notebook_displays(tmp_path):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    picture = show_image([[0, 1]])
    assert isinstance(picture, plots.Picture)
    assert isinstance(picture, Figure)
    assert not pyplot.get_fignums()
    png = picture._repr_png_()
    image = Image.open(io.BytesIO(png))
    assert image.size == tuple(int(160 * inches) for inches in picture.get_size_inches())
    assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    picture.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes() == png


def test_show_displays_it_in_a_notebook(monkeypatch):
    displayed = []
    shell = SimpleNamespace(kernel=object())
    display = SimpleNamespace(display=displayed.append)
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    picture = show_image([[0, 1]])
    picture.show()
    assert displayed == [picture]


@pytest.mark.parametrize("opened", [True, False])
def test_show_opens_it_as_pillow_does(monkeypatch, opened):
    from PIL import ImageShow

    seen = []
    in_a_terminal = SimpleNamespace(get_ipython=lambda: None)
    monkeypatch.setitem(sys.modules, "IPython", in_a_terminal)
    monkeypatch.setattr(ImageShow, "show", lambda image: seen.append(image) or opened)
    picture = show_image([[0, 1]])
    if opened:
        picture.show()
    else:
        with pytest.raises(UsageError, match="no program that shows pictures"):
            picture.show()
    assert seen[0].size == Image.open(io.BytesIO(picture.png())).size


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: show_image([[0]]), "show_image"),
        (lambda: data.load("digits").train.show(0), "show"),
        (lambda: plots.Picture, "gpucnn.plots.Picture"),
        (lambda: plots.require("--plot"), "--plot"),
    ],
)
def test_without_matplotlib_the_call_is_named(monkeypatch, call, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(MissingExtraError, match=f"^{name} needs Matplotlib") as error:
        call()
    assert error.value.fix == 'pip install "gpucnn[plot]"'


def test_other_names_are_not_there():
    assert not hasattr(plots, "picture_of")
    with pytest.raises(AttributeError, match="no attribute 'picture_of'"):
        _ = plots.picture_of


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("count", "length"), [(1, 1600), (1, 1601), (1, 9000), (9, 535), (64, 900)]
)
def test_images_that_are_too_large_to_be_seen(channels: int, count: int, length: int) -> None:
    """Of them every k-th pixel is drawn, on axes that count all pixels."""
    ramp = np.arange(length) * 255 // length
    image = np.broadcast_to(ramp.astype(np.uint8)[:, None], (channels, length, 20))
    picture = show_image(np.broadcast_to(image, (count, *image.shape)))
    most = {1: 1600, 9: 533, 64: 480}[count]
    step = -(-length // most)
    for axes, shown in zip(picture.axes, drawn(picture), strict=True):
        assert len(shown) == -(-length // step) <= most
        values = shown if channels == 1 else shown[..., 0] * 255
        np.testing.assert_allclose(values[:, 0], ramp[::step])
        assert axes.get_ylim() == (length - 0.5, -0.5)
        assert axes.get_xlim() == (-0.5, 19.5)
