"""Kernel launches on a GPU, through CuPy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from threading import get_ident
from typing import Any

import numpy as np

from gpucnn.backend.cuda.captured import Captured
from gpucnn.backend.cuda.launcher import Array, Dim3, Launcher
from gpucnn.backend.cuda.sources import Kernel
from gpucnn.errors import GpucnnError, KernelError, OutOfMemoryError, StorageError

_OPTIONS = ("-std=c++17",)
_SHARED_BY_DEFAULT = 48 << 10  # bytes of dynamic shared memory that need no permission


class CupyLauncher(Launcher):
    """Launches on one GPU through CuPy, on CuPy's current stream.

    Variants are compiled by NVRTC once a process, and once a machine: CuPy keeps the compiled code
    in its cache ($CUPY_CACHE_DIR), checks it by a digest and compiles again what does not fit.
    """

    has_graphs = True
    null = np.uintp(0)

    def __init__(self, index: int) -> None:
        import cupy

        super().__init__()
        self.cupy = cupy
        self.index = index
        self._captures: dict[int, Captured] = {}  # under way, by the number of the thread
        self.name = f"cuda:{index}"
        self._ndarray = cupy.ndarray
        self.get_device = cupy.cuda.runtime.getDevice
        self.set_device = cupy.cuda.runtime.setDevice
        with _Bound(self, "a query"):
            attributes = cupy.cuda.Device(index).attributes
            self.multiprocessors = attributes["MultiProcessorCount"]

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        with _Bound(self, "an array of {}", np.shape(array)):
            capture = self._captures and self._captures.get(get_ident())
            if capture and not isinstance(array, self.cupy.ndarray):
                return capture.constant(array, dtype)
            return self.cupy.asarray(array, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray:
        if get_ident() in self._captures:
            raise KernelError(
                f"an array of {array.shape} is read while a graph is captured",
                cause="nothing is computed then",
                fix="read values outside of the work that is captured",
            )
        with _Bound(self, "a copy of {} to the host", np.shape(array)):
            return self.cupy.asnumpy(array)

    def write(self, array: Array, values: Any) -> None:
        host = np.ascontiguousarray(values, array.dtype).reshape(array.shape)
        with _Bound(self, "a copy of {} from the host", array.shape):
            copy = self.asarray(host)  # through memory of CuPy's, which lives long enough
            # In the stream: work that was launched before still reads the old values.
            stream = self.cupy.cuda.get_current_stream()
            array.data.copy_from_device_async(copy.data, array.nbytes, stream)

    def owns(self, array: Any) -> bool:
        return isinstance(array, self._ndarray) and array.data.device_id == self.index

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        return self._call("an array of {}", (tuple(shape),), self.cupy.empty, shape, dtype)

    def address(self, array: Array) -> int:
        return array.data.ptr

    def describe(self) -> dict[str, Any]:
        runtime = self.cupy.cuda.runtime
        with _Bound(self, "a query"):
            properties = runtime.getDeviceProperties(self.index)
            return {
                "device": self.name,
                "gpu": properties["name"].decode(),
                "compute_capability": f"{properties['major']}.{properties['minor']}",
                "driver": _version(runtime.driverGetVersion()),
                "runtime": _version(runtime.runtimeGetVersion()),
                "nvrtc": ".".join(map(str, self.cupy.cuda.nvrtc.getVersion())),
                "cupy": self.cupy.__version__,
                "numpy": np.__version__,
            }

    def quiet_device(self) -> AbstractContextManager[Any]:
        # Array expressions run on the current device, so a stretch of them needs it bound.
        return _Bound(self, "the result of an expression")

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        with _Bound(self, "the capture of a graph"):
            self.cupy.get_default_memory_pool().free_all_blocks()  # the graph has a pool of its own
            captured = self._captures[get_ident()] = Captured(self.cupy)
            try:
                captured.capture(work)
            finally:
                del self._captures[get_ident()]
        return partial(self._launch_graph, captured)

    def _launch_graph(self, captured: Captured) -> None:
        with _Bound(self, "the launch of a graph"):
            captured.launch()

    def _compile(self, kernel: Kernel) -> Any:
        with _Bound(self, "the kernel {}", kernel.name):
            try:
                module = self.cupy.RawModule(code=kernel.text, options=_OPTIONS, backend="nvrtc")
                return module.get_function(kernel.name)
            except self.cupy.cuda.driver.CUDADriverError as error:
                raise KernelError(
                    f"kernels/{kernel.source}.cu cannot be loaded",
                    cause=str(error),
                    fix="gpucnn doctor says whether driver and NVRTC fit this GPU",
                ) from None
            except self.cupy.cuda.compiler.CompileException as error:
                raise KernelError(
                    f"kernels/{kernel.source}.cu does not compile"
                    + f" with {kernel.constants}" * bool(kernel.constants),
                    cause=str(error).strip(),
                    fix="gpucnn doctor says whether NVRTC fits this GPU",
                ) from None
            except OSError as error:
                raise StorageError(
                    "CuPy cannot keep a compiled kernel",
                    cause=str(error),
                    fix="free some space, or set CUPY_CACHE_DIR to a folder that can be written",
                ) from error

    def _run(self, handle: Any, grid: Dim3, block: Dim3, values: list[Any], shared: int) -> None:
        what, sizes = "a launch of {} blocks of {} threads", (grid, block)
        if shared > _SHARED_BY_DEFAULT:
            with _Bound(self, what, *sizes):
                handle.max_dynamic_shared_size_bytes = shared
        self._call(what, sizes, handle, grid, block, tuple(values), shared_mem=shared)

    def _call(
        self, what: str, parts: tuple[Any, ...], function: Any, *args: Any, **options: Any
    ) -> Any:
        """The result of a call of CuPy. As in `_Bound`, but faster where the device is bound."""
        try:
            if self.get_device() == self.index:
                return function(*args, **options)
        except Exception as error:
            if ours := self.translated(error, what.format(*parts)):
                raise ours from None
            raise
        with _Bound(self, what, *parts):
            return function(*args, **options)

    def translated(self, error: BaseException, what: str) -> GpucnnError | None:
        """An error of CuPy as one of ours; None for any other error.

        Args:
            what: what failed, for the message: "an array of (64, 10)".
        """
        cuda = self.cupy.cuda
        if isinstance(error, cuda.memory.OutOfMemoryError):
            return self._out_of_memory(error, what)
        if isinstance(error, (cuda.driver.CUDADriverError, cuda.runtime.CUDARuntimeError)):
            return KernelError(
                f"{what}: {self.name} reports an error",
                cause=str(error),
                fix="an error of an earlier kernel may show up here: start again with "
                "CUDA_LAUNCH_BLOCKING=1, or on --device sim, to find it",
            )
        if isinstance(error, cuda.compiler.CompileException):
            return KernelError(
                f"{what}: a kernel does not compile for {self.name}",
                cause=str(error).strip(),
                fix="gpucnn doctor says whether NVRTC fits this GPU",
            )
        return None

    def _out_of_memory(self, error: Exception, what: str) -> OutOfMemoryError:
        asked = re.search(r"allocating ([\d,]+) bytes", str(error))
        with _Bound(self, "a query of the free memory"):
            free, total = self.cupy.cuda.runtime.memGetInfo()
            held = self.cupy.get_default_memory_pool().used_bytes()
        return OutOfMemoryError(
            f"{what} does not fit on {self.name}",
            asked=int(asked[1].replace(",", "")) if asked else 0,
            held=held,
            free=free,
            total=total,
        )


class _Bound:
    """Binds a launcher's device for a stretch of calls of CuPy, whose errors it translates.

    All calls of CuPy are made in one, as an error of a kernel shows up in any later call. It is
    entered often: the description of what is done is put together only for an error.

    Args:
        what: describes what is done; `parts` are put into its braces.
    """

    __slots__ = ("_before", "_launcher", "_parts", "_what")

    def __init__(self, launcher: CupyLauncher, what: str, *parts: Any) -> None:
        self._launcher = launcher
        self._what = what
        self._parts = parts

    def __enter__(self) -> None:
        launcher = self._launcher
        try:
            self._before = launcher.get_device()
            if self._before != launcher.index:
                launcher.set_device(launcher.index)
        except Exception as error:
            self._raise_translated(error)
            raise

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if self._before != self._launcher.index:
            try:
                self._launcher.set_device(self._before)
            except Exception as failure:
                self._raise_translated(error or failure)  # after a fault all calls fail
                raise
        if error is not None:
            self._raise_translated(error)

    def _raise_translated(self, error: BaseException) -> None:
        if ours := self._launcher.translated(error, self._what.format(*self._parts)):
            raise ours from None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
