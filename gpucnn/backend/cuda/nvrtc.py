"""NVRTC: a kernel's text compiled for an architecture. It needs neither a GPU nor a driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gpucnn.errors import KernelError, MissingExtraError, UsageError

# -ftz is CuPy's: float32 denormals become zero.
_FLAGS = ("-std=c++17", "-ftz=true")


class Compiled(NamedTuple):
    """What NVRTC makes of a text."""

    ptx: str
    log: str  # with the flag --ptxas-options=-v also what each kernel needs


def version() -> str:
    """The version of the installed NVRTC, as in 12.9.

    Raises:
        MissingExtraError: there is no NVRTC.
    """
    return ".".join(map(str, _nvrtc().getVersion()))


def supported() -> tuple[int, ...]:
    """The architectures that the installed NVRTC compiles for: 90 for compute capability 9.0.

    Raises:
        MissingExtraError: there is no NVRTC.
    """
    return tuple(_nvrtc().getSupportedArchs())


def compile(text: str, options: Sequence[str], architecture: str) -> Compiled:
    """Compiles a text as CuPy does.

    Args:
        text: CUDA C++ with its includes put in, as `Launcher.text` gives it.
        options: further flags of NVRTC.
        architecture: "compute_90" stops at PTX; "sm_90" also assembles it.

    Raises:
        MissingExtraError: there is no NVRTC.
        UsageError: NVRTC does not know the architecture.
        KernelError: the text does not compile; the cause names the line.
    """
    nvrtc = _nvrtc()
    number = architecture.partition("_")[2]
    if int(number) not in supported():
        raise UsageError(
            f"NVRTC {version()} does not know sm_{number}",
            fix=f"choose one of {', '.join(map(str, supported()))}",
        )
    program = nvrtc.createProgram(text, "kernels", (), ())
    try:
        nvrtc.compileProgram(program, (*_FLAGS, f"-arch={architecture}", *options))
        return Compiled(_text(nvrtc.getPTX(program)), _text(nvrtc.getProgramLog(program)))
    except nvrtc.NVRTCError as error:
        raise KernelError(
            " ".join(("a kernel does not compile for", f"sm_{number}", *options)),
            cause=_text(nvrtc.getProgramLog(program)).strip("\0\n ") or str(error),
            fix="correct the source",
        ) from None
    finally:
        nvrtc.destroyProgram(program)


def _text(made: str | bytes) -> str:
    return made.decode() if isinstance(made, bytes) else made


def _nvrtc() -> Any:
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except Exception as error:  # no CuPy, no library, or one that cannot be loaded
        raise MissingExtraError(
            "kernels cannot be compiled: there is no NVRTC",
            cause=str(error).strip().partition("\n")[0],
            fix='pip install "gpucnn[cuda12]"',
        ) from None
    return nvrtc
