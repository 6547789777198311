"""The services of a backend beside its primitives: arrays and a description."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Array = Any  # a NumPy or CuPy ndarray
Scalar = Any  # a number, or a device array (1,) whose value changes from step to step


class Arrays(ABC):
    """The arrays of one device. Every family of primitives builds on it.

    Attributes:
        name: "cpu", "cuda:0", "sim".
        xp: the array module (NumPy, CuPy) for all that is not a primitive.
        has_graphs: whether it has `capture`.
        choices: what the primitives choose by beside their arguments: an algorithm that is forced.
    """

    name: str
    xp: Any
    has_graphs: bool = False
    choices: tuple[Any, ...] = ()

    @abstractmethod
    def asarray(self, array: Any, dtype: Any = None) -> Array:
        """An array of this device from a NumPy array (or what NumPy makes one of)."""

    @abstractmethod
    def to_numpy(self, array: Array) -> Any:
        """A NumPy array with the values of an array of this device."""

    @abstractmethod
    def write(self, array: Array, values: Any) -> None:
        """Copy values of the host, of its shape, into a C-contiguous array of this device."""

    @abstractmethod
    def owns(self, array: Any) -> bool:
        """Whether `array` lies on this device."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """All that the bits of a result depend on: device, versions, BLAS core type, threads."""

    def preparation(self) -> str | None:
        """A line for the user if the first calls prepare something for seconds, else None."""
        return None

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Call `work` once to note what it does on the device: a call of the result does that.

        The call itself does nothing there. The result does the same on the same memory each time,
        whatever Python would do now. Arrays that `work` makes hold values after a call of the
        result, until the next one.

        Raises:
            KernelError: the work waits for the device, as it does to read a value.
            OutOfMemoryError: there is no room for the arrays that the work makes.
            NotImplementedError: `has_graphs` is false.
        """
        raise NotImplementedError(f"{self.name} has no graphs")

    @abstractmethod
    def compile_ahead(self, work: Callable[[], Any]) -> None:
        """Compile in parallel the kernels that `work` is going to launch.

        On a device whose kernels are compiled when they are needed, `work` is called, and launches
        nothing, as in `shapes_only`. On others it is not called.
        """

    def shapes_only(self) -> AbstractContextManager[Any]:
        """A context for calls whose results are not used, except for their shapes and dtypes.

        This thread launches no kernel of ours in it: what they would write holds other numbers.
        Expressions of `xp` are computed. A device without kernels computes as usual.
        """
        return nullcontext()

    @abstractmethod
    def quiet_device(self) -> AbstractContextManager[Any]:
        """A context for a stretch of computation, in which inf and NaN arise without a warning."""
