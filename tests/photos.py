"""Synthetic photographs of digits: ink on paper or chalk on a board, under uneven light.

A kind of photograph is a few effects, each of which changes a `Scene`; `photograph` draws a digit
into one, applies the effects and takes the picture.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.float64]
_THICK = 0.4  # gray level of MNIST, of 1, where the edge of the drawn ink is


@dataclass
class Scene:
    """What stands before the camera.

    Args:
        rng: where all that is random comes from.
        ink: (H, W), how much of each pixel ink covers, 0 to 1.
        surface: (H, W, 3), what the sheet reflects, 0 to 1.
        pigment: (3,), what the ink reflects.
        light: (H, W, 3), 1 where it is full.
        blur: standard deviation of the lens's blur in pixels.
        noise: standard deviation of the sensor's noise in gray levels.
        quality: of the JPEG file, or None for none.
    """

    rng: np.random.Generator
    ink: Floats
    surface: Floats = field(init=False)
    pigment: Floats = field(init=False)
    light: Floats = field(init=False)
    blur: float = 0.0
    noise: float = 1.0
    quality: int | None = None

    def __post_init__(self) -> None:
        self.surface = np.full((*self.ink.shape, 3), self.rng.uniform(0.85, 0.95))
        self.pigment = np.full(3, self.rng.uniform(0.05, 0.25))
        self.light = np.ones_like(self.surface)

    def take(self) -> NDArray[np.uint8]:
        """The picture, uint8 (H, W, 3)."""
        ink = self.ink[..., np.newaxis]
        picture = 255 * self.light * (self.surface * (1 - ink) + self.pigment * ink)
        if self.blur:
            soft = Image.fromarray(np.rint(picture).astype(np.uint8))
            picture = np.asarray(soft.filter(ImageFilter.GaussianBlur(self.blur)), np.float64)
        picture = picture + self.rng.normal(0, self.noise, picture.shape[:2])[..., np.newaxis]
        picture += self.rng.normal(0, self.noise / 2, picture.shape)
        pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        if self.quality is None:
            return pixels
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality)
        return np.asarray(Image.open(file))


def coordinates(scene: Scene) -> tuple[Floats, Floats]:
    """(rows, columns), (H, W) each, from the picture's center, in units of its shorter side."""
    height, width = scene.ink.shape
    rows, columns = np.mgrid[:height, :width]
    return (rows - height / 2) / min(height, width), (columns - width / 2) / min(height, width)


def ramp(scene: Scene, angle: float) -> Floats:
    """(H, W), rising from 0 to 1 across the picture in a direction."""
    rows, columns = coordinates(scene)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    return (along - along.min()) / np.ptp(along)


def blotches(scene: Scene, size: int) -> Floats:
    """(H, W) smooth random values from 0 to 1, `size` of them along the shorter side."""
    height, width = scene.ink.shape
    grid = [max(2, round(size * side / min(height, width))) for side in (height, width)]
    coarse = Image.fromarray(scene.rng.random(grid).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)


def shaded(scene: Scene) -> None:
    """Light that falls off across the sheet, from 255 down to about 90 of 255."""
    fall = scene.rng.uniform(0.5, 0.65) * ramp(scene, scene.rng.uniform(0, 2 * np.pi))
    scene.light *= (1 - fall)[..., np.newaxis]


def shadow(scene: Scene) -> None:
    """The shadow of a hand or phone, with a soft edge that may cross the digit."""
    rng, (rows, columns) = scene.rng, coordinates(scene)
    angle = rng.uniform(0, 2 * np.pi)
    along = rows * np.sin(angle) + columns * np.cos(angle) - rng.uniform(-0.25, 0.25)
    if rng.random() < 0.5:  # a corner of a phone, not a straight edge
        across = columns * np.sin(angle) - rows * np.cos(angle) - rng.uniform(-0.3, 0.3)
        along = np.minimum(along, across * rng.choice([-1, 1]))
    inside = 1 / (1 + np.exp(-along / rng.uniform(0.01, 0.05)))
    scene.light *= (1 - rng.uniform(0.25, 0.5) * inside)[..., np.newaxis]


