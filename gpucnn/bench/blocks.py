"""A convolution with what follows it in a network, as one call: bias, ReLU, 2x2 max pool."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn.bench import verify
from gpucnn.bench.cases import Array, Case, rivals
from gpucnn.bench.session import Work
from gpucnn.bench.shapes import Convolution, suite
from gpucnn.bench.stopwatch import Call

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench

_POOL = (2, 2, 0)  # window, stride, padding
# Maxima that are nearer to the next than this are left out of the gradient: rounding decides.
_TIE = 1e-3


def cases(of_suite: str) -> list[Case]:
    """Those of a suite: MNIST's shapes, forward and backward."""
    shapes = [s for s in suite(of_suite) if s.group in ("MNIST", "quick")]
    return [case for shape in shapes for case in _block(shape)]


def _block(s: Convolution) -> list[Case]:
    x, w, y = map(math.prod, (s.x_shape, s.w_shape, _pooled_shape(s)))
    return [
        Case(f"conv2d pool {name}", s.name, flop, float(values), prepare, y)  # an index is a byte
        for name, flop, values, prepare in (
            ("forward", s.flop, x + w + s.F + y, functools.partial(_forward, s=s)),
            ("backward", 2 * s.flop, 2 * (x + w + y) + s.F, functools.partial(_backward, s=s)),
        )
    ]


def _pooled_shape(s: Convolution) -> tuple[int, int, int, int]:
    N, F, OH, OW = s.y_shape
    return N, F, OH // 2, OW // 2


def _forward(bench: Bench, s: Convolution) -> Work:
    x, w, bias = bench.noise(*s.x_shape), bench.noise(*s.w_shape), bench.noise(s.F)
    ours, how = tuple(map(bench.backend.asarray, (x, w, bias))), _how(s)

    def run() -> Any:
        return bench.backend.conv2d_relu_pool_forward(*ours, **how, activation="relu", pool=_POOL)[
            0
        ]

    def check() -> tuple[float, float]:
        expected = verify.Expected(np.maximum(_windows(s, x, w, bias).max(-1), 0))
        error = verify.relative_error(bench.backend.to_numpy(run()), expected)
        return error, verify.bound(verify.terms(s)["forward"] + 1, bench.options.dtype)

    def theirs(torch: Any, x: Any, w: Any, bias: Any) -> Call:
        def call() -> Any:
            with torch.no_grad():
                return torch.max_pool2d(torch.conv2d(x, w, bias, **how).relu_(), 2)

        return call

    return Work(run, check, rivals(bench, theirs, (x, w, bias)))


def _backward(bench: Bench, s: Convolution) -> Work:
    """All three gradients."""
    x, w, bias = bench.noise(*s.x_shape), bench.noise(*s.w_shape), bench.noise(s.F)
    b, how = bench.backend, _how(s)
    windows = _windows(s, x, w, bias)
    second, first = np.moveaxis(np.partition(windows, -2, axis=-1)[..., -2:], -1, 0)
    clear = (first - second > _TIE) & (np.abs(first) > _TIE)
    grad_y = bench.noise(*_pooled_shape(s)) * clear
    # To the maximum of each window, if the ReLU let it through.
    place, passed = windows.argmax(-1), first > 0
    del windows, first, second
    X, W, B, G = map(b.asarray, (x, w, bias, grad_y))
    y, argmax = b.conv2d_relu_pool_forward(X, W, B, **how, activation="relu", pool=_POOL)

    def run() -> Any:
        return b.conv2d_relu_pool_backward(G, X, W, y, argmax, **how, pool=_POOL)

    def oracle() -> list[verify.Expected]:
        grad = np.zeros(s.y_shape)
        n, f, h, v = np.indices(place.shape, sparse=True)
        grad[n, f, 2 * h + place // 2, 2 * v + place % 2] = grad_y * passed
        return [
            verify.conv2d_backward_input(s, grad, w, bench.rng),
            verify.conv2d_backward_weight(s, grad, x, bench.rng),
            verify.Expected(grad.sum((0, 2, 3))),
        ]

    def check() -> tuple[float, float]:
        """Of the gradient that is nearest to its bound."""
        terms = verify.terms(s)
        sums = (terms["backward_input"], terms["backward_weight"], terms["backward_weight"])
        found = [
            (verify.relative_error(b.to_numpy(part), exact), verify.bound(n, bench.options.dtype))
            for part, exact, n in zip(run(), oracle(), sums, strict=True)
        ]
        return max(found, key=lambda pair: pair[0] / pair[1])

    def theirs(torch: Any, grad_y: Any, *tensors: Any) -> Call:
        x, w, bias = (tensor.requires_grad_() for tensor in tensors)
        y = torch.max_pool2d(torch.conv2d(x, w, bias, **how).relu_(), 2)
        return lambda: torch.autograd.grad(y, (x, w, bias), grad_y, retain_graph=True)

    return Work(run, check, rivals(bench, theirs, (grad_y, x, w, bias)))


def _how(s: Convolution) -> dict[str, Any]:
    return {"stride": s.stride, "padding": s.padding}


def _windows(s: Convolution, x: Array, w: Array, bias: Array) -> Array:
    """What each window of the pool sees before the ReLU: (N, F, PH, PW, 4) in float64."""
    N, F, PH, PW = _pooled_shape(s)
    y = verify.conv2d_whole(s, x, w)[:, :, : 2 * PH, : 2 * PW] + bias[:, None, None]
    taps = y.reshape(N, F, PH, 2, PW, 2).transpose(0, 1, 2, 4, 3, 5)
    return taps.reshape(N, F, PH, PW, 4)
