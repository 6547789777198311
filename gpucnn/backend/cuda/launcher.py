"""Kernel launches: specialize a kernel, check and convert every argument, launch.

`Launcher` does what does not depend on where the kernel runs. `cupy_launcher` compiles with NVRTC
and launches on a GPU; the simulator's launcher compiles with a C++ compiler and runs on the CPU.
Nothing else in the project touches a raw kernel, which checks neither the number, nor the type,
nor the layout of what it is given.
"""

from __future__ import annotations

import operator
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from gpucnn.backend.cuda import arguments, sources
from gpucnn.backend.cuda.arguments import is_array
from gpucnn.backend.cuda.sources import Declaration, Kernel
from gpucnn.errors import DtypeError, GpucnnError, KernelError, UsageError

Array = Any  # of the launcher's device
Dim3 = tuple[int, int, int]
Size = int | tuple[int, ...]
Signature = tuple[tuple[Declaration, ...], arguments.Find]

# From here on offsets have 64 bits. Half of what 32 bits can hold, so that rounding up to a whole
# block, or adding the stride of a loop, cannot overflow.
_WIDE_FROM = 1 << 30
_MAX_GRID = (2**31 - 1, 65535, 65535)


class Launcher(ABC):
    """Compiles kernels once and launches them on the arrays of one device.

    Attributes:
        name: of the device, for messages: "cuda:0", "sim".
        multiprocessors: how many blocks run at once, which decides how far a reduction is split.
        has_graphs: whether it has `capture`.
        wide: whether to use 64-bit offsets for arrays of every size.
        algorithm: of convolution and matrix product, one of `ALGORITHMS`, see `force_algorithm`;
            None chooses by the sizes.
        null: what `_run` gets for a null pointer.
    """

    name: str
    multiprocessors: int
    has_graphs = False
    wide = False
    algorithm: str | None = None
    null: Any = None

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._signatures: dict[tuple[str, str], Signature] = {}
        self._variants: dict[Any, tuple[Any, list[Callable[[Any], Any]]]] = {}
        self._thread = _Thread()

    # ---- what a device implements ----------------------------------------------------------

    @abstractmethod
    def asarray(self, array: Any, dtype: Any = None) -> Array:
        """An array of this device from what NumPy makes an array of, or one of this device."""

    @abstractmethod
    def to_numpy(self, array: Array) -> np.ndarray:
        """A copy on the host; waits for the device."""

    def write(self, array: Array, values: Any) -> None:
        """Copies values of the host, of its shape, into a C-contiguous array of this device."""
        with self.quiet_device():
            array[...] = self.asarray(values, array.dtype)

    @abstractmethod
    def owns(self, array: Any) -> bool:
        """Whether `array` lies on this device."""

    @abstractmethod
    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """Uninitialized memory, C-contiguous."""

    @abstractmethod
    def address(self, array: Array) -> int:
        """Where the first element lies, in bytes."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """All that the bits of a result depend on: device, driver, versions."""

    @abstractmethod
    def quiet_device(self) -> AbstractContextManager[Any]:
        """A context for a stretch of computation on this device."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Captures what `work` launches; see `gpucnn.backend.contract.Arrays`."""
        raise NotImplementedError(f"{self.name} has no graphs")

    @abstractmethod
    def _compile(self, kernel: Kernel) -> Any:
        """A handle for `_run`."""

    @abstractmethod
    def _run(self, handle: Any, grid: Dim3, block: Dim3, values: list[Any], shared: int) -> None:
        """Launches; values are arrays of this device, NumPy scalars, and `null`."""

    # ---- launching -------------------------------------------------------------------------

    def launch(
        self,
        source: str,
        kernel: str,
        grid: Size,
        block: Size,
        *args: Any,
        shared: int = 0,
        **constants: Any,
    ) -> None:
        """Launches one kernel; a grid with a zero in it launches nothing.

        `real` in the source becomes the type of the arrays that are given for it, `index_t` has
        64 bits if an array needs them.

        Args:
            source: the file kernels/SOURCE.cu.
            kernel: the name of the function.
            grid: number of blocks, up to three axes.
            block: threads of a block, up to three axes.
            args: arrays of this device, None for a null pointer, numbers, and for a struct a tuple
                of its fields. A field that is an array takes a list; zeros fill up the rest.
            shared: bytes of dynamic shared memory a block.
            constants: what the source is specialized by: NAME=value becomes #define NAME value.

        Raises:
            DtypeError, ShapeError: an argument is not what the source declares.
            KernelError: it does not compile or cannot be launched.
        """
        if self._thread.shapes_only:
            return
        handle, converters = self._variant(source, kernel, args, constants)
        values = [convert(arg) for convert, arg in zip(converters, args, strict=True)]
        blocks, is_possible = _grid(grid)
        if 0 in blocks:
            return
        if not is_possible:
            raise KernelError(
                f"{kernel}: a grid of {blocks} blocks",
                cause=f"a GPU takes 1 to {_MAX_GRID}; the arrays are {_shapes(args)}",
                fix="use smaller arrays, or a smaller batch",
            )
        if self._thread.ahead is not None:
            return
        try:
            self._run(handle, blocks, _dim3(block), values, shared)
        except GpucnnError as error:
            raise self._named(error, kernel, args) from None

    def compile_ahead(self, work: Callable[[], Any]) -> None:
        """Compiles in parallel what `work` launches; see `gpucnn.backend.contract.Arrays`.

        In threads, as NVRTC and a C++ compiler do not hold the lock of the interpreter. A variant
        that does not compile is left to its launch, which fails with the reason.
        """
        self._thread.ahead = ahead = _Ahead(ThreadPoolExecutor(os.cpu_count()))
        try:
            work()
            for key, (compiling, converters) in ahead.variants.items():
                if compiling.exception() is None:  # when it is done
                    self._variants[key] = compiling.result(), converters
        finally:
            self._thread.ahead = None
            ahead.pool.shutdown(cancel_futures=True)

    @contextmanager
    def shapes_only(self) -> Iterator[None]:
        """In it, this thread launches nothing; see `gpucnn.backend.contract.Arrays`."""
        before, self._thread.shapes_only = self._thread.shapes_only, True
        try:
            yield
        finally:
            self._thread.shapes_only = before

    def choose_algorithm(self, possible: Sequence[str], what: str, dtype: Any) -> str:
        """The algorithm that `algorithm` asks for, else the first of those that take the arguments.

        Args:
            what: is computed, in arrays of `dtype`; for the message.

        Raises:
            UsageError: what is asked for does not take them.
        """
        if self.algorithm is None:
            return possible[0]
        if self.algorithm in possible:
            return self.algorithm
        raise UsageError(
            f"the {self.algorithm} kernel does not compute a {what} in {dtype}",
            cause=f"there is only: {', '.join(possible)}",
            fix="leave the algorithm to the backend (None)",
        )

    def add_source(self, source: str, text: str) -> None:
        """Makes a text known under a name, as if it stood in kernels/."""
        self._texts[source] = sources.expand(text, source)
        self._signatures.clear()
        self._variants.clear()

    def text(self, source: str) -> str:
        """The text of kernels/SOURCE.cu with its includes put in."""
        return self._texts.get(source) or sources.read(source)

    def _variant(
        self, source: str, kernel: str, args: Sequence[Any], constants: Mapping[str, Any]
    ) -> tuple[Any, list[Callable[[Any], Any]]]:
        real, wide = self._chosen(source, kernel, args)
        key = (source, kernel, real, wide, *constants.items())
        if found := self._variants.get(key):
            return found
        ahead = self._thread.ahead
        if ahead is not None and key in ahead.variants:
            return ahead.variants[key]
        text = self.text(source)
        variant = sources.specialize(text, source, kernel, real, wide, constants)
        converters = arguments.converters(self, variant)
        if ahead is None:
            self._variants[key] = self._compile(variant), converters
            return self._variants[key]
        ahead.variants[key] = ahead.pool.submit(self._compile, variant), converters
        return ahead.variants[key]

    def _chosen(
        self, source: str, kernel: str, args: Sequence[Any]
    ) -> tuple[np.dtype | None, bool]:
        """The dtype that `real` stands for (None: no such argument), and whether to go wide."""
        parameters, find = self._signature(source, kernel)
        if len(args) != len(parameters):
            raise KernelError(
                f"{kernel} takes {len(parameters)} arguments, {len(args)} were given",
                cause="it is declared with " + ", ".join(p.name for p in parameters),
                fix="give one for each",
            )
        real, wide = None, self.wide
        for type_, array in find(args):
            wide = wide or array.size >= _WIDE_FROM
            if type_ == "real" and real is None:
                real = array.dtype
        if real is not None and real not in sources.REAL:
            raise DtypeError(
                f"{kernel} on arrays of {real}",
                cause="kernels compute in float32 or float64",
                fix="convert with .astype(numpy.float32)",
            )
        return real, wide

    def _signature(self, source: str, kernel: str) -> Signature:
        """The parameters of a kernel, and what finds the arrays among its arguments."""
        found = self._signatures.get((source, kernel))
        if found is None:
            text = self.text(source)
            parameters = sources.signature(text, source, kernel)
            found = parameters, arguments.finder(text, parameters)
            self._signatures[source, kernel] = found
        return found

    def _named(self, error: GpucnnError, kernel: str, args: Sequence[Any]) -> GpucnnError:
        arrays = _shapes(args)
        error.message = f"{kernel} on {arrays}: {error.message}"
        error.args = (error.message,)
        return error


class _Ahead:
    """The variants that `Launcher.compile_ahead` compiles: futures for their handles."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.variants: dict[Any, tuple[Future[Any], list[Callable[[Any], Any]]]] = {}


class _Thread(threading.local):
    """Of each thread: another one may launch while this one does not."""

    ahead: _Ahead | None = None
    shapes_only = False


# ---- small helpers -------------------------------------------------------------------------


def _shapes(args: Sequence[Any]) -> str:
    """The arrays among some arguments, for a message."""
    return ", ".join(f"{tuple(arg.shape)} {arg.dtype}" for arg in args if is_array(arg))


# A training launches the same few sizes in every step.
@lru_cache(maxsize=1024)
def _dim3(size: Size) -> Dim3:
    if isinstance(size, int):
        return size, 1, 1
    x, y, z, *_ = (*size, 1, 1)
    return x, y, z


@lru_cache(maxsize=1024)
def _grid(size: Size) -> tuple[Dim3, bool]:
    """A number of blocks, and whether a GPU takes it."""
    blocks = _dim3(size)
    return blocks, all(map(operator.le, blocks, _MAX_GRID)) and min(blocks) >= 0
