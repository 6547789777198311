"""What stands around a network in a training step: the batch, the loss, the optimizer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn.bench.cases import Array, Case, joined, work

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench, Work

_CLASSES = 10
_BATCHES = {"quick": (8,), "mnist": (128, 1024), "deepbench": (128, 1024)}
_PARAMETERS = {"quick": 1001, "mnist": 1_199_882, "deepbench": 25_557_032}  # cnn's, ResNet-50's
_IMAGES = {"quick": 1000, "mnist": 60_000, "deepbench": 60_000}
_SCALE = 1 / 255


def cases(suite: str, dtype: str) -> list[Case]:
    """Those of a suite and a dtype."""
    found = []
    for N in _BATCHES[suite]:
        size, name = N * _CLASSES, f"{N}x{_CLASSES}"
        forward, backward = functools.partial(_loss, N=N), functools.partial(_loss_backward, N=N)
        labels = 4 * N
        found += [
            Case("cross-entropy forward", name, 4 * size, 2 * size + N, forward, labels),
            Case("cross-entropy backward", name, 2 * size, 2 * size + N, backward, labels),
        ]
        if dtype == "float32":  # which is all that it gives
            pixels, of = N * 784, _IMAGES[suite]
            gather = functools.partial(_gather, N=N, of=of)
            found.append(Case("gather", f"{N}x1x28x28", 2 * pixels, pixels, gather, pixels + 8 * N))
    size = _PARAMETERS[suite]
    # name, operations an element, values read and written an element
    for optimizer, flop, values in (("sgd", 4, 5), ("rmsprop", 7, 5), ("adam", 12, 7)):
        update = functools.partial(_update, name=optimizer, size=size)
        found.append(Case(optimizer, f"{size:,}", flop * size, values * size, update))
    return found


def _gather(bench: Bench, N: int, of: int) -> Work:
    """A batch of N out of `of` images of uint8."""
    pixels = bench.rng.integers(0, 256, (of, 1, 28, 28), np.uint8)
    indices = bench.rng.integers(0, of, N)
    data, at = bench.backend.asarray(pixels), bench.backend.asarray(indices)
    return work(
        bench,
        lambda: bench.backend.gather(data, at, scale=_SCALE),
        lambda: pixels[indices] * _SCALE,
        4,
        lambda torch, pixels, indices: lambda: pixels[indices].float().mul_(_SCALE),
        (pixels, indices),
    )


def _logits(bench: Bench, N: int) -> tuple[Array, Array, Array]:
    """Logits (N, classes), labels (N,) and the softmax in float64."""
    logits = bench.noise(N, _CLASSES)
    labels = bench.rng.integers(0, _CLASSES, N, np.int32)
    e = np.exp(logits.astype(np.float64))
    return logits, labels, e / e.sum(1, keepdims=True)


def _loss(bench: Bench, N: int) -> Work:
    logits, labels, softmax = _logits(bench, N)
    ours = bench.backend.asarray(logits), bench.backend.asarray(labels)
    return work(
        bench,
        lambda: bench.backend.softmax_cross_entropy_forward(*ours),
        lambda: joined(-np.log(softmax[np.arange(N), labels]), softmax),
        _CLASSES,
        lambda torch, logits, labels: functools.partial(
            torch.nn.functional.cross_entropy, logits, labels.long(), reduction="none"
        ),
        (logits, labels),
    )


def _loss_backward(bench: Bench, N: int) -> Work:
    logits, labels, softmax = _logits(bench, N)
    grad, probabilities = bench.noise(N), softmax.astype(logits.dtype)
    ours = tuple(map(bench.backend.asarray, (probabilities, labels, grad)))

    def torch_call(torch: Any, logits: Any, labels: Any, grad: Any) -> Any:
        losses = torch.nn.functional.cross_entropy(
            logits.requires_grad_(), labels.long(), reduction="none"
        )
        return lambda: torch.autograd.grad(losses, logits, grad, retain_graph=True)

    return work(
        bench,
        lambda: bench.backend.softmax_cross_entropy_backward(*ours),
        lambda: (probabilities - np.eye(_CLASSES)[labels]) * grad[:, None].astype(np.float64),
        _CLASSES,
        torch_call,
        (logits, labels, grad),
    )


def _update(bench: Bench, name: str, size: int) -> Work:
    """An optimizer's step from slots that are not empty, at a rate that lets the step be seen."""
    b, rate, count = bench.backend, 0.5, 3
    slots = 2 if name == "adam" else 1
    param, grad = bench.noise(size), bench.noise(size)
    state = [np.abs(bench.noise(size)) for _ in range(slots)]
    G = b.asarray(grad)
    learning_rate = b.asarray(np.array([rate], np.float32))
    step = b.asarray(np.array([count], np.uint32))

    def update(P: Any, S: list[Any]) -> None:
        if name == "sgd":
            b.sgd_update(P, G, *S, learning_rate=learning_rate, momentum=0.9)
        elif name == "rmsprop":
            b.rmsprop_update(P, G, *S, learning_rate=learning_rate)
        else:
            b.adam_update(P, G, *S, learning_rate=learning_rate, step=step)

    def fresh() -> tuple[Any, list[Any]]:
        return b.asarray(param.copy()), [b.asarray(slot.copy()) for slot in state]

    def once() -> tuple[Any, ...]:
        P, S = fresh()
        update(P, S)
        return P, *S

    def oracle() -> Array:
        p, g, *s = (array.astype(np.float64) for array in (param, grad, *state))
        if name == "sgd":
            s[0] = 0.9 * s[0] + g
            return joined(p - rate * s[0], *s)
        if name == "rmsprop":
            s[0] = 0.9 * s[0] + 0.1 * g * g
            return joined(p - rate * g / (np.sqrt(s[0]) + 1e-7), *s)
        s = [0.9 * s[0] + 0.1 * g, 0.999 * s[1] + 0.001 * g * g]
        corrected = s[0] / (1 - 0.9**count), s[1] / (1 - 0.999**count)
        return joined(p - rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8), *s)

    def torch_call(torch: Any, param: Any, grad: Any) -> Any:
        p = torch.nn.Parameter(param)
        p.grad = grad
        optimizer = {
            "sgd": functools.partial(torch.optim.SGD, momentum=0.9, fused=True),
            "rmsprop": functools.partial(torch.optim.RMSprop, alpha=0.9, eps=1e-7),
            "adam": functools.partial(torch.optim.Adam, fused=True),
        }[name]([p], lr=rate)
        return optimizer.step

    checked = work(bench, once, oracle, 16, torch_call, (param, grad))
    P, S = fresh()
    return checked._replace(run=lambda: update(P, S))
