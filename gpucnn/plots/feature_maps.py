"""The outputs of the layers of a model for one image, as pictures.

C channels, H x W pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.errors import NoLayerError, ShapeError, UsageError
from gpucnn.plots.arrays import is_module, limits, to_host
from gpucnn.plots.extra import require
from gpucnn.plots.tiles import draw_tiles, signed
from gpucnn.recording import no_grad

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gpucnn.plots.picture import Picture

_CALL = "show_feature_maps"
_MAPS = 16  # of a layer that are shown
_BARS = 32  # numbers of a layer that are drawn as bars; more are a strip of colors
_WIDTH = 10.0  # inches of all maps of a row
_BAR = "#4477aa"


class _Output(NamedTuple):
    name: str  # of the layer, with its type
    values: NDArray[Any]  # without the batch axis


def show_feature_maps(model: Any, image: Any, layer: Any = None) -> Picture:
    """A picture of the outputs of the layers for an image: the image above, then a row a layer.

    An output (C, H, W) is drawn as its first 16 maps, one of up to 32 numbers as bars, a longer one
    as a strip. Each row has its own colors: white is 0, red is above and blue is below. The model
    runs in evaluation mode and records nothing; a ReLU or a pooling that training folds into a
    convolution has a row of its own.

    Args:
        model: a built `gpucnn.nn.Module` of one input, on any device.
        image: (C, H, W) or (H, W), or as the model takes it. Pixels of 0 to 255 as integers are
            divided by 255, as for training; floats are taken as they are.
        layer: one layer, itself or its path, such as "conv2"; by default all of those that have
            parameters of their own or no layers in them.

    Raises:
        UsageError: `model` is no module, is not built, or has several inputs; or `forward` does not
            call the layer.
        NoLayerError: there is no such layer.
        ShapeError: the image does not fit the model, or is a batch of several.
        DtypeError, DataError: the image, or an output, holds no real numbers; NaN or infinity.
        MissingExtraError: Matplotlib is not installed.
    """
    require(_CALL)
    _check(model)
    values = _input(model, to_host(image, _CALL))
    outputs = _outputs(model, values, None if layer is None else _find(model, layer))
    return _draw(values, outputs, f"{model.display_name}: blue is below 0, red is above")


def _check(model: Any) -> None:
    if not is_module(model):
        raise UsageError(
            f"{_CALL}: the model is a {type(model).__name__}",
            cause="it must be a gpucnn.nn.Module, which has layers",
            fix="write show_feature_maps(model, image)",
        )
    model.require_built()
    inputs = model.built_for or ()
    if len(inputs) != 1:
        raise UsageError(
            f"{_CALL}: {model.display_name} has {len(inputs)} inputs",
            cause="only models of one image can be shown",
            fix="give the part of the model that takes the image",
        )


def _input(model: Any, image: NDArray[Any]) -> NDArray[Any]:
    """The image as the model takes it, without the batch axis."""
    (shape,) = model.built_for
    if image.dtype.kind != "f" and limits(image) == (0, 255):
        image = image / 255
    image = image.astype(np.float32)
    if image.ndim == len(shape) + 1 and len(image) == 1:
        image = image[0]
    if image.shape == shape:
        return image
    if image.ndim == 3 and image.shape == (*shape[1:], shape[0]):
        return image.transpose(2, 0, 1)
    if image.size == math.prod(shape) and (1 in (image.ndim, len(shape)) or image.ndim == 2):
        return image.reshape(shape)
    if image.ndim == len(shape) + 1:
        raise ShapeError(
            f"{_CALL}: a batch of {len(image)} images",
            cause="it shows the outputs for one image",
            fix="give one image, such as images[0]",
        )
    return image[None] if image.ndim == 2 else image


def _find(model: Any, layer: Any) -> Any:
    """A layer by its path, or itself; it must be of the model."""
    if isinstance(layer, str):
        return model.named_modules()[layer]  # its error lists the paths
    if layer in model.modules():
        return layer
    name = layer.display_name if is_module(layer) else f"layer={layer!r}"
    raise NoLayerError(
        f"{_CALL}: {name} is no layer of {model.display_name}",
        cause=f"its layers are {', '.join(filter(None, dict(model.named_modules())))}",
        fix="give one of these names, or a layer of this model",
    )


def _outputs(model: Any, image: NDArray[Any], wanted: Any) -> list[_Output]:
    """The outputs of the layers, in the order of their calls."""
    paths = {id(module): path for path, module in model.named_modules()}
    owners = {path.rpartition(".")[0] for path, _ in model.named_parameters()}
    found: list[_Output] = []

    def observe(module: Any, inputs: Any, output: Any) -> None:
        path = paths[id(module)]
        if module is wanted or (
            wanted is None and (path in owners or not module.named_children().keys())
        ):
            name = _name(module, path)
            batch = np.atleast_1d(to_host(output, f"{_CALL}: {name}"))
            found.append(_Output(name, batch[0].copy()))  # a later layer may work in place

    x = backends.get(model.device).asarray(image[None])
    with model.evaluating(), no_grad(), model.observe(observe):
        model(x)
    if not found:
        raise UsageError(
            f"{_CALL}: forward did not call {paths.get(id(wanted)) or 'a layer'}",
            cause="only the output of a layer that is called can be shown",
            fix="give another layer=",
        )
    return found


def _name(module: Any, path: str) -> str:
    """The path of a layer, its type, and the activation that it ends in: conv1 (Conv2d, relu)."""
    name = type(module).__name__
    if hasattr(module, "weight") and getattr(module, "activation", None):
        name += f", {module.activation}"
    return f"{path} ({name})" if path else name


def _draw(image: NDArray[Any], outputs: list[_Output], title: str) -> Picture:
    """A row for the image and for each output: name and shape, values, and color bar."""
    from gpucnn.plots.picture import Picture

    arrays = [image, *(output.values for output in outputs)]
    columns = max(4, *(min(len(a), _MAPS) for a in arrays if a.ndim == 3), 0)
    tile = min(_WIDTH / columns, 1.2)  # inches
    heights = [_height(array.shape, tile) for array in arrays]
    picture = Picture(tile * columns + 2.8, sum(heights) + 0.25 * len(heights) + 0.6)
    first, *rows = picture.subplots(len(arrays), squeeze=False, height_ratios=heights)[:, 0]
    _draw_image(first, image, columns)
    for axes, (name, values) in zip(rows, outputs, strict=True):
        if values.ndim == 3:
            shown = values[:_MAPS]
            _add_color_bar(axes, draw_tiles(axes, shown, columns, **signed(shown)))
            count = f"{len(values)} maps" if len(values) > 1 else "1 map"
            if len(values) > _MAPS:
                count = f"{_MAPS} of {count}"
            _label(axes, f"{name}\n{count}, {values.shape[1]} x {values.shape[2]}")
        else:
            _draw_numbers(axes, values.reshape(-1))
            _label(axes, f"{name}\n{values.size:,} numbers")
    picture.suptitle(title, parse_math=False, fontsize="medium")
    return picture


def _height(shape: tuple[int, ...], tile: float) -> float:
    """Inches of a row whose tiles have this width."""
    if len(shape) == 3:
        return tile * shape[1] / shape[2]
    return 1.0 if math.prod(shape) <= _BARS else 0.5


def _draw_image(axes: Axes, image: NDArray[Any], columns: int) -> None:
    low, high = limits(image)
    if image.ndim != 3:
        _draw_numbers(axes, image.reshape(-1))
        _label(axes, f"input\n{image.size:,} numbers")
        return
    C, H, W = image.shape
    if C == 3:
        colors = (image.transpose(1, 2, 0) - low) / ((high - low) or 1.0)
        draw_tiles(axes, colors[None], columns)
    else:
        shown = draw_tiles(axes, image[:_MAPS], columns, cmap="gray", vmin=low, vmax=high)
        _add_color_bar(axes, shown)
    _label(axes, f"image\n{C} channel{'s' * (C > 1)}, {H} x {W}")


def _draw_numbers(axes: Axes, values: NDArray[Any]) -> None:
    """Bars for a few numbers, a strip of colors for many."""
    if len(values) <= _BARS:
        axes.bar(range(len(values)), values, color=_BAR)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(range(len(values)))
        axes.spines[["top", "right"]].set_visible(False)
    else:
        colors = signed(values)
        shown = axes.imshow(values[None], aspect="auto", interpolation="nearest", **colors)
        axes.set_yticks([])
        _add_color_bar(axes, shown)
    axes.tick_params(labelsize=7)
    axes.set_xlabel("index", fontsize=7)


def _add_color_bar(axes: Axes, shown: Any) -> None:
    bar = axes.figure.colorbar(shown, ax=axes, fraction=0.04, aspect=10)
    bar.ax.tick_params(labelsize=7)


def _label(axes: Axes, text: str) -> None:
    """The text at the left of a row."""
    axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize="small", parse_math=False)
