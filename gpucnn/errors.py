"""One family of errors: each says what happened, why, and what to do next.

The command line prints the three parts and ends with the error's ``exit_code``;
a caller in Python catches `GpucnnError` or the built-in type that a kind also is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Entry = TypeVar("Entry")


class GpucnnError(Exception):
    """Base of every error that gpucnn raises on purpose.

    Args:
        message: what happened, one sentence.
        cause: why, if that is known.
        fix: what to do or type next.
    """

    exit_code = 1
    kind = "error"

    def __init__(self, message: str, *, cause: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        parts = [self.message]
        if self.cause:
            parts.append(f"cause: {self.cause}")
        if self.fix:
            parts.append(f"fix: {self.fix}")
        return "\n".join(parts)

    def as_dict(self) -> dict[str, str | None]:
        """The error as the fields of a JSON event: kind, message, cause, fix."""
        return {"kind": self.kind, "message": self.message, "cause": self.cause, "fix": self.fix}


class UsageError(GpucnnError, ValueError):
    """A flag, a configuration key or an argument is not acceptable."""

    exit_code = 2
    kind = "usage"


class ForeignNameError(UsageError, ImportError):
    """A name of another library, asked of one of our modules; ``fix`` says what there is instead.

    It is no `AttributeError`: Python replaces one by a text of its own in ``from m import name``.
    So `hasattr` raises it too.
    """


class ForeignAttributeError(UsageError, AttributeError):
    """An attribute that objects of another library have; ``fix`` says what there is instead."""


class ShapeError(GpucnnError, ValueError):
    """Arrays or layers whose shapes do not fit together."""

    kind = "shape"

    def at(self, layer: str) -> ShapeError:
        """The same error with the layer's name in front; the innermost layer wins."""
        if getattr(self, "layer", None) is not None:
            return self
        named = ShapeError(f"{layer}: {self.message}", cause=self.cause, fix=self.fix)
        named.layer = layer  # type: ignore[attr-defined]
        return named


class DtypeError(GpucnnError, TypeError):
    """An array of a type that the operation does not take, or of two backends at once."""

    kind = "dtype"


class GraphError(GpucnnError, RuntimeError):
    """The computational graph cannot be walked: freed, detached, or not scalar."""

    kind = "graph"


class DeviceError(GpucnnError, RuntimeError):
    """The requested device cannot be used on this machine."""

    exit_code = 3
    kind = "device"


class DataError(GpucnnError):
    """Data, weights or images are missing or corrupt."""

    exit_code = 4
    kind = "data"


class DivergedError(GpucnnError, ArithmeticError):
    """The loss became infinite or NaN."""

    exit_code = 5
    kind = "diverged"


class VerificationError(GpucnnError):
    """A result is further from its float64 reference than its bound allows."""

    exit_code = 6
    kind = "verification"


class WeightsMismatchError(GpucnnError, ValueError):
    """Weights that belong to another model: names or shapes differ."""

    kind = "weights"


class StorageError(GpucnnError):
    """A file cannot be written: no permission, no space."""

    kind = "storage"


class KernelError(GpucnnError, RuntimeError):
    """A kernel does not compile, cannot be launched, or was caught at a fault."""

    kind = "kernel"


class OutOfMemoryError(GpucnnError, MemoryError):
    """The device has no room for an array.

    Args:
        asked: bytes of the allocation that failed.
        held: bytes of the arrays alive in this process.
        free: bytes that the device has left.
        total: bytes of the device.
    """

    kind = "memory"

    def __init__(self, message: str, *, asked: int, held: int, free: int, total: int) -> None:
        super().__init__(
            message,
            cause=f"{_megabytes(asked)} were asked for, {_megabytes(free)} of "
            f"{_megabytes(total)} are free, {_megabytes(held)} are held by arrays",
            fix="use a smaller batch",
        )
        self.asked, self.held, self.free = asked, held, free

    def fitting(self, batch_size: int) -> int:
        """The largest batch size that may fit, if memory grows in step with it; at least 1."""
        return max(1, batch_size * (self.held + self.free) // (self.held + self.asked + 1))


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


class MissingExtraError(GpucnnError, ImportError):
    """An optional package is not installed; ``fix`` is the line to type."""

    kind = "missing-extra"


class Interrupted(GpucnnError):
    """Ctrl-C or SIGTERM; a checkpoint was saved if training had begun."""

    exit_code = 130
    kind = "interrupted"


def choose(table: Mapping[str, Entry], name: object, what: str, origin: str = "") -> Entry:
    """The entry of a name.

    Args:
        table: name -> entry.
        name: what the user gave.
        what: what is chosen, for the message: "model".
        origin: where the name was given, for the message: " (from --model)".

    Raises:
        UsageError: there is none of this name; it lists the names, a similar one first.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    close = difflib.get_close_matches(str(name), table, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise UsageError(
        f"unknown {what} {name!r}{origin}", fix=f"{hint}choose one of {', '.join(table)}"
    )


def foreign_names(module: str, table: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that knows names of other libraries.

    Args:
        module: the module's ``__name__``.
        table: their name -> what to write here.
    """

    def __getattr__(name: str) -> Any:
        if name in table:
            raise ForeignNameError(f"{module} has no {name}", fix=table[name])
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return __getattr__


class ForeignAttribute:
    """An attribute of a class that says what there is here instead: it raises when it is read."""

    def __init__(self, name: str, fix: str) -> None:
        self.name = name
        self.fix = fix

    def __get__(self, instance: object, owner: type) -> Any:
        raise ForeignAttributeError(f"{owner.__name__} has no {self.name}", fix=self.fix)
