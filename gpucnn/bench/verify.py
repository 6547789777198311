"""Whether a result is right: its distance from float64, and the bound of that distance.

The right result is that of the CPU backend in float64, computed by NumPy, for the same arrays. The
tests hold that path to loops written from the formulas.

In a network, float32 rounds every operation, and later operations amplify that: an almost tied ReLU
or maximum falls to the other side. Two controls show how far a network amplifies it: the network in
float64 with each weight off by as much as the product of its layer may err, 4 * sqrt(K) roundings
for a sum of K terms. A result may be as far away as the farther control, plus the error of its own
sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import models
from gpucnn.autograd import Tensor, no_grad
from gpucnn.backend import Backend
from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.nn import Sequential
from gpucnn.training import Trainer
from gpucnn.training.metrics import compute_loss

Array = NDArray[Any]
Arrays = dict[str, Array]
Operation = Callable[..., Callable[[], Any]]  # (backend, *its arrays) -> a call

IMAGE_SHAPE = (1, 28, 28)  # that the models are built for
_CONTROLS = 2


def verify(
    operation: Operation, backend: Backend, arrays: Sequence[Array], terms: Sequence[int]
) -> tuple[float, float]:
    """Error and bound of an operation, of the result that is nearest to its bound.

    Args:
        operation: what is verified; its call gives an array, or a tuple of them.
        backend: computes it.
        arrays: the operands, on the host.
        terms: for each result that is verified, from the first on, the terms in its longest sum.
    """
    wide = [a.astype(np.float64 if a.dtype.kind == "f" else a.dtype) for a in arrays]
    oracle = CpuBackend()
    with oracle.quiet_device():
        expected = _results(operation(oracle, *wide)())
    found = _results(operation(backend, *map(backend.asarray, arrays))())
    assert len(found) == len(expected) >= len(terms)
    dtype = dtype_of(arrays)
    return worst(
        (relative_error(backend.to_numpy(result), exact), bound(count, dtype))
        for result, exact, count in zip(found, expected, terms, strict=False)
    )


def dtype_of(arrays: Sequence[Array]) -> str:
    """The floating dtype of a call with these operands; float32 if none of them has one."""
    return next((a.dtype.name for a in arrays if a.dtype.kind == "f"), "float32")


def _results(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, tuple) else (found,)


def bound(terms: int, dtype: str) -> float:
    """The largest relative L2 error of sums of `terms` terms: 4 u sqrt(terms); 0 terms: exact.

    Rounding errors of a sum add up like a random walk of that many steps of one half-unit u.
    """
    return 4 * float(np.finfo(dtype).eps / 2) * math.sqrt(terms)


def relative_error(found: Array, expected: Array) -> float:
    """||found - expected|| / ||expected|| in float64; inf if anything is not finite."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return math.inf
    distance = float(np.linalg.norm((found.astype(np.float64) - expected).ravel()))
    norm = float(np.linalg.norm(expected.ravel()))
    return distance and (distance / norm if norm else math.inf)


def worst(pairs: Any) -> tuple[float, float]:
    """The pair of error and bound with the greatest error, relative to its bound."""
    return max(pairs, key=lambda pair: pair[0] / pair[1] if pair[1] else pair[0] and math.inf)


def verify_step(trainer: Trainer, images: Any, labels: Any) -> tuple[float, float]:
    """Do a step, and compare its loss and all its gradients with float64.

    Dropout drops the same elements in both.

    Args:
        images, labels: the batch of that step.

    Returns:
        error and bound of the loss or the gradient that is nearest to its bound.
    """
    assert isinstance(trainer.model, Sequential)
    model, state, step = trainer.model, trainer.model.state_dict(), trainer.step
    trainer.totals.restart()
    trainer.train_step()
    to_numpy = trainer.backend.to_numpy
    found = {path: to_numpy(w.grad) for path, w in model.named_parameters().items()}
    found["loss"] = np.array(trainer.totals.read()[0])
    x, y = to_numpy(images).astype(np.float64), to_numpy(labels)

    def in_float64(weights: Arrays) -> Arrays:
        twin = _float64_model(model, weights, trainer.config.seed)
        twin.set_step(step)
        with trainer.backend.quiet_device():
            loss = compute_loss(trainer.config.loss, twin(Tensor(x)), y)
            loss.backward()
        gradients = {path: np.asarray(w.grad) for path, w in twin.named_parameters().items()}
        return {**gradients, "loss": np.asarray(loss.data)}

    rows = model.summary_rows(len(x))
    terms = max(math.prod(row.output_shape) // row.output_shape[1] for row in rows if row.flops)
    return _verify(found, in_float64, state, terms)


def verify_outputs(model: Sequential, images: Array, outputs: Array) -> tuple[float, float]:
    """Error and bound of a model's outputs for float32 images, in evaluation mode."""
    state = model.state_dict()

    def in_float64(weights: Arrays) -> Arrays:
        with no_grad():
            twin = _float64_model(model, weights, model.seed).eval()
            return {"outputs": np.asarray(twin(Tensor(images.astype(np.float64))).data)}

    return _verify({"outputs": outputs}, in_float64, state, max(map(_terms, state.values())))


def _verify(
    found: Arrays, in_float64: Callable[[Arrays], Arrays], state: Arrays, terms: int
) -> tuple[float, float]:
    """Error and bound of the result that is nearest to its bound; see the head of this file."""
    expected = in_float64(state)
    controls = [in_float64(_disturbed(state, seed)) for seed in range(_CONTROLS)]
    return worst(
        (
            relative_error(found[name], exact),
            bound(terms, "float32") + max(relative_error(c[name], exact) for c in controls),
        )
        for name, exact in expected.items()
    )


def _float64_model(model: Sequential, weights: Arrays, seed: int) -> Sequential:
    """The model of the same name on the CPU, with these weights in float64."""
    twin = models.get(model.name or "").build(IMAGE_SHAPE, seed=seed, device="cpu")
    for path, parameter in twin.named_parameters().items():
        parameter.data = weights[path].astype(np.float64)
    return twin


def _disturbed(state: Arrays, seed: int) -> Arrays:
    """The weights of a control, in float64."""
    rng = np.random.default_rng(seed)
    return {
        path: w * (1 + bound(_terms(w), "float32") * rng.choice([-1.0, 1.0], w.shape))
        for path, w in state.items()
    }


def _terms(weight: Array) -> int:
    """Products in the sum that an output of the layer is, by its weight (or bias)."""
    outputs = {1: weight.size, 2: weight.shape[-1], 4: weight.shape[0]}
    return weight.size // outputs[weight.ndim]
