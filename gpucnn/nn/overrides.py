"""Values that hold for some modules within a thread: their mode, and who observes them.

They lie in tables of the thread, by the module's identity. So they hold for the calls that this
thread makes: other threads that use the same modules do not see them, nor do other models.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpucnn.nn.module import Module

#: The overrides that hold, the last one last: modules by their identity, and the value.
Table = list[tuple[dict[int, "Module"], Any]]


class _Tables(threading.local):
    def __init__(self) -> None:
        self.training: Table = []
        self.observers: Table = []
        #: The modules whose calls are under way, the outermost first.
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
        # Not always the last: a generator may be left between two of them.
        del table[next(i for i, other in enumerate(table) if other is entry)]


def lookup(table: Table, module: Module, default: Any) -> Any:
    """The value of the last override of a module that holds, else the default."""
    for modules, value in reversed(table):
        if id(module) in modules:
            return value
    return default
