"""One family of errors: each says what happened, why, and what to do next.

The command line prints the three parts and ends with the error's ``exit_code``;
a caller in Python catches `GpucnnError` or the built-in type that a kind also is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from gpucnn.quoting import for_message, on_one_line, quoted

Entry = TypeVar("Entry")


class GpucnnError(Exception):
    """Base of every error that gpucnn raises on purpose.

    Control characters in them, which may come from the name of a file, become escapes, and words
    of more than 200 characters are cut.

    Args:
        message: what happened, one sentence.
        cause: why, if that is known.
        fix: what to do or type next.
    """

    exit_code = 1
    kind = "error"

    def __init__(self, message: str, *, cause: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = on_one_line(for_message(message))
        self.cause = None if cause is None else for_message(cause)
        self.fix = None if fix is None else for_message(fix)

    def __str__(self) -> str:
        parts = [self.message]
        if self.cause:
            parts.append(f"cause: {self.cause}".replace("\n", "\n  "))
        if self.fix:
            parts.append(f"fix: {self.fix}".replace("\n", "\n  "))
        return "\n".join(parts)

    @property
    def reason(self) -> str:
        """The message and the cause, as a part of another text."""
        return f"{self.message}: {self.cause}" if self.cause else self.message

    def as_dict(self) -> dict[str, str | None]:
        """The error as the fields of a JSON event: kind, message, cause, fix."""
        return {"kind": self.kind, "message": self.message, "cause": self.cause, "fix": self.fix}


class GpucnnWarning(UserWarning):
    """Something that the user should know or change; the work goes on."""


class UsageError(GpucnnError, ValueError):
    """A flag, a configuration key or an argument is not acceptable."""

    exit_code = 2
    kind = "usage"


class SignatureError(UsageError, TypeError):
    """A call that does not fit the signature of the function."""


class NoLayerError(UsageError, IndexError, KeyError):
    """There is no layer at a position, or of a name."""


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
    """The device, or the host, has no room for an array.

    `fix` names all that could be smaller; a caller that knows which of it is too large replaces it.

    Args:
        on_host: whether it is the host that has no room.
        asked: bytes of the allocation that failed; 0 if they are not known.
        held: bytes of the arrays alive in this process; on the host, of its memory.
        free: bytes that the device has left.
        total: bytes of the device, of which 0 says that these three are not known.
    """

    kind = "memory"

    def __init__(
        self, message: str, *, asked: int, held: int, free: int, total: int, on_host: bool = False
    ) -> None:
        holder = "this process" if on_host else "arrays"
        parts = [f"{_megabytes(asked)} were asked for"] if asked else []
        if total:
            # Where the free bytes are enough, other arrays were there when the allocation failed.
            lacking = free < asked or not asked
            known = f"{_megabytes(free)} of {_megabytes(total)} are free"
            parts.append(known if lacking else f"{_megabytes(total)} are there in all")
            parts.append(f"{_megabytes(held)} are held by {holder}")
        super().__init__(
            message,
            cause=", ".join(parts) or None,
            fix=f"use a smaller model, batch or data set{'' if on_host else ', or the device cpu'}",
        )
        self.on_host = on_host
        self.asked, self.held, self.free, self.total = asked, held, free, total

    def fitting(self, batch_size: int) -> int:
        """The largest batch size that may fit, if memory grows in step with it; at least 1."""
        if not (self.total and self.asked):
            return max(1, batch_size // 2)
        return max(1, batch_size * (self.held + self.free) // (self.held + self.asked + 1))

    def suggest_batch(self, batch_size: int) -> None:
        """Let `fix` name the batch size that may fit in place of this one."""
        if (fitting := self.fitting(batch_size)) < batch_size:
            self.fix = f"give --batch-size {fitting}, or less"
        else:
            self.fix = f"use a smaller model{'' if self.on_host else ', or the device cpu'}"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f} MB"


class MissingExtraError(GpucnnError, ImportError):
    """An optional package or program is not installed; ``fix`` is the line to type."""

    kind = "missing-extra"


class UnknownNameError(GpucnnError, AttributeError):
    """A name of another library; ``fix`` is what to write here."""

    kind = "name"


class UnknownImportError(GpucnnError, ImportError):
    """The same in ``from module import name``, where Python replaces an AttributeError."""

    kind = "name"


class Interrupted(GpucnnError):
    """Ctrl-C or SIGTERM; a checkpoint was saved if training had begun."""

    exit_code = 130
    kind = "interrupted"


def cause_of(error: Exception) -> str:
    """The cause that an error of the system or of another library names.

    It is without the name of the file, which the system adds.
    """
    return quoted(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def expect(value: object, kind: type | tuple[type, ...], what: str, fix: str) -> None:
    """Check the type of an argument.

    Args:
        kind: the class that it must be of, or several.
        what: the argument, for the message: "the config".
        fix: what to give.

    Raises:
        UsageError: it is of another type.
    """
    if isinstance(value, kind):
        return
    kinds = kind if isinstance(kind, tuple) else (kind,)
    raise UsageError(
        f"{what} is a {type(value).__name__}",
        cause=f"it must be a {' or a '.join(each.__name__ for each in kinds)}",
        fix=fix,
    )


#: Names in other libraries -> our names.
_SYNONYMS = {
    "gpu": "cuda",
    "nvidia": "cuda",
    "simulator": "sim",
    "mse": "mean_squared_error",
    "l2": "mean_squared_error",
    "bce": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "cross_entropy": "softmax_cross_entropy",
    "crossentropy": "softmax_cross_entropy",
    "categorical_crossentropy": "softmax_cross_entropy",
    "sparse_categorical_crossentropy": "softmax_cross_entropy",
    "nll": "softmax_cross_entropy",
    "logistic": "softmax",
    "le-net": "lenet",
    "lenet5": "lenet",
    "lr": "learning_rate",
    "batch": "batch_size",
    "fashion": "fashion-mnist",
    "fashion_mnist": "fashion-mnist",
}


def similar(table: Iterable[str], name: str) -> str | None:
    """The name in a table that a name which is not in it may stand for, or None."""
    lower = name.lower()
    names = {each.lower(): each for each in table}
    if lower in names:
        return names[lower]
    if _SYNONYMS.get(lower) in names:
        return _SYNONYMS[lower]
    close = difflib.get_close_matches(lower, names, n=1)
    return names[close[0]] if close else None


def choose(
    table: Mapping[str, Entry], name: object, what: str, origin: str = "", others: str = ""
) -> Entry:
    """The entry of a name.

    Args:
        table: name -> entry.
        name: what the user gave.
        what: what is chosen, for the message: "model".
        origin: where the name was given, for the message: " (from --model)".
        others: what may be given besides the names, for the message.

    Raises:
        UsageError: there is none of this name; it lists the names, a similar one first.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    close = similar(table, quoted(name))
    hint = f"did you mean {close}? " if close else ""
    raise UsageError(
        f"unknown {what} {quoted(repr(name))}{origin}",
        fix=f"{hint}choose one of {', '.join(table)}" + (others and f", or {others}"),
    )