def vignette(scene: Scene) -> None:
    """Corners darker than the center."""
    rows, columns = coordinates(scene)
    square = rows**2 + columns**2
    scene.light *= (1 - scene.rng.uniform(0.3, 0.6) * square / square.max())[..., np.newaxis]


def blurred(scene: Scene) -> None:
    """Out of focus, or enlarged from a small picture."""
    scene.blur = scene.rng.uniform(0.003, 0.012) * min(scene.ink.shape)


def noisy(scene: Scene) -> None:
    """The noise of a sensor in little light."""
    scene.noise = scene.rng.uniform(6, 16)


def jpeg(scene: Scene) -> None:
    """A small file."""
    scene.quality, scene.noise = int(scene.rng.integers(12, 40)), 3.0


def colored(scene: Scene) -> None:
    """Yellowish or bluish light, and blue, red or black ink."""
    yellow = np.array([1.0, 0.88, scene.rng.uniform(0.55, 0.8)])
    scene.light *= yellow if scene.rng.random() < 0.5 else yellow[::-1]
    inks = [[0.1, 0.15, 0.55], [0.65, 0.1, 0.1], [0.1, 0.1, 0.1]]
    scene.pigment = np.array(inks[scene.rng.integers(3)])


def _table(scene: Scene, colors: list[list[float]], corner: bool) -> None:
    rng, (rows, columns) = scene.rng, coordinates(scene)
    height, width = scene.ink.shape
    color = np.array(colors[rng.integers(len(colors))]) * rng.uniform(0.8, 1.1)
    grain = 1 - 0.15 * blotches(scene, 40)[..., np.newaxis] * rng.random()
    tilt = rng.uniform(-0.15, 0.15)
    outside = np.zeros(scene.ink.shape, bool)
    sides = rng.permutation(4)[: 2 if corner else 1]
    if corner and (sides[0] - sides[1]) % 2 == 0:
        sides[1] = (sides[1] + 1) % 4
    for side in sides:
        angle = side * np.pi / 2 + tilt
        along = rows * np.sin(angle) + columns * np.cos(angle)
        reach = (width if side % 2 == 0 else height) / min(height, width) / 2
        outside |= along > reach - rng.uniform(0.05, 0.2)
    # The digit stays on the sheet.
    digit_rows, digit_columns = (np.flatnonzero(scene.ink.any(axis=axis)) for axis in (1, 0))
    margin = min(height, width) // 40
    box = (
        slice(max(0, digit_rows[0] - margin), digit_rows[-1] + margin),
        slice(max(0, digit_columns[0] - margin), digit_columns[-1] + margin),
    )
    if outside[box].any():
        return _table(scene, colors, corner)
    scene.surface = np.where(outside[..., np.newaxis], color * grain, scene.surface)
    return None


def dark_table(scene: Scene) -> None:
    """The sheet ends inside the picture, on a dark or wooden table."""
    _table(scene, [[0.15, 0.15, 0.17], [0.5, 0.33, 0.2], [0.4, 0.4, 0.4]], scene.rng.random() < 0.5)


def light_table(scene: Scene) -> None:
    """A gray or brown sheet ends inside the picture, on a lighter table."""
    scene.surface *= np.array([[0.62, 0.62, 0.6], [0.7, 0.62, 0.5]][scene.rng.integers(2)])
    _table(scene, [[0.95, 0.95, 0.95], [0.9, 0.85, 0.75]], scene.rng.random() < 0.5)


def _lines(scene: Scene, both: bool) -> None:
    rng, (rows, columns) = scene.rng, coordinates(scene)
    side = min(scene.ink.shape)
    distance, tilt = rng.uniform(0.04, 0.09), rng.uniform(-0.05, 0.05)
    thickness = max(1.0, side / 400)  # pixels
    color = np.array([[0.55, 0.7, 0.9], [0.7, 0.7, 0.7], [0.85, 0.65, 0.6]][rng.integers(3)])
    for along in (rows + tilt * columns, columns - tilt * rows)[: 1 + both]:
        off = np.abs((along / distance + 0.5) % 1 - 0.5) * distance * side  # pixels from a line
        line = np.clip(thickness / 2 + 0.5 - off, 0, 1)[..., np.newaxis]
        scene.surface *= 1 - line * (1 - color) * rng.uniform(0.6, 0.9)


