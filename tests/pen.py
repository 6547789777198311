"""Digits drawn with a pen, as on the page of `gpucnn serve`: strokes of several handwritings.

A handwriting gives each digit as strokes in a box of 1 x 1, x to the right and y down. A `Pen`
turns, slants, scales and moves them, adds the tremor of a hand, and draws them with a round brush.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Point = tuple[float, float]
Strokes = list[list[Point]]

SIDE = 280  # pixels of the canvas
_FINE = 4  # by which the canvas is drawn larger, for smooth edges
_STEP = math.pi / 16  # of an arc, between two points


def arc(x: float, y: float, width: float, height: float, start: float, end: float) -> list[Point]:
    """Points on an ellipse around (x, y); degrees, 0 is right, 90 is up, 180 is left."""
    count = max(2, round(abs(math.radians(end - start)) / _STEP) + 1)
    turns = (math.radians(start + (end - start) * k / (count - 1)) for k in range(count))
    return [(x + width / 2 * math.cos(t), y - height / 2 * math.sin(t)) for t in turns]


def line(points: str) -> list[Point]:
    """Points that are written as "50,0 50,100", in hundredths of the box."""
    return [(int(x) / 100, int(y) / 100) for x, y in (p.split(",") for p in points.split())]


def _school() -> list[Strokes]:
    """Round digits, as children learn them."""
    return [
        [arc(0.5, 0.5, 0.7, 1.0, 90, 450)],
        [line("30,25 55,0 55,100")],
        [[*arc(0.5, 0.28, 0.7, 0.56, 170, -30), *line("15,100 88,100")]],
        [[*arc(0.48, 0.25, 0.62, 0.5, 150, -90), *arc(0.48, 0.74, 0.72, 0.52, 90, -150)]],
        [line("60,0 12,65 92,65"), line("66,35 66,100")],
        [[*line("80,0 28,0 22,42"), *arc(0.48, 0.68, 0.7, 0.62, 130, -140)]],
        [[*line("70,2 35,30"), *arc(0.5, 0.7, 0.66, 0.6, 170, 530)]],
        [line("12,0 88,0 40,100")],
        [[*arc(0.5, 0.25, 0.56, 0.5, 270, -90), *arc(0.5, 0.75, 0.7, 0.5, 90, 450)]],
        [[*arc(0.48, 0.3, 0.62, 0.58, 10, 370), *line("78,35 72,100")]],
    ]


def _quick() -> list[Strokes]:
    """Narrow digits of one stroke each, written fast: open loops, a bare 1."""
    return [
        [arc(0.5, 0.5, 0.55, 1.0, 110, 450)],
        [line("50,0 50,100")],
        [[*line("22,20"), *arc(0.46, 0.24, 0.5, 0.48, 120, -40), *line("20,96 30,90 85,100")]],
        [
            [
                *line("22,8"),
                *arc(0.42, 0.25, 0.5, 0.5, 90, -80),
                *arc(0.42, 0.75, 0.62, 0.5, 80, -120),
            ]
        ],
        [line("35,0 20,50 80,48"), line("72,12 62,100")],
        [[*line("30,2 28,40"), *arc(0.45, 0.7, 0.56, 0.6, 110, -120)], line("30,2 80,0")],
        [[*line("62,0 30,45"), *arc(0.48, 0.74, 0.48, 0.5, 180, 520)]],
        [line("20,5 80,3 62,40 45,100")],
        [
            [
                *line("72,12"),
                *arc(0.48, 0.24, 0.44, 0.46, 60, 230),
                *line("62,60"),
                *arc(0.48, 0.76, 0.5, 0.48, 20, -200),
                *line("75,12"),
            ]
        ],
        [[*line("74,18"), *arc(0.5, 0.27, 0.48, 0.52, 30, 340), *line("74,20 64,100")]],
    ]


def _square() -> list[Strokes]:
    """Wide digits with corners: a closed 4, a 1 with its foot, a 7 with its bar."""
    return [
        [line("50,0 15,30 15,75 50,100 85,72 85,28 50,0")],
        [line("25,28 50,0 50,100"), line("22,100 80,100")],
        [line("12,22 40,0 80,14 78,42 10,100 92,98")],
        [line("15,0 85,0 45,40 85,62 72,95 40,100 12,85")],
        [line("70,100 70,0 10,68 95,68")],
        [line("85,0 20,2 18,45 60,42 85,65 70,95 15,100")],
        [line("80,5 30,30 15,72 40,100 80,88 80,60 45,50 18,65")],
        [line("10,2 90,0 35,100"), line("30,52 82,48")],
        [line("50,46 20,30 28,4 72,2 80,28 50,46 15,70 25,98 75,100 86,70 50,46")],
        [line("80,32 45,50 18,28 40,0 78,6 80,35 78,100")],
    ]


HANDWRITINGS = (_school(), _quick(), _square())


@dataclass(frozen=True)
class Pen:
    """A way to draw the strokes of a digit.

    Args:
        size: height of the digit, of the canvas's side.
        width: of the digit, of its height.
        brush: diameter in pixels of the canvas.
        slant: by how much the top leans to the right, of the height.
        turn: counterclockwise, in degrees.
        right, down: from the center, of the canvas's side.
        tremor: standard deviation of the hand, of the digit's height.
        seed: of the tremor.
    """

    size: float = 0.65
    width: float = 0.7
    brush: float = 20
    slant: float = 0.0
    turn: float = 0.0
    right: float = 0.0
    down: float = 0.0
    tremor: float = 0.012
    seed: int = 0

    def place(self, strokes: Strokes) -> list[list[Point]]:
        """The strokes in pixels of the canvas."""
        rng = np.random.default_rng(self.seed)
        cosine, sine = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        placed = []
        for stroke in strokes:
            points = []
            for x, y in stroke:
                dx, dy = rng.normal(0, self.tremor, 2)
                y = y - 0.5 + dy
                x = (x - 0.5) * self.width - self.slant * y + dx
                across, along = x * cosine + y * sine, y * cosine - x * sine
                points.append((
                    SIDE * (0.5 + self.right + self.size * across),
                    SIDE * (0.5 + self.down + self.size * along),
                ))  # fmt: skip
            placed.append(points)
        return placed

    def draw(self, strokes: Strokes) -> NDArray[np.uint8]:
        """The canvas: uint8 (280, 280), black on white, with smooth edges."""
        return render(self.place(strokes), self.brush)


def render(strokes: Sequence[Sequence[Point]], brush: float) -> NDArray[np.uint8]:
    """Strokes in pixels of the canvas, drawn with a round brush."""
    canvas = Image.new("L", (SIDE * _FINE, SIDE * _FINE), 255)
    draw = ImageDraw.Draw(canvas)
    radius = brush * _FINE / 2
    for stroke in strokes:
        fine = [(x * _FINE, y * _FINE) for x, y in stroke]
        draw.line(fine, fill=0, width=round(2 * radius))
        for x, y in fine:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return np.asarray(canvas.reduce(_FINE))


def png(canvas: NDArray[np.uint8]) -> bytes:
    """The canvas as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "PNG")
    return file.getvalue()


