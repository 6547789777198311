"""Functions of the user's own in `compile`: a loss or a metric of (y_true, y_pred).

Both are Tensors in the shape of the outputs of the model: y_pred has the outputs, as `predict`
gives them, and y_true the targets; class ids are made one-hot.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from gpucnn.autograd import Tensor, is_grad_enabled
from gpucnn.errors import UsageError
from gpucnn.training.metrics import Loss, as_targets, is_ours

Function = Callable[[Tensor, Tensor], Tensor]


def name_of(function: Any) -> str:
    """The name of a function, or of the class of an object that is called."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__


def check_function(function: Any, kind: str) -> None:
    """Check a function for `compile`.

    Args:
        kind: "loss" or "metric".

    Raises:
        UsageError: it is a class or a function of this library, or takes other arguments.
    """
    name = name_of(function)
    if isinstance(function, type):
        raise UsageError(
            f"the {kind} is {name}, a class",
            fix=f"give an object that can be called with (y_true, y_pred): {name}()",
        )
    if is_ours(function):
        raise UsageError(
            f"the {kind} is {name}, a function of gpucnn",
            cause=f"a {kind} is called with (y_true, y_pred), which is not the order of its"
            " arguments",
            fix=f"write a function: lambda y_true, y_pred: {name}(y_pred, y_true)",
        )
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise UsageError(
            f"the {kind} {name} cannot be called with (y_true, y_pred)",
            cause=str(error),
            fix=f"write def {name}(y_true, y_pred), with defaults for all other arguments",
        ) from error
    except ValueError:  # a compiled function, which does not tell
        pass


def loss(function: Function) -> Loss:
    """A loss of `gpucnn.training` for a function that gives one number, or one for each example.

    It raises `UsageError` if the function gives something else, or if no gradient leads from the
    result to the outputs.
    """

    @functools.wraps(function)  # so that it counts as the user's code
    def computed(output: Tensor, labels: Any) -> Tensor:
        found = function(Tensor(as_targets(output, labels)), output)
        _check_result("loss", function, found, output)
        if is_grad_enabled() and output.requires_grad and not found.requires_grad:
            raise UsageError(
                f"the loss {name_of(function)} has no gradient",
                cause="its result does not depend on y_pred by functions that have one: detach,"
                " .numpy(), argmax and comparisons have none",
                fix="compute it from y_pred with operators and gpucnn.functions",
            )
        if found.dtype != output.dtype:
            raise UsageError(
                f"the loss {name_of(function)} is {found.dtype}, and the outputs are"
                f" {output.dtype}",
                fix="compute it from y_pred, with numbers of Python as constants",
            )
        return found

    return Loss(name_of(function), computed, lambda output: output, threshold=0.5)


def sums(function: Function) -> Callable[[Any, Any], Any]:
    """`Metric.sums` for a function that gives one number, or one for each example.

    One number counts for each example of the batch.
    """

    @functools.wraps(function)  # so that it counts as the user's code
    def computed(targets: Any, outputs: Any) -> Any:
        found = function(Tensor(targets), Tensor(outputs))
        _check_result("metric", function, found, outputs)
        total = found.data.sum() if found.ndim else found.data * len(outputs)
        return total.reshape(1)

    return computed


def _check_result(kind: str, function: Function, found: Any, outputs: Any) -> None:
    """`UsageError` unless it is a Tensor () or (N,)."""
    name = name_of(function)
    if not isinstance(found, Tensor):
        given = "nothing" if found is None else f"a {type(found).__name__}"
        raise UsageError(
            f"the {kind} {name} returned {given}",
            cause="the result must be a Tensor, of one number or of one for each example",
            fix="end it with return and the result"
            if found is None
            else "compute with operators and gpucnn.functions, without .numpy() and NumPy",
        )
    if found.shape not in ((), (len(outputs),)):
        raise UsageError(
            f"the {kind} {name} returned a Tensor {tuple(found.shape)} for {len(outputs)} examples",
            cause=f"a {kind} is one number (), or one for each example (N,)",
            fix="take the mean over the other axes, as in .mean(axis=1), or over all: .mean()",
        )
