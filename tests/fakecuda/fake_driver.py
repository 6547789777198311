"""The driver of this process beyond CUDA: its counters, its kernels, and its executor."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

# (kernel, grid, block, bytes of dynamic shared memory, each parameter's bytes) -> None; what it
# raises fails the launch.
Executor = Callable[["Kernel", tuple[int, ...], tuple[int, ...], int, list[bytes]], None]

_library = ctypes.CDLL("libcuda.so.1")
_Sizes = ctypes.POINTER(ctypes.c_uint)
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, _Sizes, ctypes.POINTER(ctypes.c_void_p))
_library.fakecuda_set_executor.argtypes = [_Callback]
_library.fakecuda_fail.argtypes = [ctypes.c_char_p]
_library.fakecuda_counters.restype = ctypes.c_char_p
_library.fakecuda_name.argtypes = [ctypes.c_void_p]
_library.fakecuda_name.restype = ctypes.c_char_p
_library.fakecuda_module.argtypes = [ctypes.c_void_p]
_library.fakecuda_module.restype = ctypes.c_void_p
_library.fakecuda_parameters.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Sizes)]
_library.fakecuda_take_over.argtypes = [ctypes.c_char_p]

_keep: Any = None  # the callback that the library holds


class Kernel(NamedTuple):
    """A kernel in the driver, as its cubin describes it."""

    handle: int  # CUfunction
    name: str
    module: int  # CUmodule
    sizes: tuple[int, ...]  # of the parameters, bytes


def architecture() -> int:
    """Of the GPU: 90 for compute capability 9.0."""
    return _library.fakecuda_architecture()


def kernel(handle: int) -> Kernel:
    """The kernel of a CUfunction."""
    sizes = _Sizes()
    number = _library.fakecuda_parameters(handle, ctypes.byref(sizes))
    name = _library.fakecuda_name(handle).decode()
    return Kernel(handle, name, _library.fakecuda_module(handle), tuple(sizes[:number]))


def counters() -> Counter[str]:
    """How many calls this process made, by kind: "launch", "launch NAME", "malloc", "getDevice"."""
    lines = _library.fakecuda_counters().decode().splitlines()
    return Counter({name: int(n) for name, _, n in (line.partition("\t") for line in lines)})


def set_executor(executor: Executor | None) -> None:
    """What runs a launch that the driver found right; None only checks and counts them."""
    global _keep

    kernels: dict[int, Kernel] = {}

    def execute(handle: int, shape: Sequence[int], values: Sequence[int]) -> int:
        try:
            found = kernels.get(handle) or kernels.setdefault(handle, kernel(handle))
            given = [ctypes.string_at(values[i], size) for i, size in enumerate(found.sizes)]
            executor(found, tuple(shape[:3]), tuple(shape[3:6]), shape[6], given)
        except BaseException as error:  # there is no Python above that could see it
            return _library.fakecuda_fail(str(error).encode())
        return 0

    callback = _Callback() if executor is None else _Callback(execute)
    _library.fakecuda_set_executor(callback)
    _keep = callback


def take_over(path: str) -> int:
    """Leads the CUDA runtime in a loaded object to the driver; how many functions answer."""
    return _library.fakecuda_take_over(path.encode())
