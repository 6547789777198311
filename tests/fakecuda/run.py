"""Python with a CUDA driver that needs no GPU: python tests/fakecuda/run.py -m pytest --device cuda

The arguments are those of Python. README.md says what the driver does, and which variables of the
environment describe its GPU.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIBRARY = "libcuda.so.1"
_EXTRA = 'pip install "gpucnn[cuda12]"'


def problem() -> str | None:
    """Why the driver cannot be used here, and what to do about it; None if it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the driver of tests/fakecuda runs on Linux on x86-64 only"
    if shutil.which("g++") is None:
        return "the driver of tests/fakecuda is compiled by g++: apt-get install g++"
    if importlib.util.find_spec("cupy") is None:
        return f"the driver of tests/fakecuda needs CuPy: {_EXTRA}"
    if _headers() is None:
        return f"the driver of tests/fakecuda needs the headers of CUDA: {_EXTRA}"
    return None


def reason_to_skip() -> str:
    """For a test in a process without the driver."""
    return problem() or "run it as: python tests/fakecuda/run.py -m pytest tests/fakecuda"


def build() -> Path:
    """The folder with the driver, which is compiled if it has changed.

    Raises:
        subprocess.CalledProcessError: g++ fails; what it says is on stderr.
    """
    command = ["g++", "-std=c++17", "-O1", "-Wall", "-shared", "-fPIC", "-I", str(_headers())]
    # Behind the others: a whole CUDA has a crt/host_defines.h of its own.
    command += ["-idirafter", str(HERE), str(HERE / "driver.cpp"), "-ldl"]
    sources = [HERE / "driver.cpp", *sorted(HERE.glob("*.h")), *sorted(HERE.glob("crt/*.h"))]
    made_from = "\0".join([*command, *(path.read_text() for path in sources)])
    folder = ROOT / "build" / "fakecuda" / hashlib.sha256(made_from.encode()).hexdigest()
    if not (folder / LIBRARY).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            made = Path(temporary) / LIBRARY
            subprocess.run([*command, "-o", str(made)], check=True)
            made.replace(folder / LIBRARY)
    return folder


def environment() -> dict[str, str]:
    """This process's, in which Python and CuPy find the driver."""

    def first(name: str, *folders: Path) -> str:
        return os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get(name)])])

    return {
        **os.environ,
        "LD_LIBRARY_PATH": first("LD_LIBRARY_PATH", build()),
        "PYTHONPATH": first("PYTHONPATH", HERE, ROOT),  # sitecustomize.py, this tree's gpucnn
        # CuPy's own reductions: the kernels of CUB come compiled, without the text to simulate.
        "CUPY_ACCELERATORS": "",
    }


def _headers() -> str | None:
    """The folder of the CUDA headers, found as CuPy finds it."""
    try:
        from cuda import pathfinder

        return pathfinder.find_nvidia_header_directory("cudart")
    except Exception:  # not installed, or not found
        return None


def main() -> None:
    if (found := problem()) is not None:
        sys.exit(found)
    try:
        os.execve(sys.executable, [sys.executable, *sys.argv[1:]], environment())
    except subprocess.CalledProcessError:
        sys.exit("g++ does not compile tests/fakecuda/driver.cpp, as it says above")


if __name__ == "__main__":
    main()
