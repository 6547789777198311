"""Oracles in float64, by definition, and the bound that an error must keep to.

Nothing here comes from a backend. A convolution is a sum over the taps of its window, one float64
matrix product each; a large one is looked at in 4,096 places only.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gpucnn.bench.shapes import Convolution

Array = NDArray[Any]

SAMPLES = 4096
SAMPLED_FROM = 1e9  # operations
_ROUNDING = {"float32": 2.0**-24, "float64": 2.0**-53}
_CHUNK = 1 << 22  # numbers gathered at once


class Expected(NamedTuple):
    """The right values, and where in the result they stand: `result[at]`, or all of it (...)."""

    values: Array
    at: Any = ...


def bound(terms: int, dtype: str) -> float:
    """Of the relative L2 error of sums of so many terms: 4 u sqrt(terms); 0 terms: exact.

    Rounding errors of a sum add up like a random walk of that many steps of one half-unit u.
    """
    return 4 * _ROUNDING[dtype] * math.sqrt(terms)


def relative_error(result: Array, expected: Expected) -> float:
    """||result - expected|| / ||expected|| in float64; inf if anything is not finite."""
    found, values = result[expected.at].astype(np.float64), expected.values
    if found.shape != values.shape or not math.isfinite(result.sum(dtype=np.float64)):
        return math.inf
    with np.errstate(all="ignore"):
        distance, norm = np.linalg.norm(found - values), np.linalg.norm(values)
        error = float(distance / norm) if norm else (math.inf if distance else 0.0)
    return error if math.isfinite(error) else math.inf


def conv2d_forward(s: Convolution, x: Array, w: Array, rng: np.random.Generator) -> Expected:
    """y[n,f,oh,ow] = sum over c, i, j of x[n,c,oh*S+i-P,ow*S+j-P] w[f,c,i,j]."""
    if s.flop > SAMPLED_FROM:
        padded, wide = _padded(s, x), w.astype(np.float64)
        at = _places(s.y_shape, rng)
        n, f, oh, ow = at
        windows = sliding_window_view(padded, (s.KH, s.KW), axis=(2, 3))
        values = np.empty(len(n))
        for part in _parts(len(n), s.C * s.KH * s.KW):
            # (places, C, KH, KW)
            seen = windows[n[part], :, oh[part] * s.stride, ow[part] * s.stride]
            values[part] = np.einsum("scij,scij->s", seen.astype(np.float64), wide[f[part]])
        return Expected(values, at)
    return Expected(conv2d_whole(s, x, w))


def conv2d_whole(s: Convolution, x: Array, w: Array) -> Array:
    """All of the result of `conv2d_forward`, however large."""
    padded, wide = _padded(s, x), w.astype(np.float64)
    N, F, OH, OW = s.y_shape
    y = np.zeros((N, F, OH * OW))
    for i, j in np.ndindex(s.KH, s.KW):
        y += wide[:, :, i, j] @ _tap(s, padded, i, j).astype(np.float64).reshape(N, s.C, -1)
    return y.reshape(s.y_shape)


def conv2d_backward_input(
    s: Convolution, grad_y: Array, w: Array, rng: np.random.Generator
) -> Expected:
    """grad_x[n,c,h,w] = sum over f, i, j with oh*S+i-P = h, ow*S+j-P = w of grad_y w[f,c,i,j]."""
    wide = w.astype(np.float64)
    N, F, OH, OW = s.y_shape
    if s.flop > SAMPLED_FROM:
        at = _places(s.x_shape, rng)
        n, c, h, v = at
        values = np.zeros(len(n))
        for i, j in np.ndindex(s.KH, s.KW):
            oh, ow = h + s.padding - i, v + s.padding - j
            hit = (oh % s.stride == 0) & (ow % s.stride == 0) & (oh >= 0) & (ow >= 0)
            oh, ow = oh // s.stride, ow // s.stride
            hit &= (oh < OH) & (ow < OW)
            seen = grad_y[n[hit], :, oh[hit], ow[hit]].astype(np.float64)  # (places, F)
            values[hit] += np.einsum("sf,fs->s", seen, wide[:, c[hit], i, j])
        return Expected(values, at)
    padded = np.zeros((N, s.C, s.H + 2 * s.padding, s.W + 2 * s.padding))
    flat = grad_y.astype(np.float64).reshape(N, F, -1)
    for i, j in np.ndindex(s.KH, s.KW):
        _tap(s, padded, i, j)[...] += (wide[:, :, i, j].T @ flat).reshape(N, s.C, OH, OW)
    return Expected(padded[:, :, s.padding : s.padding + s.H, s.padding : s.padding + s.W])


def conv2d_backward_weight(
    s: Convolution, grad_y: Array, x: Array, rng: np.random.Generator
) -> Expected:
    """grad_w[f,c,i,j] = sum over n, oh, ow of grad_y[n,f,oh,ow] x[n,c,oh*S+i-P,ow*S+j-P].

    A weight's sum runs over all pixels, so those of a large one are taken from some filters and
    some taps, each with each.
    """
    padded = _padded(s, x)
    if s.flop > SAMPLED_FROM:
        taps = s.C * s.KH * s.KW
        some = rng.choice(taps, min(taps, math.isqrt(SAMPLES)), replace=False)
        f = rng.choice(s.F, min(s.F, SAMPLES // len(some)), replace=False)
        c, i, j = np.unravel_index(some, s.w_shape[1:])
        values = np.zeros((len(f), len(some)))
        for image, grad in zip(padded, grad_y, strict=True):
            seen = np.stack([_tap(s, image[None, [a]], b, d).ravel() for a, b, d in zip(c, i, j)])  # noqa: B905
            values += grad[f].astype(np.float64).reshape(len(f), -1) @ seen.astype(np.float64).T
        return Expected(values, (f[:, None], c, i, j))
    grad_w = np.empty(s.w_shape)
    wide = grad_y.astype(np.float64)
    for i, j in np.ndindex(s.KH, s.KW):
        grad_w[:, :, i, j] = np.tensordot(wide, _tap(s, padded, i, j), ((0, 2, 3), (0, 2, 3)))
    return Expected(grad_w)


def matmul(a: Array, b: Array, rng: np.random.Generator) -> Expected:
    """c[m,n] = sum over k of a[m,k] b[k,n]; of a large one some rows, each with some columns."""
    (M, K), N = a.shape, b.shape[1]
    if 2 * M * N * K <= SAMPLED_FROM:
        return Expected(a.astype(np.float64) @ b.astype(np.float64))
    m = rng.choice(M, min(M, math.isqrt(SAMPLES)), replace=False)
    n = rng.choice(N, min(N, SAMPLES // len(m)), replace=False)
    return Expected(a[m].astype(np.float64) @ b[:, n].astype(np.float64), (m[:, None], n))


def terms(s: Convolution) -> dict[str, int]:
    """Products in the sum of one result of each pass."""
    N, F, OH, OW = s.y_shape
    window = s.KH * s.KW
    return {
        "forward": s.C * window,
        "backward_input": F * window,
        "backward_weight": N * OH * OW,
    }


def _padded(s: Convolution, x: Array) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (s.padding,) * 2, (s.padding,) * 2))


def _tap(s: Convolution, padded: Array, i: int, j: int) -> Array:
    """The pixels that tap (i, j) of the window meets: a view (N, C, OH, OW)."""
    OH, OW = s.y_shape[2:]
    return padded[
        :, :, i : i + s.stride * (OH - 1) + 1 : s.stride, j : j + s.stride * (OW - 1) + 1 : s.stride
    ]


def _places(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, ...]:
    """Random places of an array, with its first and its last."""
    size = math.prod(shape)
    flat = rng.integers(0, size, SAMPLES)
    flat[0], flat[-1] = 0, size - 1
    return np.unravel_index(flat, shape)


def _parts(size: int, each: int) -> list[slice]:
    step = max(1, _CHUNK // each)
    return [slice(first, first + step) for first in range(0, size, step)]
