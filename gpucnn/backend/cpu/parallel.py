"""Threads of the CPU backend, and the BLAS held at one thread while they work.

The work is cut into chunks by its shape alone and chunks are reduced in their order, so the number
of threads changes the time and never the bits. NumPy releases the interpreter's lock in copies,
arithmetic and BLAS calls on arrays of some size, which is where a chunk spends its time.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from gpucnn.backend.cpu.memory import out_of_memory
from gpucnn.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")

_state = threading.Lock()
_threads: int | None = None


def get_threads() -> int:
    """Number of threads: `set_threads`, else $GPUCNN_THREADS, else the usable cores."""
    global _threads
    if _threads is None:
        given = os.environ.get("GPUCNN_THREADS")
        if given is None:
            _threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (
                os.cpu_count() or 1
            )  # fmt: skip
        else:
            set_threads(int(given) if given.isdecimal() else given)  # type: ignore[arg-type]
    assert _threads is not None
    return _threads


def set_threads(n: int) -> None:
    """Compute with `n` threads from now on; `UsageError` if n is not an integer of at least 1."""
    global _threads, _workers
    if not isinstance(n, int) or n < 1:
        raise UsageError(
            f"the number of threads is {n!r}",
            cause="it must be an integer of at least 1",
            fix="give --threads 2, or unset GPUCNN_THREADS",
        )
    with _state:
        if _workers is not None:
            _workers.end()
        _workers, _threads = None, n


def parallel(task: Callable[[T], R], chunks: Sequence[T]) -> list[R]:
    """[task(chunk) for chunk in chunks], by this thread and the workers, with one BLAS thread each.

    This thread takes the first chunk, the workers take theirs when they have woken up. If a task
    raises, so does this, when no thread is at work any more.
    """
    if len(chunks) == 1:
        with quiet_device():
            return [task(chunks[0])]
    results: dict[int, R] = {}
    waiting = deque(enumerate(chunks))

    def work() -> None:
        while waiting:
            try:
                index, chunk = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            results[index] = task(chunk)

    with quiet_device():
        job = _share(work, len(chunks) - 1)
        try:
            work()
        finally:
            waiting.clear()
            job.end()
        job.raise_error()
    return [results[index] for index in range(len(chunks))]


class _Job:
    """A function that some threads run once each, beside the thread that made the job.

    `concurrent.futures` takes twice as long to start one. A single image is cut into chunks that
    take no longer than that.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._ended = False
        self._started = 0
        self._outcomes: list[BaseException | None] = []  # of those that are done
        self._done: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """In a worker: do the work, unless the job ended before this thread came to it."""
        with self._lock:
            if self._ended:
                return
            self._started += 1
        outcome = None
        try:
            self._work()
        except BaseException as error:
            outcome = error
        self._outcomes.append(outcome)
        outcome = None  # or the error's traceback would hold the error
        self._done.put(None)

    def end(self) -> None:
        """Let no further thread start, and wait for all; raise Ctrl-C only after that."""
        try:
            self._end()
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        with self._lock:
            self._ended = True
        while len(self._outcomes) < self._started:
            self._done.get()

    def raise_error(self) -> None:
        """Raise what a worker raised, and do not hold on to it."""
        errors = [outcome for outcome in self._outcomes if outcome is not None]
        self._outcomes.clear()
        try:
            if errors:
                raise errors[0]
        finally:
            errors.clear()


class _Workers:
    """Threads that wait for jobs."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._count = 0
        with suppress(RuntimeError):  # one that cannot be started leaves its work to the others
            for _ in range(count):
                threading.Thread(target=self._serve, name="gpucnn", daemon=True).start()
                self._count += 1

    def _serve(self) -> None:
        np.seterr(all="ignore")
        _limit_own_thread()
        while (job := self._jobs.get()) is not None:
            job.run()
            del job  # and with it the arrays that it computes on

    def share(self, job: _Job, most: int) -> None:
        for _ in range(min(self._count, most)):
            self._jobs.put(job)

    def end(self) -> None:
        for _ in range(self._count):
            self._jobs.put(None)


_workers: _Workers | None = None


def _share(work: Callable[[], None], most: int) -> _Job:
    """Let at most `most` threads run `work` beside the one that calls this."""
    global _workers
    get_threads()  # sets it
    with _state:
        if _workers is None:
            _workers = _Workers((_threads or 1) - 1)
        workers = _workers
    job = _Job(work)
    workers.share(job, most)
    return job


def _limit_own_thread() -> None:
    for library in blas_libraries():
        # Under OpenMP the limit is each thread's own. Not every BLAS says what it runs on.
        if getattr(library, "threading_layer", None) == "openmp":
            library.set_num_threads(1)


@lru_cache(maxsize=1)
def blas_libraries() -> list[Any]:
    """The BLAS libraries of this process, as threadpoolctl controls them."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


_holders = 0  # threads that compute
_before: list[int] = []
_inside = threading.local()
_NOTHING = nullcontext()


def quiet_device() -> AbstractContextManager[Any]:
    """A context for a stretch of computation: one BLAS thread, and inf and NaN without a warning.

    A MemoryError becomes an `OutOfMemoryError`.

    The first to enter it sets the limit and the last to leave puts the BLAS back, so a long
    stretch, such as a training step, is best entered as a whole.
    """
    return _NOTHING if getattr(_inside, "value", False) else _QuietDevice()


class _QuietDevice:
    def __enter__(self) -> None:
        global _holders, _before
        _inside.value = True
        self._errors = np.errstate(all="ignore")
        self._errors.__enter__()
        with _state:
            _holders += 1
            if _holders == 1:
                _before = [library.num_threads for library in blas_libraries()]
                _set_blas_threads([1] * len(_before))
        if _holders > 1:
            _limit_own_thread()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        global _holders
        _inside.value = False
        with _state:
            _holders -= 1
            if _holders == 0:
                _set_blas_threads(_before)
        self._errors.__exit__(kind, error, trace)
        if isinstance(error, MemoryError) and (ours := out_of_memory(error)) is not error:
            raise ours from error


def _set_blas_threads(counts: list[int]) -> None:
    for library, threads in zip(blas_libraries(), counts, strict=True):
        # threadpoolctl obeys only the thread that set a limit first, unless it is told to forget
        # it. `_state` is held here, so threads do not fight over the limit.
        forget = getattr(library, "clear_controlling_thread", lambda force: None)
        forget(force=True)
        library.set_num_threads(threads)
        forget(force=True)


def _forget_workers() -> None:
    # Threads do not survive a fork: the child starts its own when it needs them.
    global _workers, _state, _holders
    _workers, _state = None, threading.Lock()
    _holders = int(getattr(_inside, "value", False))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


def blas_description() -> str:
    """The BLAS libraries and the core type that each took this CPU for."""
    found = [
        f"{library.internal_api} {library.version} {getattr(library, 'architecture', '')}".strip()
        for library in blas_libraries()
    ]
    return ", ".join(found) or "unknown"
