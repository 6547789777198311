"""Optimizers: they change parameters by their gradients, in place and on their device.

The update formulas are in `gpucnn.backend.base`. What changes from step to step (learning rate,
step count, whether training is halted) lies in arrays on the device, so a step reads nothing back.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from gpucnn import backend as backends
from gpucnn.errors import UsageError, choose
from gpucnn.nn import Module, Parameter
from gpucnn.nn.state import copy_in, copy_out


class Optimizer:
    """Base of the optimizers. A subclass names its `slots` and defines `update`.

    Args:
        parameters: a built module, or its `named_parameters()`. They must stay on their device.
        learning_rate: at least 0.
        weight_decay: at least 0; times the parameter it is added to the gradient.

    Attributes:
        learning_rate: float32 (1,) on the device.
        step_count: uint32 (1,) on the device, the number of steps done.
        halted: uint32 (1,) on the device; while it is not zero a step changes nothing.
        state: slot -> path of the parameter -> array of the parameter's shape.

    Raises:
        UsageError: a number is negative or not finite, or there are no parameters.
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self,
        parameters: Module | Mapping[str, Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
    ) -> None:
        if isinstance(parameters, Module):
            parameters = parameters.named_parameters()
        self.parameters = dict(parameters)
        if not self.parameters:
            raise UsageError(
                "an optimizer without parameters",
                fix="pass a model that has some, or model.named_parameters()",
            )
        self.weight_decay = _share("weight_decay", weight_decay, math.inf)
        # By the backend: the array module would put them on the current one of several devices.
        backend = backends.of(*(p.data for p in self.parameters.values()))
        self.learning_rate = backend.asarray(np.zeros(1, np.float32))
        self.step_count = backend.asarray(np.zeros(1, np.uint32))
        self.halted = backend.asarray(np.zeros(1, np.uint32))
        self.state = {
            slot: {
                path: backend.asarray(np.zeros(p.shape, p.dtype))
                for path, p in self.parameters.items()
            }
            for slot in self.slots
        }
        self.set_learning_rate(learning_rate)

    def update(self, path: str, parameter: Parameter) -> None:
        """Change one parameter, which has a gradient, and its slots."""
        raise NotImplementedError

    def set_learning_rate(self, learning_rate: float) -> None:
        """Write the learning rate of the next steps into the array on the device."""
        with backends.of(self.learning_rate).computing():
            self.learning_rate.fill(_share("learning_rate", learning_rate, math.inf))

    def step(self) -> None:
        """Change every parameter that has a gradient and is not frozen."""
        with backends.of(self.step_count).computing():
            # Counted from 1; a halted step does not count: the state is the last good one.
            self.step_count += (self.halted == 0).astype("uint32")
        for path, parameter in self.parameters.items():
            if parameter.requires_grad and parameter.grad is not None:
                self.update(path, parameter)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy, on the host, of the slots as "<slot>/<path>" and of "step_count"."""
        return copy_out(self.arrays())

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy what `state_dict` gave back; all of it or, on error, nothing.

        Raises:
            WeightsMismatchError: it lists missing, unexpected and wrongly shaped entries.
        """
        copy_in(self.arrays(), state, f"the state for {type(self).__name__}")

    def arrays(self) -> dict[str, Any]:
        """The arrays on the device that `state_dict` copies, by the same names."""
        arrays = {
            f"{slot}/{path}": array
            for slot, by_path in self.state.items()
            for path, array in by_path.items()
        }
        return arrays | {"step_count": self.step_count}


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, in PyTorch's form; see `Backend.sgd_update`.

    Args:
        momentum: in [0, 1).
        nesterov: look ahead by the momentum (Sutskever et al. 2013); needs momentum.
    """

    def __init__(
        self,
        parameters: Module | Mapping[str, Parameter],
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum = _share("momentum", momentum)
        self.nesterov = nesterov
        if nesterov and not momentum:
            raise UsageError("nesterov without momentum", fix="give momentum=0.9 as well")
        self.slots = ("velocity",) if momentum else ()
        super().__init__(parameters, learning_rate, weight_decay)

    def update(self, path: str, parameter: Parameter) -> None:
        backends.of(parameter.data).sgd_update(
            parameter.data,
            parameter.grad,
            self.state["velocity"][path] if self.momentum else None,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            halted=self.halted,
        )


class RMSprop(Optimizer):
    """Tieleman and Hinton 2012; see `Backend.rmsprop_update`.

    Args:
        rho: how much of the mean square is kept, in [0, 1).
        eps: added to its root.
    """

    slots = ("square_avg",)

    def __init__(
        self,
        parameters: Module | Mapping[str, Parameter],
        learning_rate: float = 1e-3,
        rho: float = 0.9,
        eps: float = 1e-7,
        weight_decay: float = 0.0,
    ) -> None:
        self.rho = _share("rho", rho)
        self.eps = _share("eps", eps, math.inf)
        super().__init__(parameters, learning_rate, weight_decay)

    def update(self, path: str, parameter: Parameter) -> None:
        backends.of(parameter.data).rmsprop_update(
            parameter.data,
            parameter.grad,
            self.state["square_avg"][path],
            learning_rate=self.learning_rate,
            rho=self.rho,
            eps=self.eps,
            weight_decay=self.weight_decay,
            halted=self.halted,
        )


class Adam(Optimizer):
    """Kingma and Ba, "Adam" (ICLR 2015); see `Backend.adam_update`.

    Args:
        beta1, beta2: how much of the mean and of the mean square is kept, in [0, 1).
        eps: added to the root of the corrected mean square.
    """

    slots = ("m", "v")
    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        parameters: Module | Mapping[str, Parameter],
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.beta1, self.beta2 = _share("beta1", beta1), _share("beta2", beta2)
        self.eps = _share("eps", eps, math.inf)
        super().__init__(parameters, learning_rate, weight_decay)

    def update(self, path: str, parameter: Parameter) -> None:
        backends.of(parameter.data).adam_update(
            parameter.data,
            parameter.grad,
            self.state["m"][path],
            self.state["v"][path],
            learning_rate=self.learning_rate,
            step=self.step_count,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
            halted=self.halted,
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself (Loshchilov and Hutter, ICLR 2019)."""

    decoupled = True

    def __init__(
        self,
        parameters: Module | Mapping[str, Parameter],
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, learning_rate, beta1, beta2, eps, weight_decay)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


def get(
    name: str, parameters: Module | Mapping[str, Parameter], learning_rate: float, **options: Any
) -> Optimizer:
    """The optimizer of a name.

    Args:
        options: the other arguments of its class.

    Raises:
        UsageError: no optimizer has this name; it lists those that there are.
    """
    return choose(OPTIMIZERS, name, "optimizer")(parameters, learning_rate, **options)


def default_learning_rate(name: str) -> float:
    """The learning rate that the optimizer of a name takes if it is given none.

    Raises:
        UsageError: no optimizer has this name; it lists those that there are.
    """
    arguments = inspect.signature(choose(OPTIMIZERS, name, "optimizer")).parameters
    return float(arguments["learning_rate"].default)


def _share(name: str, value: float, below: float = 1.0) -> float:
    """`value` as a float, which must be in [0, below)."""
    if not 0 <= value < below:
        limit = "" if below == math.inf else f" and below {below:g}"
        raise UsageError(
            f"{name} is {value}",
            cause=f"it must be a finite number of at least 0{limit}",
            fix=f"give {name}=0.001" if below == math.inf else f"give {name}=0.9",
        )
    return float(value)