Range = tuple[float, float]

#: What is special about a drawing -> the ranges of its pen that are not the usual ones.
KINDS: dict[str, dict[str, Range]] = {
    "usual": {},
    "thin": {"brush": (4, 8)},
    "thick": {"brush": (34, 46)},
    "off-center": {"size": (0.38, 0.48), "right": (0.12, 0.2), "down": (-0.18, -0.1)},
    "in the corner": {"size": (0.3, 0.38), "right": (-0.28, -0.2), "down": (0.2, 0.25)},
    "slanted right": {"slant": (0.35, 0.65)},
    "slanted left": {"slant": (-0.5, -0.25)},
    "turned": {"turn": (12, 28)},
    "turned back": {"turn": (-28, -12)},
    "big": {"size": (0.8, 0.86), "down": (-0.01, 0.01)},
    "small": {"size": (0.2, 0.3), "brush": (10, 16)},
    "wide": {"width": (1.0, 1.3)},
    "narrow": {"width": (0.35, 0.5), "brush": (8, 14)},
    "trembling": {"tremor": (0.025, 0.04)},
    "all at once": {
        "brush": (6, 36), "slant": (-0.4, 0.5), "turn": (-15, 15), "width": (0.5, 1.0),
        "tremor": (0.01, 0.03), "size": (0.4, 0.72),
    },
}  # fmt: skip
_USUAL: dict[str, Range] = {
    "size": (0.55, 0.75), "width": (0.6, 0.8), "brush": (14, 24), "slant": (-0.05, 0.2),
    "turn": (-6, 6), "right": (-0.05, 0.05), "down": (-0.05, 0.05), "tremor": (0.008, 0.016),
}  # fmt: skip


def drawings() -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
    """(what is special about it, digit, canvas) of 450 drawings: 15 kinds, 3 handwritings."""
    rng = np.random.default_rng(7)
    for kind, special in KINDS.items():
        for handwriting in HANDWRITINGS:
            for digit, strokes in enumerate(handwriting):
                ranges = {**_USUAL, **special}
                values = {name: rng.uniform(*limits) for name, limits in ranges.items()}
                yield kind, digit, Pen(seed=int(rng.integers(2**31)), **values).draw(strokes)
