"""Optimizers by Keras's names, for `compile`.

An object here says how `fit` makes an optimizer of `gpucnn.optim`, which it does afresh each time.
Two defaults differ from Keras's: `epsilon` of Adam is 1e-8, `weight_decay` of AdamW 0.01. RMSprop
divides by sqrt(mean square) + `epsilon`, Keras by sqrt(mean square + `epsilon`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn import optim
from gpucnn.errors import UsageError, choose
from gpucnn.keras import spelling
from gpucnn.nn import Module, Parameter, arguments
from gpucnn.spelling import explain_attribute, explain_names

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "adam", "get", "rmsprop", "sgd"]


_ATTRIBUTES = {
    "iterations": "each fit makes a new optimizer; a callback can count steps",
    "get_config": "see its name, learning_rate and options",
    "apply_gradients": "in a loop of your own use an optimizer of gpucnn.optim and its step()",
    "minimize": "in a loop of your own use an optimizer of gpucnn.optim and its step()",
}


class Optimizer:
    """An optimizer for `compile`: how `fit` makes its own.

    Attributes:
        name: a name in `gpucnn.optim.OPTIMIZERS`.
        options: its arguments that were given, without the learning rate.
        global_clipnorm: the largest joint norm of the gradients of a step, or None. A step whose
            gradients are not finite is then skipped.
    """

    def __init__(
        self,
        name: str,
        learning_rate: float | None,
        options: Mapping[str, Any],
        global_clipnorm: float | None = None,
    ) -> None:
        self.name = name
        self.options = {key: value for key, value in options.items() if value is not None}
        default = optim.default_learning_rate(name)
        self.learning_rate = default if learning_rate is None else learning_rate
        self.global_clipnorm = None
        if global_clipnorm is not None:
            wanted = "a finite number above 0"
            self.global_clipnorm = arguments.number(
                global_clipnorm, "global_clipnorm", wanted, 1.0, above=0
            )
        self.make({"": Parameter(np.zeros(1, np.float32))})  # checks the options

    @property
    def learning_rate(self) -> float:
        """At least 0. A callback may set it: then the steps that follow take the new one."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._learning_rate = arguments.number(
            value, "learning_rate", "a finite number of at least 0", 0.001, least=0
        )

    lr = learning_rate  # the older name

    if not TYPE_CHECKING:  # which would then accept every name

        def __getattr__(self, name: str) -> Any:
            return explain_attribute(self, name, _ATTRIBUTES)

    def __repr__(self) -> str:
        options = {"learning_rate": self.learning_rate, **self.options}
        if self.global_clipnorm is not None:
            options["global_clipnorm"] = self.global_clipnorm
        shown = ", ".join(f"{key}={value!r}" for key, value in options.items())
        return f"{optim.OPTIMIZERS[self.name].__name__}({shown})"

    def make(self, parameters: Module | Mapping[str, Parameter]) -> optim.Optimizer:
        """The optimizer, with its state at the beginning."""
        kind = optim.OPTIMIZERS[self.name]
        return kind(parameters, learning_rate=self.learning_rate, **self.options)


@spelling.part
def SGD(
    learning_rate: float = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float | None = None,
    name: str | None = None,
    *,
    global_clipnorm: float | None = None,
) -> Optimizer:
    """`gpucnn.optim.SGD`."""
    if momentum:
        _no_decay("SGD with momentum", weight_decay)
    options = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    return Optimizer("sgd", learning_rate, options, global_clipnorm)


@spelling.part
def RMSprop(
    learning_rate: float = 0.001,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float | None = None,
    centered: bool = False,
    weight_decay: float | None = None,
    name: str | None = None,
    *,
    global_clipnorm: float | None = None,
) -> Optimizer:
    """`gpucnn.optim.RMSprop`, which has no momentum.

    `epsilon`, by default 1e-7, is added to the root, in Keras under it, where it weighs more. So
    for gradients of about sqrt(`epsilon`), 3e-4, and below, the steps are larger than Keras's.
    """
    if momentum or centered:
        raise UsageError("RMSprop has neither momentum nor a centered form", fix="leave them out")
    _no_decay("RMSprop", weight_decay)
    eps = 1e-7 if epsilon is None else epsilon
    return Optimizer("rmsprop", learning_rate, {"rho": rho, "eps": eps}, global_clipnorm)


@spelling.part
def Adam(
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float | None = None,
    *,  # the fifth is `decay` in Keras 2, `amsgrad` in Keras 3
    weight_decay: float | None = None,
    name: str | None = None,
    global_clipnorm: float | None = None,
) -> Optimizer:
    """`gpucnn.optim.Adam`; with `weight_decay` it is AdamW, as in Keras."""
    if weight_decay:
        return AdamW(
            learning_rate, weight_decay, beta_1, beta_2, epsilon, global_clipnorm=global_clipnorm
        )
    options = {"beta1": beta_1, "beta2": beta_2, "eps": epsilon}
    return Optimizer("adam", learning_rate, options, global_clipnorm)


@spelling.part
def AdamW(
    learning_rate: float = 0.001,
    weight_decay: float | None = None,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float | None = None,
    name: str | None = None,
    *,
    global_clipnorm: float | None = None,
) -> Optimizer:
    """`gpucnn.optim.AdamW`."""
    options = {"beta1": beta_1, "beta2": beta_2, "eps": epsilon, "weight_decay": weight_decay}
    return Optimizer("adamw", learning_rate, options, global_clipnorm)


def get(optimizer: Any, learning_rate: float | None = None) -> Optimizer:
    """The optimizer of a name, in any case of its letters, or an object of this module.

    Args:
        learning_rate: for a name; by default Keras's: 1e-2 for sgd, else 1e-3.

    Raises:
        UsageError: it is neither, or an object and a learning rate are given.
    """
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise UsageError(
                "the learning rate is given twice",
                cause="the optimizer has one",
                fix="leave learning_rate out of compile",
            )
        return optimizer
    if isinstance(optimizer, optim.Optimizer):
        kind = type(optimizer).__name__
        raise UsageError(
            f"the optimizer is a gpucnn.optim.{kind}, made for certain parameters",
            cause="each fit makes an optimizer of its own",
            fix=f'write optimizer="{kind.lower()}", or gpucnn.keras.optimizers.{kind}(...)',
        )
    spelling.check_called(optimizer, "optimizer", __name__)
    name = optimizer.lower() if isinstance(optimizer, str) else optimizer
    choose(optim.OPTIMIZERS, name, "optimizer")
    return Optimizer(name, learning_rate, {})


def _no_decay(what: str, weight_decay: float | None) -> None:
    if weight_decay:
        raise UsageError(
            f"{what} with weight_decay",
            cause="Keras shrinks the weights themselves, which only AdamW does here",
            fix="use AdamW, or leave weight_decay out",
        )


#: The names of Keras 1 and 2.
sgd, rmsprop, adam = SGD, RMSprop, Adam

_OTHERS = "use Adam, AdamW, RMSprop or SGD"
explain_names(
    __name__,
    {
        **dict.fromkeys(
            ("Adadelta", "Adagrad", "Adamax", "Nadam", "Ftrl", "Lion", "Adafactor", "Lamb"), _OTHERS
        ),
        **dict.fromkeys(("adadelta", "adagrad", "adamax", "nadam"), _OTHERS),
        "legacy": "the optimizers are here themselves",
        "schedules": "use callbacks.LearningRateScheduler, or compile(..., schedule=)",
    },
)
