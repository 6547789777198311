"""The gradients of a step and the update that it made, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn import backend as backends
from gpucnn.nn import Module


def layer_of(path: str) -> str:
    """The path of the layer that owns the parameter at a path; of the model itself, its name."""
    return path.rpartition(".")[0] or path


@dataclass(frozen=True)
class LayerStep:
    """A step as seen by the parameters of one layer.

    Args:
        gradient: the Euclidean norm of the gradient by all of them; None if they have none, as
            frozen ones.
        update: the norm of the change of the weights divided by the norm of the weights; None
            without weights of two axes or more, if these were all 0, or if no step was made.
        has_weights: whether it has weights of two axes or more.
    """

    gradient: float | None
    update: float | None
    has_weights: bool = True


class StepMeter:
    """Measures one step of a model: make it before the update, and call it after the update.

    It copies the weights, and changes nothing.
    """

    def __init__(self, model: Module) -> None:
        self.parameters = dict(model.named_parameters())
        with backends.get(model.device).quiet_device():
            self._before = {
                path: parameter.data.copy()
                for path, parameter in self.parameters.items()
                if parameter.ndim > 1
            }

    def __call__(self) -> dict[str, LayerStep]:
        """Path of the layer -> what the step was for it."""
        gradients: dict[str, list[float]] = {}
        changes: dict[str, list[tuple[float, float]]] = {}
        for path, parameter in self.parameters.items():
            layer = layer_of(path)
            known = gradients.setdefault(layer, [])
            if parameter.grad is not None:
                known.append(_square(parameter.grad))
            if path in self._before:
                before = self._before[path]
                pair = _square(parameter.data - before), _square(before)
                changes.setdefault(layer, []).append(pair)
        return {
            layer: LayerStep(
                float(np.sqrt(sum(squares))) if squares else None,
                _ratio(changes.get(layer, ())),
                layer in changes,
            )
            for layer, squares in gradients.items()
        }


def _ratio(pairs: Any) -> float | None:
    """The norm of the change of a layer's weights relative to the norm of the weights."""
    change, size = (sum(pair[k] for pair in pairs) for k in (0, 1))
    return float(np.sqrt(change / size)) if size else None


def _square(array: Any) -> float:
    """The sum of the squares."""
    backend = backends.of(array)
    with backend.quiet_device():
        return float(backend.to_numpy((array * array).sum(dtype=np.float64)))
