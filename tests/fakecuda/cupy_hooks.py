"""Leads CuPy to the driver, and the launches that the driver passes to the simulator.

CuPy is changed in three places when it is imported: its CUDA runtime is the driver's; the text of
each module is kept, for the simulator; and the arguments of a raw kernel are compared with the
sizes in its cubin, which CUDA itself is never told. With FAKECUDA_EXECUTE=0 only the first is done,
so that the host's time is its own.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import fake_driver

_RUNTIME = "cupy_backends.cuda.api.runtime"  # the object with the statically linked CUDA runtime

_EXECUTES = os.environ.get("FAKECUDA_EXECUTE") != "0"

_texts: dict[int, str] = {}  # of each CUmodule


def install() -> None:
    """Lets CuPy be changed when it is imported, and the simulator execute launches."""
    sys.meta_path.insert(0, _Finder())
    execute(_EXECUTES)


def execute(wanted: bool) -> None:
    """Whether the simulator executes launches; otherwise they are only checked and counted."""
    fake_driver.set_executor(_simulate if wanted else None)


# ---- changes of CuPy ---------------------------------------------------------------------------


Load = Callable[[ModuleType], None]  # a loader's exec_module


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what Python's own finder finds, and changes CuPy's modules when they are loaded."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in ("cupy", _RUNTIME):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            change = _change_cupy if name == "cupy" else _lead_to_driver
            spec.loader.exec_module = change(spec.loader.exec_module)
        return spec


def _lead_to_driver(load: Load) -> Load:
    def load_and_lead(module: ModuleType) -> None:
        assert module.__file__ is not None
        if not fake_driver.take_over(module.__file__):  # before it makes a call
            raise ImportError(f"there is no CUDA runtime in {module.__file__}")
        load(module)

    return load_and_lead


def _change_cupy(load: Load) -> Load:
    def load_and_change(module: ModuleType) -> None:
        load(module)
        if _EXECUTES:
            _keep_texts(sys.modules["cupy.cuda.compiler"])
            module.RawModule = _checked(module)

    return load_and_change


def _keep_texts(compiler: Any) -> None:
    compile_module = compiler._compile_module_with_cache

    def compile_and_keep(source: str, options: tuple[str, ...] = (), **rest: Any) -> Any:
        module = compile_module(source, options, **rest)
        _texts[module.ptr] = source
        return module

    compiler._compile_module_with_cache = compile_and_keep


def _checked(cupy: Any) -> Any:
    class RawModule(cupy.RawModule):
        def get_function(self, name: str) -> Any:
            return _CheckedKernel(super().get_function(name))

    return RawModule


class _CheckedKernel:
    """A raw kernel that refuses arguments of other sizes than those in its cubin."""

    def __init__(self, kernel: Any) -> None:
        self.__dict__["_kernel"] = kernel

    def __call__(self, grid: Any, block: Any, arguments: Any, **options: Any) -> None:
        in_cubin = fake_driver.kernel(self._kernel.kernel.ptr)  # the function on this device
        given = tuple(map(_size, arguments))
        if given != in_cubin.sizes:
            raise TypeError(
                f"{in_cubin.name}: arguments of {given} bytes, the cubin has {in_cubin.sizes}"
            )
        self._kernel(grid, block, arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._kernel, name, value)


def _size(argument: Any) -> int:
    """The bytes of an argument as CuPy passes it: those of a NumPy scalar, or of a pointer."""
    import numpy as np

    if isinstance(argument, (np.generic, bool, complex)):
        return np.asarray(argument).itemsize
    return 8  # an array's address, an int, a float


# ---- execution ---------------------------------------------------------------------------------


def _simulate(
    kernel: fake_driver.Kernel,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    shared: int,
    arguments: list[bytes],
) -> None:
    import numpy as np

    simulator, handle = _compiled(kernel)
    simulator._run(handle, grid, block, [np.void(given) for given in arguments], shared)


@cache
def _compiled(kernel: fake_driver.Kernel) -> tuple[Any, Any]:
    """The simulator for a kernel, and its handle there."""
    import numpy as np

    from gpucnn.backend.cuda.sources import Kernel, Parameter

    if kernel.module not in _texts:
        raise LookupError(f"the text of {kernel.name} is not known: CuPy did not compile it")
    text = _texts[kernel.module]
    expanded = _expand(text)
    # What was put in is for g++, not for NVRTC.
    simulator = _simulator(None if expanded == text else "source")
    parameters = tuple(
        Parameter(str(i), np.dtype((np.void, size)), False, False, False)
        for i, size in enumerate(kernel.sizes)
    )
    return simulator, simulator._compile(Kernel("", kernel.name, "", expanded, parameters))


@cache
def _simulator(compiled_from: str | None) -> Any:
    from gpucnn.backend.simulator import SimulatorLauncher

    return SimulatorLauncher(compiled_from=compiled_from, architecture=fake_driver.architecture())


def _expand(text: str) -> str:
    """A text of CuPy's for the simulator: with a prelude, and CuPy's headers for arrays put in.

    The project's own, which have no includes, stay as they are, so that their objects are those of
    the device `sim`.
    """
    if not re.search(r"#include <cupy/|clock64", text):
        return text
    headers = Path(sys.modules["cupy"].__file__ or "").parent / "_core" / "include" / "cupy"

    def header(include: re.Match[str]) -> str:
        if include[1] in ("carray.cuh", "math_constants.h"):
            return (headers / include[1]).read_text()
        return ""  # complex numbers, float atomics: what needs them does not compile

    prelude = Path(__file__).with_name("prelude.h").read_text()
    return prelude + re.sub(r'#include [<"]cupy/([\w.]+)[>"]', header, text)
