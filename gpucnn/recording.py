"""Recording of computations on Tensors, and `no_grad`, which stops it.

A record holds arrays that the gradient needs. `changes` counts the changes of Tensors in place, so
that a backward can detect a change after the forward. `watching` tells of what no record shows.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from typing import Any, Protocol, TypeVar

from gpucnn.errors import UsageError

Called = TypeVar("Called", bound=Callable[..., Any])
Result = TypeVar("Result")

_local = threading.local()


#: The number of changes in place so far, of any Tensor.
changes = 0


def count_change() -> int:
    """Counts a change in place; the Tensor keeps the result as its `changed_at`."""
    global changes
    changes += 1
    return changes


def is_grad_enabled() -> bool:
    """Whether computations are being recorded in this thread."""
    return getattr(_local, "enabled", True)


#: Tests for a function whose body runs after the call.
_RUNS_LATER = (
    inspect.isgeneratorfunction,
    inspect.iscoroutinefunction,
    inspect.isasyncgenfunction,
)


class no_grad(ContextDecorator):
    """Inside, nothing is recorded: results have requires_grad=False.

    Also a decorator, as `@no_grad()` or `@no_grad`.
    """

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        return self if function is None else self(function)

    def __call__(self, function: Called) -> Called:
        if any(runs_later(function) for runs_later in _RUNS_LATER):
            raise UsageError(
                f"no_grad decorates {function.__name__}, whose body runs after the call",
                cause="a generator or coroutine runs when it is asked for the next value",
                fix="write `with no_grad():` in its body, around what is not to be recorded",
            )
        return super().__call__(function)

    def __enter__(self) -> None:
        # A stack: a decorator is one instance, which may be entered again before it is left.
        stack = _local.__dict__.setdefault("stack", [])
        stack.append(is_grad_enabled())
        _local.enabled = False

    def __exit__(self, *_: object) -> None:
        _local.enabled = _local.stack.pop()


class Watch(Protocol):
    """What `watching` calls."""

    def unrecorded(self, result: Any, sources: Any) -> None:
        """A Tensor was computed from others, some of which may be arrays, without a record."""

    def read(self, tensor: Any, what: str) -> None:
        """A Tensor is about to be read as "numpy", "item" or as another thing of Python."""


@contextlib.contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Inside, `watch` is told of results without a record and of reads, in this thread."""
    _local.watch = watch
    try:
        yield
    finally:
        _local.watch = None


def unrecorded(result: Result, *sources: Any) -> Result:
    """A Tensor that was computed from others without a record; returns it."""
    if (watch := getattr(_local, "watch", None)) is not None:
        watch.unrecorded(result, sources)
    return result


def reads(tensor: Any, what: str) -> None:
    """Say that a Tensor is about to be read."""
    if (watch := getattr(_local, "watch", None)) is not None:
        watch.read(tensor, what)
