"""What works on each element, or on each channel: normalisation, ReLU, bias, dropout."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn.bench.cases import Array, Case, joined, named, work
from gpucnn.random import dropout_mask, stream_key

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench, Work

Shape = tuple[int, int, int, int]

# What `cnn` drops out, and the images of a ResNet.
_IMAGES: dict[str, tuple[Shape, ...]] = {
    "quick": ((2, 3, 4, 5),),
    "mnist": ((128, 64, 24, 24),),
    "deepbench": ((128, 64, 24, 24), (16, 64, 112, 112)),
}
_EPS, _RATE = 1e-5, 0.25


def cases(suite: str) -> list[Case]:
    """Those of a suite."""
    found = []
    for shape in _IMAGES[suite]:
        size = math.prod(shape)
        # name, operations an element, values an element, bytes of a mask an element, what prepares
        for name, flop, values, mask, prepare in (
            ("batch norm forward", 8, 2, 0, _norm),
            ("batch norm backward", 11, 3, 0, _norm_backward),
            ("relu backward", 1, 3, 0, _relu_backward),
            ("bias grad", 1, 1, 0, _bias_grad),
            ("dropout forward", 1, 2, 1, _dropout),
            ("dropout backward", 1, 2, 1, _dropout_backward),
        ):
            ready = functools.partial(prepare, shape=shape)
            found.append(Case(name, named(shape), flop * size, values * size, ready, mask * size))
    return found


def _standardised(x: Array) -> tuple[Array, Array]:
    """x in float64 with mean 0 and variance 1 a channel, and the standard deviation (1,C,1,1)."""
    wide = x.astype(np.float64)
    deviation = np.sqrt(wide.var((0, 2, 3), keepdims=True) + _EPS)
    return (wide - wide.mean((0, 2, 3), keepdims=True)) / deviation, deviation


def _per_channel(values: Array) -> Array:
    return values[:, None, None]


def _norm(bench: Bench, shape: Shape) -> Work:
    x, gamma, beta = bench.noise(*shape), bench.noise(shape[1]), bench.noise(shape[1])
    ours = tuple(map(bench.backend.asarray, (x, gamma, beta)))
    return work(
        bench,
        lambda: bench.backend.batch_norm_forward(*ours, eps=_EPS)[0],
        lambda: _standardised(x)[0] * _per_channel(gamma) + _per_channel(beta),
        x.size // shape[1],
        lambda torch, x, gamma, beta: (
            lambda: torch.nn.functional.batch_norm(
                x, None, None, gamma, beta, training=True, eps=_EPS
            )
        ),
        (x, gamma, beta),
    )


def _norm_backward(bench: Bench, shape: Shape) -> Work:
    x, gamma, grad_y = bench.noise(*shape), bench.noise(shape[1]), bench.noise(*shape)
    b, mean = bench.backend, functools.partial(np.mean, axis=(0, 2, 3), keepdims=True)
    X, gamma_, G = map(b.asarray, (x, gamma, grad_y))
    _, average, variance = b.batch_norm_forward(X, gamma_, gamma_, eps=_EPS)

    def oracle() -> Array:
        xhat, deviation = _standardised(x)
        g = grad_y.astype(np.float64)
        grad_x = _per_channel(gamma) / deviation * (g - mean(g) - xhat * mean(g * xhat))
        return joined(grad_x, (g * xhat).sum((0, 2, 3)), g.sum((0, 2, 3)))

    def torch_call(torch: Any, x: Any, gamma: Any, grad_y: Any) -> Any:
        beta = torch.zeros_like(gamma)
        leaves = [leaf.requires_grad_() for leaf in (x, gamma, beta)]
        y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=_EPS)
        return lambda: torch.autograd.grad(y, leaves, grad_y, retain_graph=True)

    return work(
        bench,
        lambda: b.batch_norm_backward(G, X, gamma_, average, variance, eps=_EPS),
        oracle,
        x.size // shape[1],
        torch_call,
        (x, gamma, grad_y),
    )


def _relu_backward(bench: Bench, shape: Shape) -> Work:
    grad_y, y = bench.noise(*shape), np.maximum(bench.noise(*shape), 0)
    G, Y = bench.backend.asarray(grad_y), bench.backend.asarray(y)
    return work(
        bench,
        lambda: bench.backend.relu_backward(G, Y),
        lambda: np.where(y > 0, grad_y, 0).astype(np.float64),
        0,
        lambda torch, g, y: lambda: torch.ops.aten.threshold_backward(g, y, 0),
        (grad_y, y),
    )


def _bias_grad(bench: Bench, shape: Shape) -> Work:
    grad_y = bench.noise(*shape)
    G = bench.backend.asarray(grad_y)
    return work(
        bench,
        lambda: bench.backend.bias_grad(G),
        lambda: grad_y.sum((0, 2, 3), dtype=np.float64),
        grad_y.size // shape[1],
        lambda torch, g: lambda: g.sum((0, 2, 3)),
        (grad_y,),
    )


def _dropout(bench: Bench, shape: Shape) -> Work:
    x, key, step = bench.noise(*shape), stream_key(bench.options.seed, "bench"), 7
    X = bench.backend.asarray(x)

    def oracle() -> Array:
        mask = dropout_mask(shape, _RATE, key, step).astype(np.float64)
        return joined(x * mask / (1 - _RATE), mask)

    return work(
        bench,
        lambda: bench.backend.dropout_forward(X, _RATE, key=key, step=step),
        oracle,
        4,
        lambda torch, x: lambda: torch.ops.aten.native_dropout(x, _RATE, True),
        (x,),
    )


def _dropout_backward(bench: Bench, shape: Shape) -> Work:
    grad_y = bench.noise(*shape)
    mask = (bench.rng.random(shape, np.float32) >= _RATE).astype(np.uint8)
    G, kept = bench.backend.asarray(grad_y), bench.backend.asarray(mask)
    return work(
        bench,
        lambda: bench.backend.dropout_backward(G, kept, _RATE),
        lambda: grad_y * mask / np.float64(1 - _RATE),
        4,
        lambda torch, g, mask: functools.partial(
            torch.ops.aten.native_dropout_backward, g, mask.bool(), 1 / (1 - _RATE)
        ),
        (grad_y, mask),
    )
