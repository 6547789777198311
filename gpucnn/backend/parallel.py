"""Worker threads of the CPU backend, and the BLAS held at one thread while they work.

The work is cut into pieces by its shape alone and pieces are reduced in their order, so the number
of threads changes the time and never the bits. NumPy releases the interpreter's lock in copies,
arithmetic and BLAS calls on arrays of some size, which is where a piece spends its time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from gpucnn.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")

_state = threading.Lock()
_threads: int | None = None
_pool: ThreadPoolExecutor | None = None


def get_threads() -> int:
    """Number of worker threads: `set_threads`, else $GPUCNN_NUM_THREADS, else the usable cores."""
    global _threads
    if _threads is None:
        given = os.environ.get("GPUCNN_NUM_THREADS")
        if given is None:
            _threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (
                os.cpu_count() or 1
            )  # fmt: skip
        else:
            set_threads(int(given) if given.isdecimal() else given)  # type: ignore[arg-type]
    assert _threads is not None
    return _threads


def set_threads(n: int) -> None:
    """Use `n` worker threads from now on; `UsageError` if n is not an integer of at least 1."""
    global _threads, _pool
    if not isinstance(n, int) or n < 1:
        raise UsageError(
            f"the number of threads is {n!r}",
            cause="it must be an integer of at least 1",
            fix="give --threads 2, or unset GPUCNN_NUM_THREADS",
        )
    with _state:
        if _pool is not None:
            _pool.shutdown()
        _pool = None
        _threads = n


def parallel(task: Callable[[T], R], pieces: Sequence[T]) -> list[R]:
    """[task(piece) for piece in pieces], by the worker threads, with one BLAS thread each."""
    global _pool
    threads = get_threads()
    with one_blas_thread():
        if threads == 1 or len(pieces) <= 1:
            with np.errstate(all="ignore"):
                return [task(piece) for piece in pieces]
        with _state:
            if _pool is None:
                _pool = ThreadPoolExecutor(threads, "gpucnn", initializer=_start_worker)
            pool = _pool
        return list(pool.map(task, pieces))


def _start_worker() -> None:
    np.seterr(all="ignore")
    for library in _blas():
        if library.threading_layer == "openmp":  # whose limit is each thread's own
            library.set_num_threads(1)


@lru_cache(maxsize=1)
def _blas() -> list[Any]:
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


_holders = 0
_before: list[int] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Holds the BLAS at one thread: the first to enter sets it, the last to leave restores it."""
    global _holders, _before
    with _state:
        _holders += 1
        if _holders == 1:
            _before = [library.num_threads for library in _blas()]
            _set_blas_threads([1] * len(_before))
    try:
        yield
    finally:
        with _state:
            _holders -= 1
            if _holders == 0:
                _set_blas_threads(_before)


def _set_blas_threads(counts: list[int]) -> None:
    for library, threads in zip(_blas(), counts, strict=True):
        # threadpoolctl obeys only the thread that set a limit first, unless it is told to forget
        # it. `_state` is held here, so threads do not fight over the limit.
        forget = getattr(library, "clear_controlling_thread", lambda force: None)
        forget(force=True)
        library.set_num_threads(threads)
        forget(force=True)


def _forget_pool() -> None:
    # Threads do not survive a fork: the child starts its own when it needs them.
    global _pool, _state, _holders
    _pool, _state, _holders = None, threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def blas_description() -> str:
    """The BLAS libraries and the core type that each took this CPU for."""
    found = [
        f"{library.internal_api} {library.version} {getattr(library, 'architecture', '')}".strip()
        for library in _blas()
    ]
    return ", ".join(found) or "unknown"
