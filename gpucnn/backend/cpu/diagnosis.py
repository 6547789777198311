"""Whether BLAS makes full use of this CPU."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from gpucnn.backend.cpu.parallel import blas_libraries
from gpucnn.backend.problem import Problem

# An extension of the CPU, NumPy's names for it, and the core types of OpenBLAS that use it. Every
# CPU with the extension can run the first of them.
_CORE_TYPES = (
    ("AVX-512", {"X86_V4", "AVX512_SKX"}, ("SkylakeX", "Cooperlake", "SapphireRapids")),
    ("AVX2", {"X86_V3", "AVX2"}, ("Haswell", "Zen", "Excavator")),
)


def blas_problem() -> Problem | None:
    """The problem that OpenBLAS computes with narrower vectors than this CPU has, or None.

    The user may have told it so, or it does not know the CPU.
    """
    cores = [
        getattr(b, "architecture", "") for b in blas_libraries() if b.internal_api == "openblas"
    ]
    simd: Any = np.show_config(mode="dicts").get("SIMD Extensions", {})
    features = {name for key in ("baseline", "found") for name in simd.get(key, ())}
    good: set[str] = set()
    for extension, names, fitting in _CORE_TYPES:
        good.update(fitting)
        slow = [core for core in cores if core and core not in good]
        if features & names and slow:
            return _core_type_problem(extension, slow[0], fitting[0])
    return None


def _core_type_problem(extension: str, core: str, better: str) -> Problem:
    remedy = f"set OPENBLAS_CORETYPE={better}, for up to twice the speed"
    if given := os.environ.get("OPENBLAS_CORETYPE"):
        cause = f"OPENBLAS_CORETYPE={given} is set, but this CPU has {extension}"
        return Problem(cause, f"unset it, or {remedy}")
    return Problem(f"OpenBLAS takes this CPU, which has {extension}, for a {core}", remedy)
