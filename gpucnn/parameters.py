"""The parameters that an optimizer changes, by name, and the clipping of their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.backend.contract import Array
from gpucnn.errors import UsageError
from gpucnn.nn import Module
from gpucnn.spelling import Spellings, explained

#: The argument of an optimizer: a built module, or parameters with or without their names.
Parameters = Module | Mapping[str, Tensor] | Iterable[Tensor]

_LARGEST = float(np.finfo(np.float32).max)  # numbers go to kernels and arrays as float32


def named(parameters: Parameters) -> dict[str, Tensor]:
    """Parameters by their names, each once and in their order.

    The name of a parameter of a built module is its path. In a list, a parameter without a name, or
    with the name of an earlier one, gets its number: "parameter.3", "dense1.weight.5".

    Raises:
        UsageError: one of them is no parameter.
    """
    if isinstance(parameters, Module):
        return dict(parameters.named_parameters())
    if isinstance(parameters, Mapping):
        pairs = list(parameters.items())
    elif isinstance(parameters, Iterable) and not isinstance(parameters, (Tensor, str, np.ndarray)):
        pairs = [p if isinstance(p, tuple) else (getattr(p, "name", None), p) for p in parameters]
    else:
        raise _not_parameters(f"one value of type {type(parameters).__name__}")
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for number, (name, parameter) in enumerate(pairs):
        if not isinstance(parameter, Tensor):
            raise _not_parameters(f"a {type(parameter).__name__} among them")
        if parameter.creator is not None:
            raise _not_parameters("a tensor among them that was computed from others")
        if id(parameter) not in seen:
            seen.add(id(parameter))
            label = name or f"parameter.{number}"
            while label in found:
                label = f"{label}.{number}"
            found[label] = parameter
    return found


def _not_parameters(found: str) -> UsageError:
    return UsageError(
        f"expected parameters, got {found}",
        cause="an optimizer changes parameters, all of them in the same way",
        fix="pass a built model, model.parameters(), or a list of nn.Parameter",
    )


@explained(
    Spellings(
        instead={
            "error_if_nonfinite": "check the norm that it returns",
            "foreach": "all gradients are scaled at once",
            "norm_type": "the norm is that of the squares, L2",
        }
    )
)
def clip_grad_norm(parameters: Parameters, max_norm: float) -> Tensor:
    """Scale all gradients together so that their joint L2 norm is at most `max_norm`.

        grad = grad * min(1, max_norm / (norm + 1e-6))      norm = sqrt(sum of all grad**2)

    as in PyTorch (Pascanu, Mikolov and Bengio 2013, section 3.2). Call it between `backward` and
    `step`. Each `.grad` becomes a new array. Nothing is read back from the device, so a norm that
    is not finite raises no error: a NaN makes every gradient NaN; an infinite norm makes them 0, or
    NaN where they were infinite. Check the result, as in `math.isfinite(float(norm))`.

    Args:
        parameters: as for an optimizer. Frozen ones, and those without a gradient, are skipped.
        max_norm: at least 0.

    Returns:
        The norm before scaling, float64 (); it is summed in float64 and in a fixed order.
    """
    norm = clip_gradients(named(parameters).values(), check_number("max_norm", max_norm))
    return Tensor(np.zeros(()) if norm is None else norm.reshape(()))


def clip_gradients(parameters: Iterable[Tensor], max_norm: float, **counted: Array) -> Array | None:
    """Replace the gradients of parameters that are not frozen by those of `ops.clip_grad_norm`.

    Args:
        counted: halted, step and found_inf, or none of them.

    Returns:
        The norm, float64 (1,) on the device; None without a gradient.
    """
    trained = [p for p in parameters if p.requires_grad and p.grad is not None]
    if not trained:
        return None
    backend = backends.of(*(parameter.grad for parameter in trained))
    clipped, norm = backend.clip_grad_norm([p.grad for p in trained], max_norm, **counted)
    for parameter, grad in zip(trained, clipped, strict=True):
        parameter.grad = grad
    return norm


def check_number(name: str, value: float, below: float = math.inf) -> float:
    """`value` as a float, which must be in [0, below)."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and 0 <= value <= _LARGEST and value < below:
        return float(value)
    limit = "" if below == math.inf else f" and below {below:g}"
    raise UsageError(
        f"{name} is {value!r}",
        cause=f"it must be a number of at least 0{limit}, and finite as a float32",
        fix=f"give {name}=0.001" if below == math.inf else f"give {name}=0.9",
    )
