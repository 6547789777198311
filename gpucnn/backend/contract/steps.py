"""What begins a training step, and what counts steps: values that the host never reads."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_state
from gpucnn.errors import DtypeError, ShapeError, UsageError


class Steps(Checks):
    """All that changes from step to step lies on the device, so a step can be replayed."""

    def begin_step(
        self,
        place: Array,
        order: Array,
        indices: Array,
        *,
        rates: Array | None = None,
        step: Array | None = None,
        learning_rate: Array | None = None,
    ) -> None:
        """Take the next indices of an order, and look up a rate: see `gpucnn.ops.begin_step`."""
        lookup = {"rates": rates, "step": step, "learning_rate": learning_rate}
        self._check_owned(place=place, order=order, indices=indices, **lookup)
        check_state("place", place, (1,), "uint32")
        _check_list("order", order, "int32")
        check_state("indices", indices, (indices.size,), "int32")
        given = [name for name, array in lookup.items() if array is not None]
        if given and len(given) < len(lookup):
            missing = [name for name in lookup if name not in given]
            raise UsageError(
                f"{' and '.join(given)} without {' and '.join(missing)}",
                cause="the learning rate of a step is looked up in a table",
                fix="pass all three, or none",
            )
        if rates is not None and step is not None and learning_rate is not None:
            _check_list("rates", rates, "float32", least=1)
            _check_list("step", step, "uint32", least=1)
            check_state("learning_rate", learning_rate, (1,), "float32")
        self._begin_step(place, order, indices, rates, step, learning_rate)

    @abstractmethod
    def _begin_step(
        self,
        place: Array,
        order: Array,
        indices: Array,
        rates: Array | None,
        step: Array | None,
        learning_rate: Array | None,
    ) -> None: ...

    def increment(self, counter: Array) -> None:
        """Add 1 to a counter: see `gpucnn.ops.increment`."""
        self._check_owned(counter=counter)
        check_state("counter", counter, (1,), "uint32")
        self._increment(counter)

    @abstractmethod
    def _increment(self, counter: Array) -> None: ...


def _check_list(name: str, array: Array, dtype: str, least: int = 0) -> None:
    """An array of one axis and at least so many elements, which is only read."""
    if array.dtype != dtype:
        raise DtypeError(
            f"{name} is {array.dtype}",
            cause=f"it must be {dtype}",
            fix=f"convert it with .astype(numpy.{dtype})",
        )
    if array.ndim != 1 or len(array) < least:
        raise ShapeError(
            f"{name} has shape {tuple(array.shape)}",
            cause=f"it must have one axis, of at least {least} elements",
            fix="flatten it",
        )
