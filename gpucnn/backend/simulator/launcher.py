"""Launches on the simulated device: kernels compiled for the CPU, arrays that NumPy holds."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from gpucnn.backend.cuda import nvrtc
from gpucnn.backend.cuda.launcher import Array, Dim3, Launcher
from gpucnn.backend.cuda.sources import Kernel, Parameter
from gpucnn.backend.simulator.arrays import DeviceArray, device_array, empty
from gpucnn.backend.simulator.build import Compiler, version
from gpucnn.backend.simulator.limits import (
    check_block,
    check_overlap,
    check_registers,
    check_shared,
)
from gpucnn.backend.simulator.resources import Need, need
from gpucnn.errors import KernelError, UsageError

ORDERS = ("forward", "reverse", "shuffled")
FORMS = ("source", "ptx")

_one_at_a_time = threading.Lock()  # the runtime has one state for all threads of the process


class _Handle(NamedTuple):
    library: ctypes.CDLL  # keeps the addresses valid
    object: int  # addresses of runtime.h's Object and Entry
    entry: int
    request: struct.Struct
    most_threads: int  # of a block
    need: Need | None  # of the kernel on the launcher's architecture, if known
    parameters: tuple[Parameter, ...]


class SimulatorLauncher(Launcher):
    """Runs kernels on the CPU and finds faults in them; see runtime.cpp.

    Args:
        order: of the threads of a block and of the blocks of a grid: "forward", "reverse" or
            "shuffled"; by default $GPUCNN_SIM_ORDER, else forward. A right kernel does not depend
            on it.
        sanitize: "undefined" or "address" to compile kernels with that sanitizer; by default
            $GPUCNN_SIM_SANITIZE, else None.
        portable: switch between threads by ucontext, as on processors other than x86-64.
        compiled_from: "source": the text of the kernels; "ptx": what NVRTC makes of it; by default
            $GPUCNN_SIM_FROM, else source.
        architecture: that it has the shared memory and the registers of, and that NVRTC makes PTX
            for: 80 for compute capability 8.0.

    Raises:
        DeviceError: there is no C++ compiler that works.
        MissingExtraError: there is no NVRTC, and it is to make PTX.
        StorageError: what it makes cannot be kept.
        UsageError: no such order, sanitizer or form.
    """

    name = "sim"
    multiprocessors = 4

    def __init__(
        self,
        order: str | None = None,
        sanitize: str | None = None,
        portable: bool = False,
        compiled_from: str | None = None,
        architecture: int = 80,
    ) -> None:
        super().__init__()
        order = order or os.environ.get("GPUCNN_SIM_ORDER") or ORDERS[0]
        self.order = _known(order, ORDERS, "order of threads", "GPUCNN_SIM_ORDER")
        form = compiled_from or os.environ.get("GPUCNN_SIM_FROM") or FORMS[0]
        form = _known(form, FORMS, "form of a kernel", "GPUCNN_SIM_FROM")
        self._ptx = f"PTX for sm_{architecture} by NVRTC {nvrtc.version()}" if form == "ptx" else ""
        self.architecture = architecture
        self.sanitize = sanitize or os.environ.get("GPUCNN_SIM_SANITIZE") or None
        self._compiler = Compiler(self.sanitize, portable)
        # Now, so that a compiler that does not work is found before the first launch.
        self._start = self._compiler.runtime().gpucnn_launch  # runs a launch to its end
        self._start.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p]
        self._start.restype = ctypes.c_char_p

    # ---- arrays ----------------------------------------------------------------------------

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        return device_array(array, dtype)

    def to_numpy(self, array: Array) -> np.ndarray:
        return np.array(array, subok=False)

    def owns(self, array: Any) -> bool:
        return type(array) is DeviceArray

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        return empty(shape, dtype)

    def address(self, array: Array) -> int:
        return array.ctypes.data

    def describe(self) -> dict[str, Any]:
        return {
            "device": self.name,
            "processor": platform.machine(),
            "compiler": version(self._compiler.command),
            "flags": " ".join(self._compiler.kernel_flags),
            "order": self.order,
            "compiled_from": self._ptx or "source",
            "numpy": np.__version__,
        }

    def quiet_device(self) -> AbstractContextManager[Any]:
        return nullcontext()

    # ---- kernels ---------------------------------------------------------------------------

    def _compile(self, kernel: Kernel) -> _Handle:
        try:
            if self._ptx:
                library = self._compiler.kernel_from_ptx(
                    kernel.text, kernel.name, self.architecture
                )
            else:
                library = self._compiler.kernel(kernel.text, kernel.name)
        except KernelError as error:
            raise KernelError(
                f"kernels/{kernel.source}.cu cannot be run: {error.message}",
                cause=error.cause,
                fix=error.fix,
            ) from None
        address = ctypes.addressof(ctypes.c_char.in_dll(library, "gpucnn_object"))
        entry = ctypes.cast(library[f"gpucnn_entry_{kernel.name}"], ctypes.c_void_p).value
        assert entry is not None
        # Each argument begins at a multiple of 8 bytes (runtime.h, Request); "s" pads with zeros.
        sizes = (8 if p.is_pointer else -(-p.dtype.itemsize // 8) * 8 for p in kernel.parameters)
        request = struct.Struct("=8I" + "".join(f"{size}s" for size in sizes))
        most_threads = ctypes.c_uint.in_dll(library, "gpucnn_most_threads").value
        needed = need(kernel, self.architecture)
        return _Handle(library, address, entry, request, most_threads, needed, kernel.parameters)

    def _run(
        self, handle: _Handle, grid: Dim3, block: Dim3, values: list[Any], shared: int
    ) -> None:
        check_block(block, handle.most_threads)
        check_registers(block, handle.need)
        check_shared(shared, handle.need, self.architecture)
        check_overlap(handle.parameters, values)
        arguments = map(_bytes, values)
        request = handle.request.pack(*grid, *block, ORDERS.index(self.order), shared, *arguments)
        with _one_at_a_time:
            error = self._start(handle.object, handle.entry, request)
        if error is not None:
            message, cause, fix = error.decode().split("\n")
            raise KernelError(message, cause=cause or None, fix=fix or None)


def _known(chosen: str, known: tuple[str, ...], what: str, variable: str) -> str:
    if chosen not in known:
        raise UsageError(
            f"unknown {what} {chosen!r}",
            fix=f"set {variable} to one of {', '.join(known)}, or unset it",
        )
    return chosen


def _bytes(value: Any) -> bytes:
    """An argument as it lies in memory: an address, a number or a struct."""
    if value is None or isinstance(value, DeviceArray):
        value = np.uintp(0 if value is None else value.ctypes.data)
    return value.tobytes()
