"""Optimizers: they change parameters by their gradients, in place and on their device.

The update formulas are in `gpucnn.backend.contract`. The values that change from step to step
(learning rate, step count, whether a loss was not finite) are in arrays on the device: a step reads
nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpucnn import backend as backends
from gpucnn import foreign
from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError, choose
from gpucnn.nn.state import copy_in, copy_out
from gpucnn.parameters import Parameters, check_number, clip_grad_norm, named
from gpucnn.printing import Printable
from gpucnn.recording import count_change
from gpucnn.spelling import Spellings, explain_attribute, explain_names, explained

__all__ = [
    "OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm",
    "default_learning_rate", "get"
]  # fmt: skip

#: Arguments of PyTorch and Keras, and ours.
_spelled = explained(
    Spellings(
        renamed={
            "alpha": ("rho",),
            "beta_1": ("beta1",),
            "beta_2": ("beta2",),
            "epsilon": ("eps",),
            "params": ("parameters",),
        },
        instead={
            "amsgrad": "it is Adam without it",
            "betas": "betas=(b1, b2) is beta1=b1, beta2=b2 here",
            "clipnorm": "clip by clip_grad_norm before each step",
            "decay": "set_learning_rate sets a rate that decays; see gpucnn.schedules",
            "set_to_none": "zero_grad always sets them to None",
        },
    )
)


class Optimizer(Printable):
    """Base of the optimizers. A subclass names its `slots` and defines `update` or `update_all`.

    Args:
        parameters: a built module, a list of parameters such as `module.parameters()`, or a mapping
            of names to parameters. They must stay on their device.
        learning_rate: at least 0; by default `default_learning_rate` of the class.
        lr: the same by its name in PyTorch; one of the two.
        weight_decay: at least 0; weight_decay * parameter is added to the gradient.

    Attributes:
        parameters: path or name -> parameter.
        learning_rate: float32 (1,) on the device. Assigning a number, or an array of one element,
            writes it into this array.
        lr: the same by its name in PyTorch, but read as a Python number; reading waits for the
            device.
        step_count: uint32 (1,) on the device, the number of steps done.
        found_inf: uint32 (1,) on the device; while it is not 0, a step changes nothing.
        state: slot -> path of the parameter -> array of the parameter's shape.

    Raises:
        UsageError: a number is negative or not finite, there are no parameters, or the call does
            not match the signature.
    """

    slots: tuple[str, ...] = ()
    default_learning_rate: ClassVar[float] = 1e-3

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float | None = None,
        *,
        lr: float | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = named(parameters)
        if not self.parameters:
            raise UsageError(
                "an optimizer without parameters",
                fix="pass a model that has some, or model.parameters()",
            )
        self.weight_decay = check_number("weight_decay", weight_decay)
        # `backend.asarray` uses the parameters' device; the array module uses the current one.
        backend = backends.of(*(p.data for p in self.parameters.values()))
        self._learning_rate = backend.asarray(np.zeros(1, np.float32))
        self.step_count = backend.asarray(np.zeros(1, np.uint32))
        self.found_inf = backend.asarray(np.zeros(1, np.uint32))
        self.state = {
            slot: {
                path: backend.asarray(np.zeros(p.shape, p.dtype))
                for path, p in self.parameters.items()
            }
            for slot in self.slots
        }
        if lr is not None and learning_rate is not None:
            raise UsageError(
                f"learning_rate is {learning_rate!r} and lr is {lr!r}",
                cause="they are two names of one number",
                fix="leave one of them out",
            )
        rate = lr if learning_rate is None else learning_rate
        self.set_learning_rate(self.default_learning_rate if rate is None else rate)

    if not TYPE_CHECKING:  # type checkers would then accept every name

        def __getattr__(self, name: str) -> Any:
            return explain_attribute(self, name, foreign.OPTIMIZER_ATTRIBUTES)

    def _argument(self, name: str) -> Any:
        if name == "parameters":
            raise KeyError(name)  # they may fill pages
        return self.lr if name == "learning_rate" else super()._argument(name)

    def update(self, path: str, parameter: Tensor) -> None:
        """Change one parameter, which has a gradient, and its slots."""
        raise NotImplementedError

    def update_all(self, parameters: Mapping[str, Tensor]) -> None:
        """Change parameters, which have a gradient each, and their slots: `update` for each."""
        for path, parameter in parameters.items():
            self.update(path, parameter)

    def _arrays(self, parameters: Mapping[str, Tensor]) -> list[list[Any]]:
        """The parameters, their gradients and each slot as the updates of a backend take them."""
        return [
            [parameter.data for parameter in parameters.values()],
            [parameter.grad for parameter in parameters.values()],
            *([self.state[slot][path] for path in parameters] for slot in self.slots),
        ]

    @property
    def _shared(self) -> dict[str, Any]:
        """The arguments that every update of a backend takes."""
        return {
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "found_inf": self.found_inf,
        }

    @property
    def learning_rate(self) -> Any:
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        self.set_learning_rate(learning_rate)

    @property
    def lr(self) -> float:
        # The shortest decimal form: 0.1, not 0.10000000149011612.
        return float(str(backends.of(self.learning_rate).to_numpy(self.learning_rate)[0]))

    @lr.setter
    def lr(self, learning_rate: float) -> None:
        self.set_learning_rate(learning_rate)

    def set_learning_rate(self, learning_rate: Any) -> None:
        """Write the learning rate of the next steps into the array on the device.

        Args:
            learning_rate: a number, or an array or Tensor of one element.
        """
        if getattr(learning_rate, "size", 0) == 1:
            learning_rate = learning_rate.item()
        with backends.of(self.learning_rate).quiet_device():
            self.learning_rate.fill(check_number("learning_rate", learning_rate))

    def step(self, *, counted: bool = False) -> None:
        """Change every parameter that has a gradient and is not frozen.

        Args:
            counted: whether `step_count` already counts this step, or `found_inf` halts it.
        """
        backend, now = backends.of(self.step_count), count_change()
        changing = {
            path: parameter
            for path, parameter in self.parameters.items()
            if parameter.requires_grad and parameter.grad is not None
        }
        # A training step that counts by itself has entered it.
        with nullcontext() if counted else backend.quiet_device():
            if not counted:  # from 1 on; a step that changes nothing does not count
                self.step_count += (self.found_inf == 0).astype("uint32")
            self.update_all(changing)
        for parameter in changing.values():
            parameter.changed_at = now

    @_spelled
    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy, on the host, of the slots as "<slot>/<path>" and of "step_count".

        The learning rate is not in it: set that of the optimizer that loads it.
        """
        return copy_out(self.arrays())

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy the result of `state_dict` into the optimizer; all of it or, on error, nothing.

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
    """Stochastic gradient descent with momentum, in PyTorch's form; see `gpucnn.ops.sgd_update`.

    Args:
        learning_rate: 0.01 by default.
        momentum: in [0, 1).
        nesterov: look ahead by the momentum (Sutskever et al. 2013); needs momentum.
    """

    default_learning_rate = 0.01

    @_spelled
    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float | None = None,
        *,
        lr: float | None = None,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum = check_number("momentum", momentum, below=1)
        if nesterov not in (False, True):
            raise UsageError(f"nesterov is {nesterov!r}", fix="give True or False")
        self.nesterov = bool(nesterov)
        if nesterov and not momentum:
            raise UsageError("nesterov without momentum", fix="give momentum=0.9 as well")
        self.slots = ("velocity",) if momentum else ()
        super().__init__(parameters, learning_rate, lr=lr, weight_decay=weight_decay)

    def update_all(self, parameters: Mapping[str, Tensor]) -> None:
        param, grad, *slots = self._arrays(parameters)
        backends.of(self.learning_rate).sgd_update(
            param,
            grad,
            slots[0] if slots else None,
            momentum=self.momentum,
            nesterov=self.nesterov,
            **self._shared,
        )


