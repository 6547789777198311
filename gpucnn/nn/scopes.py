"""What a thread says of some modules for a while: their mode, and who observes them.

It lies in tables of the thread, by the module's identity. So it holds for the calls that this
thread makes: other threads that use the same modules do not see it, nor do other models.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpucnn.nn.module import Module

#: Module by its identity, and a value: in the order in which they were said.
Table = list[tuple[dict[int, "Module"], Any]]


class _Tables(threading.local):
    def __init__(self) -> None:
        self.training: Table = []
        self.observers: Table = []


here = _Tables()


@contextmanager
def said(table: Table, modules: Iterable[Module], value: Any) -> Iterator[None]:
    """Inside, `found` gives this value for the modules.

    Args:
        table: `here.training` or `here.observers`.
    """
    entry = {id(module): module for module in modules}, value
    table.append(entry)
    try:
        yield
    finally:
        # Not always the last: a generator may be left between two of them.
        del table[next(i for i, other in enumerate(table) if other is entry)]


def found(table: Table, module: Module, default: Any) -> Any:
    """What was said last of a module and still holds, else the default."""
    for modules, value in reversed(table):
        if id(module) in modules:
            return value
    return default
