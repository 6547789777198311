"""Compiles kernels for the CPU, once a machine: objects are kept in a cache by their content.

An object's name is the SHA-256 of all that it is made from: text, headers, flags and
compiler. `gpucnn.backend.cache_directory` writes it, and says whether it is whole.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gpucnn.backend import cache_directory
from gpucnn.backend.cuda import nvrtc
from gpucnn.backend.simulator.translation import translate
from gpucnn.errors import DeviceError, KernelError, UsageError

_HERE = Path(__file__).parent
_OTHER = (
    "install one: apt-get install g++, dnf install gcc-c++, or conda install gxx; "
    "CXX can name another"
)
_KIND = "simulator"  # of the cache

_FLAGS = (
    "-std=c++17",
    "-shared",
    "-fPIC",
    # Two objects in one process must not share the variables that they both define.
    "-fvisibility=hidden",
    "-fno-strict-aliasing",  # kernels read float arrays as float4
    "-fno-math-errno",
)
_KERNEL_FLAGS = (
    "-O2",
    "-fno-exceptions",
    "-fno-rtti",
    "-fstack-clash-protection",  # an array larger than the stack faults, and overwrites nothing
    "-Wl,--no-undefined",
)
# For kernels that were translated from PTX: NVRTC has optimized them, and contracted to FMAs.
_PTX_FLAGS = ("-O1", "-ffp-contract=off")
_RUNTIME_FLAGS = ("-O2",)
_GNU_FLAGS = ("-fno-gnu-unique",)  # as for -fvisibility
_CLANG_FLAGS = ("-fno-sanitize=function",)  # which would need type information

# The flags that a mode adds: to kernels, to the runtime. -Og: small cases compile longer than they
# run, and the optimizer removes accesses that a sanitizer should see.
_SANITIZERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "undefined": (
        # Without the compiler's own runtime library: undefined.h stands in for it.
        ("-Og", "-fsanitize=undefined", "-fno-sanitize=vptr", "-fno-sanitize-recover=all",
         "-include", "undefined.h", "-nodefaultlibs", "-lm", "-lc", "-lgcc"),
        (),
    ),
    "address": (
        ("-Og", "-fsanitize=address", "-fsanitize-sections=gpucnn_shared", "-g1"),
        ("-fsanitize=address", "-g1"),
    ),
}  # fmt: skip


class Compiler:
    """The C++ compiler of this machine: $CXX, g++ or clang++.

    Args:
        sanitize: None, "undefined" or "address".
        portable: whether fibers are switched by ucontext where there is a faster way.

    Raises:
        DeviceError: there is no compiler, or one that does not start.
        UsageError: no such sanitizer, or the process was not started for it.
    """

    def __init__(self, sanitize: str | None = None, portable: bool = False) -> None:
        self.command = _command()
        if sanitize is not None and sanitize not in _SANITIZERS:
            raise UsageError(
                f"unknown sanitizer {sanitize!r}",
                fix=f"set GPUCNN_SIM_SANITIZE to one of {', '.join(_SANITIZERS)}, or unset it",
            )
        is_clang = "clang" in version(self.command)
        if sanitize == "address":
            _check_address_sanitizer(is_clang)
        kernel, runtime = _SANITIZERS.get(sanitize or "", ((), ()))
        own = _CLANG_FLAGS if is_clang else _GNU_FLAGS
        self.kernel_flags = (*_FLAGS, *_KERNEL_FLAGS, *kernel, *own)
        self.runtime_flags = (*_FLAGS, *_RUNTIME_FLAGS, *runtime, *own)
        if portable:
            self.runtime_flags += ("-DGPUCNN_UCONTEXT",)

    def kernel(self, text: str, name: str) -> ctypes.CDLL:
        """The object of a kernel, from its source.

        Args:
            text: of the variant, with #line directives.
            name: of the kernel.

        Raises:
            KernelError: it does not compile; the cause is what the compiler says.
        """
        bounds = re.search(r"\b__launch_bounds__\s*\(([^,)]*)", text)
        most = f"GPUCNN_MOST_THREADS({bounds[1] if bounds else 1024})"
        whole = _program(f"{text}\n{most}", name)
        return self._load([whole], self.kernel_flags, lambda: whole)

    def kernel_from_ptx(self, text: str, name: str, architecture: int) -> ctypes.CDLL:
        """The object of a kernel, from the PTX that NVRTC makes of its source.

        Args:
            text, name: as for `kernel`.
            architecture: 80 for compute capability 8.0.

        Raises:
            KernelError: it does not compile, or the PTX has something unknown.
            UsageError: NVRTC does not know the architecture.
        """
        flag = "-lineinfo"  # which changes no instruction

        def write() -> str:
            made = nvrtc.compile(text, (flag,), f"compute_{architecture}")
            return _program(translate(made.ptx), name)

        made_from = [nvrtc.version(), str(architecture), name, flag, *_translator(), text]
        return self._load(made_from, (*self.kernel_flags, *_PTX_FLAGS), write)

    def runtime(self) -> ctypes.CDLL:
        """The object of the scheduler.

        Raises:
            DeviceError: it does not compile, so neither would anything else.
        """
        try:
            text = (_HERE / "runtime.cpp").read_text()
            return self._load([text], self.runtime_flags, lambda: text)
        except KernelError as error:
            raise DeviceError(
                f"the C++ compiler cannot be used: {error.message}", cause=error.cause, fix=_OTHER
            ) from None

    def _load(
        self, made_from: Sequence[str], flags: tuple[str, ...], write: Callable[[], str]
    ) -> ctypes.CDLL:
        """The object of a text, which is a function of `made_from` and written only if need be."""
        compiler = (*self.command, version(self.command), platform.machine())
        key = repr((compiler, flags, made_from, _headers()))
        folder = cache_directory.private_folder(_KIND)
        path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.so"
        if not cache_directory.is_whole(path):
            self._compile(write(), flags, path)
        try:
            return ctypes.CDLL(str(path))
        except OSError as error:
            raise DeviceError(
                "a compiled kernel cannot be loaded",
                cause=str(error),
                fix="set GPUCNN_CACHE_DIR to a folder that programs may be run from, "
                "or CXX to a compiler for this machine",
            ) from error

    def _compile(self, text: str, flags: tuple[str, ...], path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "object.so"
            # The sources first: libraries among the flags serve what stands before them.
            command = [*self.command, "-I", str(_HERE), "-x", "c++", "-", *flags, "-o", str(out)]
            done = _run(command, input=text, env={**os.environ, "TMPDIR": folder})
            if done.returncode != 0 or not out.exists():
                raise KernelError(
                    f"{Path(self.command[0]).name} does not compile it",
                    cause=done.stderr.strip() or f"its exit status is {done.returncode}",
                    fix="correct the source",
                )
            content = out.read_bytes()
        cache_directory.write(path, [content])


def _command() -> tuple[str, ...]:
    given = os.environ.get("CXX")
    names = [given] if given else ["g++", "clang++"]
    for name in names:
        try:
            words = shlex.split(name)
        except ValueError:  # a quotation that does not end
            words = []
        if words and (program := shutil.which(words[0])):
            return (program, *words[1:])
    raise DeviceError(
        "the simulator needs a C++ compiler",
        cause=f"$CXX is {given!r}, which is not a program" if given else "no g++ and no clang++",
        fix=_OTHER,
    )


def _check_address_sanitizer(is_clang: bool) -> None:
    if is_clang:
        raise UsageError(
            "the address sanitizer is not used with clang++",
            cause="it does not look after variables in a section of their own, as __shared__ is",
            fix="set CXX=g++",
        )
    if not hasattr(ctypes.CDLL(None), "__asan_init"):
        raise UsageError(
            "the address sanitizer is not in this process",
            cause="it has to be there from the start",
            fix="run LD_PRELOAD=$(g++ -print-file-name=libasan.so) "
            "ASAN_OPTIONS=detect_leaks=0 GPUCNN_SIM_SANITIZE=address python ...",
        )


@cache
def version(command: tuple[str, ...]) -> str:
    """The name and version that the compiler prints.

    Raises:
        DeviceError: it does not start.
    """
    try:
        done = _run([*command, "--version"])
        failure = f"its exit status is {done.returncode}" if done.returncode else None
    except OSError as error:
        failure = str(error)
    if failure:
        raise DeviceError(
            f"the C++ compiler cannot be used: {shlex.join(command)} --version fails",
            cause=failure,
            fix=_OTHER,
        )
    return done.stdout.partition("\n")[0]


def _run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """In a process group of its own: Ctrl-C is for this process, and no error of the source."""
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", process_group=0, **options
    )


def _program(kernel: str, name: str) -> str:
    """What is compiled: a kernel in C++ between the simulator's header and the kernel's entry.

    The constants of a variant stand behind the header, which may use their names.
    """
    return "\n".join(('#include "sm80.h"', kernel, "GPUCNN_OBJECT", f"GPUCNN_ENTRY({name})", ""))


@cache
def _translator() -> tuple[str, ...]:
    """The sources of what makes C++ of a kernel by way of PTX."""
    names = ("ptx.py", "opcodes.py", "statements.py", "translation.py")
    return tuple(path.read_text() for path in (Path(nvrtc.__file__), *map(_HERE.joinpath, names)))


@cache
def _headers() -> tuple[str, ...]:
    return tuple(path.read_text() for path in sorted(_HERE.glob("*.h")))


def cache_folder() -> Path:
    """Where the objects are kept: in $GPUCNN_CACHE_DIR, or the user's cache."""
    return cache_directory.cache_folder(_KIND)
