"""Convolutions in use: DeepBench's training sets (Baidu, 2016), and those of MNIST networks.

A line is a group, its batch sizes, and its shapes: height and width of the image, channels ->
filters, window, padding and stride.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from gpucnn.shapes import conv2d_geometry

Shape = tuple[int, int, int, int]


class Convolution(NamedTuple):
    """Images (N, C, H, W) under filters (F, C, KH, KW)."""

    group: str
    N: int
    C: int
    H: int
    W: int
    F: int
    KH: int
    KW: int
    stride: int
    padding: int

    @property
    def shape(self) -> str:
        """All but the batch size, as in "28x28 1->32 3x3 p0 s1"."""
        sizes = f"{self.H}x{self.W} {self.C}->{self.F} {self.KH}x{self.KW}"
        return f"{sizes} p{self.padding} s{self.stride}"

    @property
    def name(self) -> str:
        """As in "N64 28x28 1->32 3x3 p0 s1"."""
        return f"N{self.N} {self.shape}"

    @property
    def x_shape(self) -> Shape:
        return self.N, self.C, self.H, self.W

    @property
    def w_shape(self) -> Shape:
        return self.F, self.C, self.KH, self.KW

    @property
    def y_shape(self) -> Shape:
        return conv2d_geometry(self.x_shape, self.w_shape, self.stride, self.padding).y_shape

    @property
    def flop(self) -> int:
        """Operations of one of the three passes; a multiply-add counts as two."""
        N, F, OH, OW = self.y_shape
        return 2 * N * F * OH * OW * self.C * self.KH * self.KW


_TABLE = """
quick 8: 12x12 1->8 3x3 p0; 11x9 3->5 3x3 s2; 10x10 8->16 5x5 p0; 8x8 16->16 1x1
MNIST 64,128,1024: 28x28 1->32 3x3 p0; 26x26 32->64 3x3 p0; 28x28 1->6 5x5 p2; 14x14 6->16 5x5 p0
DeepSpeech 4,8,16,32: 161x700 1->32 5x20 p0 s2; 79x341 32->32 5x10 p0 s2
OCR 16: 48x480 1->16 3x3; 24x240 16->32 3x3; 12x120 32->64 3x3; 6x60 64->128 3x3
Face 8: 108x108 3->64 3x3 s2; 54x54 64->64 3x3; 27x27 128->128 3x3; 14x14 128->256 3x3; 7x7 256->512 3x3
VGG 8,16: 224x224 3->64 3x3; 112x112 64->128 3x3; 56x56 128->256 3x3; 28x28 256->512 3x3; 14x14 512->512 3x3; 7x7 512->512 3x3
GoogLeNet 16: 224x224 3->64 7x7 p3 s2; 28x28 192->32 5x5; 28x28 192->64 1x1; 14x14 512->48 5x5; 14x14 512->192 1x1; 7x7 832->256 1x1; 7x7 832->128 5x5
ResNet 8,16: 112x112 64->64 1x1; 56x56 64->256 1x1; 56x56 256->64 1x1; 28x28 128->512 1x1; 28x28 512->128 1x1; 14x14 256->1024 1x1; 14x14 1024->256 1x1; 7x7 512->2048 1x1; 7x7 2048->512 1x1
ResNet-s2 8,16: 56x56 256->128 1x1 s2; 28x28 512->256 1x1 s2; 28x28 512->1024 1x1 s2; 14x14 1024->512 1x1 s2; 14x14 1024->2048 1x1 s2
Speaker 16: 161x700 1->64 5x5 p1 s2; 80x350 64->64 3x3; 40x175 128->128 3x3; 20x84 256->256 3x3; 10x42 512->512 3x3
"""  # noqa: E501

_SHAPE = re.compile(r"(\d+)x(\d+) (\d+)->(\d+) (\d+)x(\d+)(?: p(\d+))?(?: s(\d+))?")
_SAME = {1: 0, 3: 1, 5: 2}  # the padding of a window that keeps the size of the image


def _parse() -> Iterator[Convolution]:
    for line in _TABLE.strip().splitlines():
        head, shapes = line.split(": ")
        group, batches = head.split(" ")
        for N in map(int, batches.split(",")):
            for shape in shapes.split("; "):
                match = _SHAPE.fullmatch(shape)
                assert match is not None, shape
                H, W, C, F, KH, KW = map(int, match.groups()[:6])
                padding = _SAME[KH] if match[7] is None else int(match[7])
                yield Convolution(group, N, C, H, W, F, KH, KW, int(match[8] or 1), padding)


_ALL = tuple(_parse())
CONVOLUTIONS = tuple(each for each in _ALL if each.group != "quick")
SUITES = ("mnist", "deepbench", "quick")


def suite(name: str) -> list[Convolution]:
    """The convolutions of a suite, the most important first, in case the call is interrupted.

    "deepbench" is all of `CONVOLUTIONS`: those of MNIST, the others with their largest batch, the
    rest.
    """
    if name != "deepbench":
        return [each for each in _ALL if each.group.lower() == name]
    largest: dict[str, int] = {}
    for each in CONVOLUTIONS:
        largest[each.shape] = max(largest.get(each.shape, 0), each.N)
    return sorted(CONVOLUTIONS, key=lambda s: (s.group != "MNIST", largest[s.shape] > s.N))
