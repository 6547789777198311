"""The image that a network sees, and the outputs of its first layers, as PNG files."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data.image import as_picture
from gpucnn.nn import Conv2d, Module
from gpucnn.nn.activations import Activation
from gpucnn.quoting import on_one_line
from gpucnn.training import SavedModel

_LAYERS = 3
_MAPS = 16  # of a layer
_SIDE = 112  # pixels of a map; of a larger one, every second, third, ... pixel is shown
_RED, _BLUE = np.array([178, 24, 43]), np.array([33, 102, 172])  # those of gpucnn.plots


def picture(image: NDArray[Any]) -> str:
    """An image uint8 (C, H, W), with C of 1 or 3, as the address of a PNG."""
    return _png(as_picture(image))


def feature_maps(saved: SavedModel, image: NDArray[Any]) -> list[dict[str, Any]]:
    """The outputs of the first convolutions and activations for an image (C, H, W).

    Returns:
        For each layer {"name", "shape", "most", "maps"}: (C, H, W) of its output, its largest
        absolute value, and the address of a PNG for each of its first channels: 0 is white, `most`
        is red and -`most` is blue.
    """
    model = saved.model
    found: dict[int, tuple[Module, NDArray[Any]]] = {}  # by the identity of the layer
    names = {id(module): path for path, module in model.named_modules()}

    def observe(module: Module, inputs: Any, output: Any) -> None:
        shown = isinstance(module, Conv2d | Activation) and len(output.shape) == 4
        if shown and len(found) < _LAYERS and id(module) not in found:
            found[id(module)] = module, output.numpy()[0].copy()  # a later layer may work in place

    scaled = image.astype(np.float32) * np.float32(saved.description.scale)
    scaled += np.float32(saved.description.offset)
    backend = backends.get(model.device)
    with model.evaluating(), no_grad(), backend.quiet_device(), model.observe(observe):
        model(Tensor(backend.asarray(scaled[np.newaxis])))
    return [_shown(names[key], module, output) for key, (module, output) in found.items()]


def _shown(path: str, module: Module, output: NDArray[Any]) -> dict[str, Any]:
    step = math.ceil(max(output.shape[1:]) / _SIDE)
    maps = output[:_MAPS, ::step, ::step]
    most = float(np.abs(output).max())
    strength = (np.abs(maps) / (most or 1.0))[..., np.newaxis]  # (maps, H, W, 1)
    color = np.where(maps[..., np.newaxis] > 0, _RED, _BLUE)
    colors = np.rint(255 + strength * (color - 255)).astype(np.uint8)
    activation = getattr(module, "activation", None)
    kind = type(module).__name__ + (f", {activation}" if activation else "")
    return {
        "name": f"{on_one_line(path)} ({kind})",
        "shape": list(output.shape),
        "most": most,
        "maps": [_png(each) for each in colors],
    }


def _png(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
