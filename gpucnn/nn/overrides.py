"""Overrides of a module within one thread: its mode, and its observers.

They are in tables of the thread, by the module's identity. They hold for the calls of this thread
only: other threads that use the same modules do not see them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from gpucnn.autograd import Tensor
from gpucnn.nn.named import Members

if TYPE_CHECKING:
    from gpucnn.nn.module import Module

Observer = Callable[["Module", tuple[Tensor, ...], Tensor], None]

#: The overrides in force, the latest at the end: modules by their identity, and the value.
Table = list[tuple[dict[int, "Module"], Any]]


class _Tables(threading.local):
    def __init__(self) -> None:
        self.training: Table = []
        self.observers: Table = []
        #: The modules whose calls are in progress, the outermost first.
        self.calls: list[Module] = []


local = _Tables()


@contextmanager
def override(table: Table, modules: Iterable[Module], value: Any) -> Iterator[None]:
    """Inside, `lookup` gives this value for the modules.

    Args:
        table: `local.training` or `local.observers`.
    """
    entry = {id(module): module for module in modules}, value
    table.append(entry)
    try:
        yield
    finally:
        # It may not be the last: a generator can be suspended inside another override.
        del table[next(i for i, other in enumerate(table) if other is entry)]


def lookup(table: Table, module: Any, default: Any) -> Any:
    """The value of the latest override of a module, else the default."""
    for modules, value in reversed(table):
        if id(module) in modules:
            return value
    return default


class Overridable:
    """The part of `gpucnn.nn.Module` that threads may override: its mode, and its observers."""

    _training: bool = True

    def modules(self) -> Members[Module]:
        """This module and all below it; `Module` defines it."""
        raise NotImplementedError

    @contextmanager
    def observe(self, observer: Observer) -> Iterator[None]:
        """Call `observer(module, inputs, output)` after each call of each module of the tree.

        It sees the calls of this thread. Inside, `Sequential` folds nothing, so that the observer
        sees every layer.
        """
        with override(local.observers, self.modules().values(), observer):
            yield

    @property
    def observer(self) -> Observer | None:
        """The observer in this thread, or None."""
        return lookup(local.observers, self, None)

    @property
    def training(self) -> bool:
        if not local.training:  # the usual case, in every forward pass
            return self._training
        return lookup(local.training, self, self._training)

    @training.setter
    def training(self, mode: bool) -> None:
        self._training = mode

    def train(self, mode: bool = True) -> Self:
        """Set training mode, or evaluation mode with `mode=False`, until the next such call.

        The library never calls it on a model of yours: it uses `evaluating` and `training_mode`.
        """
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode."""
        return self.train(False)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, the tree is in evaluation mode for this thread, whatever mode was set."""
        with override(local.training, self.modules().values(), False):
            yield

    @contextmanager
    def training_mode(self) -> Iterator[None]:
        """Inside, the tree is in training mode for this thread, whatever mode was set."""
        with override(local.training, self.modules().values(), True):
            yield
