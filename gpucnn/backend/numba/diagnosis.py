"""Whether Numba compiles the CPU's kernels here, and if not, why."""

from __future__ import annotations

import os
from functools import cache

from gpucnn.backend.problem import Problem
from gpucnn.errors import UsageError


@cache
def numba_problem() -> Problem | None:
    """The reason why the CPU computes with NumPy alone; None if Numba compiles its kernels.

    The extra `fast` installs Numba; $GPUCNN_NUMBA=0 turns it off.

    Raises:
        UsageError: GPUCNN_NUMBA is neither 0 nor 1.
    """
    wanted = os.environ.get("GPUCNN_NUMBA", "1")
    if wanted not in ("0", "1"):
        raise UsageError(
            f"GPUCNN_NUMBA is {wanted!r}",
            cause="it is 0, for NumPy alone, or 1",
            fix="unset it: Numba is used where it is installed",
        )
    if wanted == "0":
        return Problem("GPUCNN_NUMBA is 0", "unset it")
    try:
        import numba
    except (ImportError, OSError) as error:  # not installed, not for this NumPy, or broken
        return Problem(str(error), 'pip install "gpucnn[fast]"')
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return Problem("Numba does not compile: NUMBA_DISABLE_JIT is set", "unset it")
    return None
