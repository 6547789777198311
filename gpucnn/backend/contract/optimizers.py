"""The updates of the optimizers, in place, and the clipping of gradients before them."""

from __future__ import annotations

import math
from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array, Scalar
from gpucnn.backend.contract.checks import (
    Checks,
    check_in_place,
    check_numbers,
    check_shape,
    check_state,
)
from gpucnn.errors import ShapeError, UsageError


class Optimizers(Checks):
    """A parameter, its gradient and its slots have one shape, any, and one dtype.

    One call updates several parameters, which may differ in both, if these arguments are lists.
    """

    def sgd_update(
        self,
        param: Array,
        grad: Array,
        velocity: Array | None,
        *,
        learning_rate: Scalar,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        found_inf: Scalar | None = None,
    ) -> None:
        """One step of stochastic gradient descent, in place: see `gpucnn.ops.sgd_update`."""
        tensors = self._checked(learning_rate, found_inf, param=param, grad=grad, velocity=velocity)
        check_numbers(momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
        if not momentum:
            tensors = [arrays[:2] for arrays in tensors]
            self._update("sgd", tensors, (weight_decay,), learning_rate, None, found_inf)
        elif velocity is None:
            raise UsageError("momentum without a velocity", fix="pass an array of zeros at first")
        else:
            numbers = momentum, bool(nesterov), weight_decay
            self._update("momentum", tensors, numbers, learning_rate, None, found_inf)

    def rmsprop_update(
        self,
        param: Array,
        grad: Array,
        square_avg: Array,
        *,
        learning_rate: Scalar,
        rho: float = 0.9,
        eps: float = 1e-7,
        weight_decay: float = 0.0,
        found_inf: Scalar | None = None,
    ) -> None:
        """One step of RMSprop, in place: see `gpucnn.ops.rmsprop_update`."""
        tensors = self._checked(
            learning_rate, found_inf, param=param, grad=grad, square_avg=square_avg
        )
        check_numbers(rho=rho, eps=eps, weight_decay=weight_decay)
        numbers = rho, 1 - rho, eps, weight_decay
        self._update("rmsprop", tensors, numbers, learning_rate, None, found_inf)

    def adam_update(
        self,
        param: Array,
        grad: Array,
        m: Array,
        v: Array,
        *,
        learning_rate: Scalar,
        step: Scalar,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        found_inf: Scalar | None = None,
    ) -> None:
        """One step of Adam or AdamW, in place: see `gpucnn.ops.adam_update`."""
        tensors = self._checked(learning_rate, found_inf, param=param, grad=grad, m=m, v=v)
        self._check_scalar("step", step)
        check_numbers(
            beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decoupled=decoupled
        )
        weights = *_weights("beta1", beta1), *_weights("beta2", beta2)
        numbers = *weights, eps, weight_decay, bool(decoupled)
        self._update("adam", tensors, numbers, learning_rate, step, found_inf)

    def clip_grad_norm(
        self,
        grads: Array,
        max_norm: float,
        *,
        halted: Array | None = None,
        step: Array | None = None,
        found_inf: Array | None = None,
    ) -> tuple[list[Array], Array]:
        """The gradients, scaled together, and their norm: see `gpucnn.ops.clip_grad_norm`."""
        if not isinstance(grads, list):
            raise UsageError("the gradients are no list of arrays", fix="give a list: [grad]")
        for place, grad in enumerate(grads):
            self._check_floats(**{f"grads[{place}]": grad})
        check_numbers(max_norm=max_norm)
        state = {"halted": halted, "step": step, "found_inf": found_inf}
        given = [name for name, array in state.items() if array is not None]
        if given and len(given) < len(state):
            raise ShapeError(
                f"{', '.join(given)} without the other of {', '.join(state)}",
                cause="a step is counted unless the training is halted or its norm is not finite",
                fix="pass all three, or none",
            )
        self._check_owned(**state)
        for name in given:
            check_state(name, state[name], (1,), "uint32")
        return self._clip_grad_norm(grads, max_norm, halted, step, found_inf)

    @abstractmethod
    def _clip_grad_norm(
        self,
        grads: list[Array],
        max_norm: float,
        halted: Array | None,
        step: Array | None,
        found_inf: Array | None,
    ) -> tuple[list[Array], Array]: ...

    @abstractmethod
    def _update(
        self,
        rule: str,
        tensors: list[list[Array]],
        numbers: tuple[float, ...],
        learning_rate: Scalar,
        step: Scalar | None,
        found_inf: Scalar | None,
    ) -> None:
        """Apply a rule to parameters and their slots, in place, unless found_inf is not zero.

        The rules and their numbers are:

            sgd       weight_decay
            momentum  momentum, nesterov, weight_decay
            rmsprop   rho, 1 - rho, eps, weight_decay
            adam      beta1, 1 - beta1, log(beta1), the same of beta2, eps, weight_decay, decoupled

        Args:
            tensors: for each parameter: itself, its gradient, its slots. Only the gradient may have
                strides.
            learning_rate, step, found_inf: what changes from step to step: numbers, or arrays (1,)
                of this device. A GPU's array is not read here: the host would wait for it. `step`
                is counted from 1, and None if the rule does not count.
        """

    def _checked(
        self, learning_rate: Scalar, found_inf: Scalar | None, **given: Array | list[Array] | None
    ) -> list[list[Array]]:
        """The arrays of each parameter, once they are checked: itself, its gradient, its slots.

        Args:
            given: the parameters, their gradients and their slots, by name; None for no slot.
        """
        columns = {name: value for name, value in given.items() if value is not None}
        if not any(isinstance(value, list) for value in columns.values()):
            columns = {name: [value] for name, value in columns.items()}
        counts = {
            name: len(value) if isinstance(value, list) else "no list"
            for name, value in columns.items()
        }
        if len(set(counts.values())) > 1:
            raise ShapeError(
                "lists of different lengths: " + ", ".join(f"{k} {n}" for k, n in counts.items()),
                cause="each parameter needs a gradient and its slots",
                fix="give lists of the same length",
            )
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        for row in rows:
            self._check_tensors(**dict(zip(columns, row, strict=True)))
        self._check_scalar("learning_rate", learning_rate)
        if found_inf is not None:
            self._check_scalar("found_inf", found_inf)
        return rows

    def _check_tensors(self, *, param: Array, grad: Array, **slots: Array) -> None:
        self._check_floats(param=param, grad=grad, **slots)
        check_shape("grad", grad, param.shape)
        for name, array in (("param", param), *slots.items()):
            check_shape(name, array, param.shape)
            check_in_place(name, array)


def _weights(name: str, beta: float) -> tuple[float, float, float]:
    """beta, 1 - beta and log(beta), from which the bias correction comes without a loss of digits.

    1 - beta**step is -expm1(step * log(beta)): the difference of two near numbers loses digits.
    """
    if not 0 <= beta < 1:
        raise UsageError(
            f"{name} is {beta}",
            cause="it is the weight of the past: at least 0 and below 1",
            fix="give beta1=0.9 and beta2=0.999",
        )
    return beta, 1 - beta, math.log(beta) if beta else -math.inf
