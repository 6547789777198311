"""The compiler and the cache that the simulated device finds here."""

from __future__ import annotations

from gpucnn.backend.cache_directory import contents, unsafe
from gpucnn.backend.simulator import build
from gpucnn.errors import GpucnnError


def simulator_facts() -> dict[str, str]:
    """The compiler and the cache of the simulated device; it never raises."""
    try:
        compiler = build.version(build.Compiler().command)
    except GpucnnError as error:
        compiler = f"none: {error.cause}"
    folder = build.cache_folder()
    problem = unsafe(folder) if folder.is_dir() else None
    return {
        "compiler": compiler,
        "cache": contents(folder) + (f", not used: {problem}" if problem else ""),
    }