def ruled(scene: Scene) -> None:
    """Paper with faint lines."""
    _lines(scene, both=False)


def squared(scene: Scene) -> None:
    """Paper with faint squares."""
    _lines(scene, both=True)


def pencil(scene: Scene) -> None:
    """Gray strokes with the paper's grain in them."""
    grain = blotches(scene, min(scene.ink.shape) // 3)
    scene.ink = scene.ink * np.clip(0.7 + 0.6 * grain, 0, 1)
    scene.pigment = scene.surface.mean(axis=(0, 1)) - scene.rng.uniform(0.2, 0.35)
    scene.noise = 2.5


def chalk(scene: Scene) -> None:
    """White on a board that was wiped unevenly."""
    rng = scene.rng
    board = np.array([[0.12, 0.14, 0.13], [0.15, 0.25, 0.2]][rng.integers(2)])
    smears = blotches(scene, 4) * rng.uniform(0.1, 0.2) + blotches(scene, 12) * 0.06
    scene.surface = board + smears[..., np.newaxis]
    scene.pigment = np.full(3, rng.uniform(0.75, 0.95))
    grain = rng.random(scene.ink.shape)
    scene.ink = scene.ink * np.where(grain < 0.25, 0.5, 1.0)
    scene.noise = 3.0


Effect = Callable[[Scene], None]


@dataclass(frozen=True)
class Kind:
    """A kind of photograph.

    Args:
        effects: what changes the scene, in their order.
        stroke: the stroke's width as a part of the digit's height, (least, most); None for the
            strokes that the digit has.
        height: the digit's height as a part of the shorter side, (least, most).
        spread: how far the digit is off the center: 0 not, 1 up to the picture's edge.
    """

    effects: tuple[Effect, ...] = ()
    stroke: tuple[float, float] | None = None
    height: tuple[float, float] = (0.25, 0.7)
    spread: float = 0.5


KINDS = {
    "clean": Kind(),
    "blurred": Kind((shaded, blurred)),
    "shaded": Kind((shaded,)),
    "shadow": Kind((shadow,)),
    "vignette": Kind((vignette,)),
    "jpeg": Kind((shaded, jpeg)),
    "noisy": Kind((shaded, noisy)),
    "colored": Kind((colored, shaded)),
    "dark table": Kind((dark_table, shaded), height=(0.2, 0.5)),
    "light table": Kind((light_table, shaded), height=(0.2, 0.5)),
    "ruled": Kind((ruled, shaded)),
    "squared": Kind((squared, shaded)),
    "pencil": Kind((pencil, shaded), stroke=(0.02, 0.05)),
    "pen": Kind((shaded,), stroke=(0.03, 0.07)),
    "marker": Kind((shaded,), stroke=(0.12, 0.2)),
    "chalk": Kind((chalk, vignette)),
    "off center": Kind((shaded,), height=(0.1, 0.3), spread=1.0),
    "any size": Kind((shaded,), height=(0.1, 0.95), spread=0.9),
    "phone": Kind((ruled, dark_table, shaded, shadow, jpeg), stroke=(0.04, 0.1), height=(0.2, 0.5)),
}


def photograph(
    kind: str,
    digit: NDArray[np.uint8],
    rng: np.random.Generator,
    size: tuple[int, int] = (600, 800),
) -> NDArray[np.uint8]:
    """A photograph of a digit, uint8 (*size, 3).

    Args:
        kind: a key of `KINDS`.
        digit: uint8 (28, 28), light on dark, as in MNIST.
        size: (H, W).
    """
    made = KINDS[kind]
    height = rng.uniform(*made.height) * min(size)
    stroke = None if made.stroke is None else rng.uniform(*made.stroke)
    drawn = trimmed(draw(digit, height, stroke), 0.01)
    ink = np.zeros(size)
    place = []
    for whole, part in zip(size, drawn.shape, strict=True):
        room = whole - part
        place.append(round(room * (0.5 + made.spread * rng.uniform(-0.5, 0.5))))
    top, left = place
    ink[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    scene = Scene(rng, ink)
    for effect in made.effects:
        effect(scene)
    return scene.take()


def draw(digit: NDArray[np.uint8], height: float, stroke: float | None = None) -> Floats:
    """A digit drawn large: float64 (about `height`, W), how much of each pixel ink covers.

    Args:
        digit: uint8 (28, 28), light on dark.
        height: pixels; the longer side of the digit.
        stroke: its width as a part of `height`; None for the strokes that the digit has.
    """
    tight = trimmed(digit, 40)
    factor = height / max(tight.shape)
    if stroke is not None:
        return _traced(tight, factor, max(1.2, stroke * height))
    smooth = _enlarged(tight, factor)
    # MNIST's edges are about a pixel wide, these become two.
    return np.clip((smooth - _THICK) * max(1.0, factor / 2) + 0.5, 0, 1)


def trimmed(image: NDArray[Any], least: float) -> NDArray[Any]:
    """The rectangle of an image (H, W) that holds all pixels beyond `least`."""
    rows, columns = (np.flatnonzero((image > least).any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _enlarged(tight: NDArray[np.uint8], factor: float) -> Floats:
    padded = np.pad(tight, 1)
    size = [max(1, round(side * factor)) for side in padded.shape[::-1]]
    large = Image.fromarray(padded.astype(np.float32) / 255)
    resample = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX
    return np.asarray(large.resize((size[0], size[1]), resample), dtype=np.float64)


def _traced(tight: NDArray[np.uint8], factor: float, width: float) -> Floats:
    """The center lines of the strokes, drawn with a pen of a width in pixels."""
    grain = 4  # pixels of the thinned picture for one of the digit
    thin = _thinned(_enlarged(tight, grain) > _THICK)
    scale = factor / grain
    oversample = 3
    size = [round(side * scale + 2 * width) * oversample for side in thin.shape[::-1]]
    sheet = Image.new("L", (size[0], size[1]))
    pen = ImageDraw.Draw(sheet)
    rows, columns = np.nonzero(thin)
    points = np.stack([columns, rows], axis=1)

    def at(point: NDArray[np.int64]) -> tuple[float, float]:
        x, y = (point * scale + width) * oversample
        return float(x), float(y)

    radius = width * oversample / 2
    for point in points:
        x, y = at(point)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    for step in ((1, 0), (0, 1), (1, 1), (-1, 1)):
        moved = points + step
        inside = ((moved >= 0) & (moved < thin.shape[::-1])).all(axis=1)
        for point, other in zip(points[inside], moved[inside], strict=True):
            if thin[other[1], other[0]]:
                pen.line((at(point), at(other)), fill=255, width=max(1, round(2 * radius)))
    small = sheet.resize((size[0] // oversample, size[1] // oversample), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def _thinned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The strokes of a drawing, one pixel wide (Zhang and Suen, CACM 27, 1984)."""
    mask = np.pad(mask, 1)
    while True:
        before = mask.sum()
        for turn in (0, 1):
            # Neighbors clockwise from above.
            shifts = [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)]
            near = np.array([np.roll(mask, shift, axis=(0, 1)) for shift in shifts])
            count = near.sum(axis=0)
            changes = (~near & np.roll(near, -1, axis=0)).sum(axis=0)
            up, right, down, left = near[::2]
            if turn == 0:
                free = ~(up & right & down) & ~(right & down & left)
            else:
                free = ~(up & right & left) & ~(up & down & left)
            mask = mask & ~((count >= 2) & (count <= 6) & (changes == 1) & free)
        if mask.sum() == before:
            return mask[1:-1, 1:-1]


def likeness(converted: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """How much two images of MNIST's form are alike, at most 1.

    It is their correlation, at the best of places one pixel apart. Where the center of mass lies
    near the edge of a pixel, the place may differ by one.
    """
    shifts = [(rows, columns) for rows in (-1, 0, 1) for columns in (-1, 0, 1)]
    shifted = [np.roll(converted, shift, axis=(0, 1)).ravel() for shift in shifts]
    return float(np.corrcoef([expected.ravel(), *shifted])[0, 1:].max())
