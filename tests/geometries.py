"""Random shapes for hypothesis, of convolutions and of what pools their results."""

from __future__ import annotations

from typing import Any

import reference
from hypothesis import strategies as st

Geometry = tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]


@st.composite
def convolutions(
    draw: st.DrawFn, images: int = 3, channels: int = 3, filters: int = 2, spare: int = 4,
    padding: int = 3,
) -> Geometry:  # fmt: skip
    """x_shape, w_shape and options of a convolution whose output has a pixel at least.

    Args:
        images: at most so many; 0 is one of the numbers.
        channels, filters: of a group, at most.
        spare: rows and columns that the image has beyond the least, at most.
        padding: of a side, at most.
    """

    def numbers(low: int, high: int) -> tuple[int, int]:
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    groups = draw(st.integers(1, 3))
    kernel, stride, dilation = numbers(1, 4), numbers(1, 3), numbers(1, 3)
    side = st.integers(0, padding)
    given = draw(
        st.one_of(
            side,
            st.tuples(side, side),
            st.tuples(*[st.tuples(side, side)] * 2),
            st.sampled_from(["same", "valid"]),
        )
    )
    more = numbers(0, spare)
    sides = ((0, 0), (0, 0)) if isinstance(given, str) else reference.sides(given, (1, 1), 1)
    H, W = (max(1, dilation[i] * (kernel[i] - 1) + 1 - sum(sides[i])) + more[i] for i in range(2))
    x_shape = (draw(st.integers(0, images)), groups * draw(st.integers(1, channels)), H, W)
    w_shape = (groups * draw(st.integers(1, filters)), x_shape[1] // groups, *kernel)
    options = {"stride": stride, "padding": given, "dilation": dilation, "groups": groups}
    return x_shape, w_shape, options


@st.composite
def pools(draw: st.DrawFn, image: tuple[int, int]) -> tuple[Any, Any, Any]:
    """(kernel, stride, padding) of a pool that fits the image; every other one is the 2x2."""
    if min(image) >= 2 and draw(st.booleans()):
        return 2, draw(st.sampled_from([None, 2])), 0
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in image)
    sides = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel)
    return kernel, draw(st.one_of(st.none(), st.integers(1, 3))), draw(st.sampled_from([sides, 0]))
