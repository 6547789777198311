"""Layers whose weights are still the random ones that they began with."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.inspection.gradients import is_blocked
from gpucnn.nn import Module
from gpucnn.nn.parameter import Parameter
from gpucnn.nn.state import owned

THRESHOLD = Threshold(
    0.0, "of the weights differ from those at the start", "a training changes every layer"
)


def find(evidence: Evidence) -> list[Finding]:
    """A finding for each layer that was never trained."""
    assert evidence.model is not None
    untrained = {
        path: module
        for path, module in evidence.model.named_modules()
        if _may_be(evidence, path) and _is_initial(module)
    }
    if untrained and is_blocked(evidence):
        untrained = {path: module for path, module in untrained.items() if _is_frozen(module)}
    return [_finding(path, _is_frozen(module)) for path, module in untrained.items()]


def _finding(path: str, frozen: bool) -> Finding:
    return Finding(
        "untrained-layer",
        path,
        0.0,
        THRESHOLD,
        f"{path}: its weights are still the random ones that it began with",
        "it is frozen, and was not trained before"
        if frozen
        else "no gradient arrives at it: the loss does not depend on it",
        f"{path}.freeze(False); or begin with trained weights, as by --weights RUN"
        if frozen
        else "compute the outputs with it: model.graph() draws what they depend on",
    )


def _is_frozen(module: Module) -> bool:
    return any(not each.requires_grad for each in owned(module, Parameter).values())


def _may_be(evidence: Evidence, path: str) -> bool:
    """Whether a layer may be untrained, by the last step: so that few layers are drawn again."""
    if evidence.layers is None:
        return True
    step = evidence.layers.get(path)
    return step is not None and not step.update


def _is_initial(module: Module) -> bool:
    """Whether the weights of a layer of this library are those that its seed gives."""
    weights = {n: p for n, p in owned(module, Parameter).items() if p.ndim > 1}
    if not weights or module.built_for is None or not type(module).create.__module__.startswith(
        "gpucnn."
    ):  # fmt: skip
        return False
    fresh = copy.copy(module)
    fresh.create(*((1, *shape) for shape in module.built_for))
    again = owned(fresh, Parameter)
    return all(np.array_equal(_host(weight), _host(again[n])) for n, weight in weights.items())


def _host(parameter: Parameter) -> NDArray[np.float32]:
    host: NDArray[np.float32] = backends.of(parameter.data).to_numpy(parameter.data)
    return host


CHECK = Check("untrained layers", ("model",), find, Evidence.not_begun)