class RMSprop(Optimizer):
    """Tieleman and Hinton 2012; see `gpucnn.ops.rmsprop_update`.

    Args:
        learning_rate: 1e-3 by default.
        rho: the weight of the old mean square, in [0, 1).
        eps: added to its root.
    """

    slots = ("square_avg",)

    @_spelled
    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float | None = None,
        *,
        lr: float | None = None,
        rho: float = 0.9,
        eps: float = 1e-7,
        weight_decay: float = 0.0,
    ) -> None:
        self.rho = check_number("rho", rho, below=1)
        self.eps = check_number("eps", eps)
        super().__init__(parameters, learning_rate, lr=lr, weight_decay=weight_decay)

    def update_all(self, parameters: Mapping[str, Tensor]) -> None:
        backends.of(self.learning_rate).rmsprop_update(
            *self._arrays(parameters),
            rho=self.rho,
            eps=self.eps,
            **self._shared,
        )


class Adam(Optimizer):
    """Kingma and Ba, "Adam" (ICLR 2015); see `gpucnn.ops.adam_update`.

    Args:
        learning_rate: 1e-3 by default.
        beta1, beta2: the weights of the old mean and the old mean square, in [0, 1).
        eps: added to the root of the corrected mean square.
    """

    slots = ("m", "v")
    decoupled: ClassVar[bool] = False

    @_spelled
    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float | None = None,
        *,
        lr: float | None = None,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.beta1 = check_number("beta1", beta1, below=1)
        self.beta2 = check_number("beta2", beta2, below=1)
        self.eps = check_number("eps", eps)
        super().__init__(parameters, learning_rate, lr=lr, weight_decay=weight_decay)

    def update_all(self, parameters: Mapping[str, Tensor]) -> None:
        backends.of(self.learning_rate).adam_update(
            *self._arrays(parameters),
            step=self.step_count,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            decoupled=self.decoupled,
            **self._shared,
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself (Loshchilov and Hutter, ICLR 2019)."""

    decoupled = True

    @_spelled
    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float | None = None,
        *,
        lr: float | None = None,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        options: dict[str, Any] = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps}
        super().__init__(parameters, learning_rate, **options, weight_decay=weight_decay)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


def get(name: str, parameters: Parameters, learning_rate: float, **options: Any) -> Optimizer:
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
    return choose(OPTIMIZERS, name, "optimizer").default_learning_rate


explain_names(__name__, foreign.OPTIMIZERS, modules=("lr_scheduler",))
