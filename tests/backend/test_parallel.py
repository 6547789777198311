"""Work shared out to threads: who does it, when it is over, and what becomes of errors."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from processes import run_python

from gpucnn.backend.cpu.parallel import get_threads, parallel, quiet_device, set_threads

SECONDS = 20  # for what takes less than one, unless a thread waits for ever


def together(threads: int) -> Callable[[], None]:
    """A function that returns when so many threads have called it: each has a chunk, then."""
    barrier = threading.Barrier(threads)
    return lambda: barrier.wait(SECONDS) and None


@pytest.fixture(autouse=True)
def not_for_ever() -> Iterator[None]:
    """Where a thread waits for ever the run ends, and says where that was."""
    faulthandler.dump_traceback_later(5 * SECONDS, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


def by_caller() -> bool:
    return threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("chunks", [0, 1, 2, 3, 40])
def test_results_are_in_the_order_of_the_chunks(threads, count, chunks):
    threads.set_threads(count)

    def task(chunk: int) -> int:
        time.sleep(0.002 * (chunk % 3))  # so that they are not done in their order
        return 10 * chunk

    assert parallel(task, range(chunks)) == [10 * chunk for chunk in range(chunks)]


def test_the_caller_and_all_workers_work(threads):
    threads.set_threads(4)
    meet = together(4)

    def task(chunk: int) -> int:
        meet()
        return threading.get_ident()

    found = set(parallel(task, range(4)))
    assert len(found) == 4
    assert threading.get_ident() in found
    assert set(parallel(task, range(4))) == found, "these threads stay for the next job"


def test_a_failing_chunk_is_waited_for(threads):
    """No chunk is in progress when the error arrives."""
    threads.set_threads(4)
    working = set()

    def task(chunk):
        working.add(chunk)
        if chunk == 1:
            raise KeyError(chunk)
        time.sleep(0.05)
        working.discard(chunk)

    with pytest.raises(KeyError):
        parallel(task, [0, 1, 2, 3])
    assert working <= {1}


@pytest.mark.parametrize("who", ["caller", "worker", "both"])
def test_an_error_is_raised_whoever_had_the_chunk(threads, who):
    threads.set_threads(2)
    meet, done = together(2), []

    def task(chunk: int) -> None:
        meet()
        if who == "both" or by_caller() == (who == "caller"):
            raise KeyError("the caller's" if by_caller() else "a worker's")
        time.sleep(0.05)
        done.append(chunk)

    with pytest.raises(KeyError, match="a worker's" if who == "worker" else "the caller's"):
        parallel(task, [0, 1])
    assert len(done) == (who != "both")
    assert parallel(lambda chunk: -chunk, [1, 2, 3]) == [-1, -2, -3], "the next job is done"


def test_after_an_error_of_the_caller_no_chunk_is_begun(threads):
    threads.set_threads(2)
    meet, begun = together(2), []

    def task(chunk: int) -> None:
        begun.append(chunk)
        meet()
        if by_caller():
            raise KeyError
        time.sleep(0.1)

    with pytest.raises(KeyError):
        parallel(task, range(20))
    assert len(begun) == 2


def test_a_task_may_share_out_work_itself(threads):
    threads.set_threads(3)

    def sum_to(n: int) -> int:
        return sum(parallel(lambda chunk: sum(parallel(abs, range(chunk))), range(n)))

    want = [sum(chunk * (chunk - 1) // 2 for chunk in range(n)) for n in range(12)]
    assert parallel(sum_to, range(12)) == want


def test_several_threads_share_out_work_at_once(threads):
    """While another sets the number of threads, and takes the workers away."""
    threads.set_threads(3)
    over = threading.Event()

    def compute(number: int) -> bool:
        want, rounds = [number * chunk for chunk in range(9)], 0
        while not over.is_set() or rounds < 20:
            assert parallel(lambda chunk: number * chunk, range(9)) == want
            rounds += 1
        return True

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(compute, number) for number in range(4)]
        for i in range(60):
            set_threads(1 + i % 4)
            time.sleep(0.002)
        over.set()
        assert all(one.result() for one in found)
    assert get_threads() == 4


def test_workers_that_are_not_needed_any_more_end(threads):
    threads.set_threads(3)
    parallel(abs, range(9))
    before = {thread for thread in threading.enumerate() if thread.name == "gpucnn"}
    threads.set_threads(1)
    deadline = time.monotonic() + SECONDS
    while any(thread.is_alive() for thread in before):
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("started", [0, 1])
def test_work_is_done_where_threads_cannot_be_started(threads, monkeypatch, started):
    """As in a container with a limit to them: all of it by those that there are."""
    start, calls = threading.Thread.start, []

    def limited(thread: threading.Thread) -> None:
        calls.append(thread)
        if len(calls) > started:
            raise RuntimeError("can't start new thread")
        start(thread)

    threads.set_threads(4)
    monkeypatch.setattr(threading.Thread, "start", limited)
    for _ in range(3):
        assert parallel(lambda chunk: -chunk, range(9)) == [-chunk for chunk in range(9)]
    assert len(calls) == started + 1, "it is tried once"


@pytest.mark.parametrize("count", [1, 3])
def test_a_job_that_is_done_keeps_nothing_alive(threads, count):
    threads.set_threads(count)
    array = np.ones(1000)
    kept = weakref.ref(array)
    parallel(lambda chunk, array=array: array.sum(), range(5))
    del array
    deadline = time.monotonic() + SECONDS
    while kept() is not None and time.monotonic() < deadline:
        time.sleep(0.001)  # a worker may be about to put the job away
    assert kept() is None


def test_inf_and_nan_come_without_a_warning(threads):
    """Warnings are errors here, and those of a worker are raised as any other."""
    threads.set_threads(2)
    meet = together(2)

    def task(chunk: int) -> list[Any]:
        meet()
        big, zero = np.full(3, 1e38, np.float32), np.zeros(3, np.float32)
        return [big * big, zero / zero, np.log(zero), np.float32(1) / zero, np.sqrt(-big)]

    for results in parallel(task, [0, 1]):
        assert not np.isfinite(results).any()


def test_a_stretch_of_computation_puts_the_error_state_back():
    with np.errstate(all="raise"):
        before = np.geterr()
        with quiet_device() as outer:
            assert set(np.geterr().values()) == {"ignore"}
            assert quiet_device() is quiet_device(), "an inner one is nothing"
            with quiet_device():
                pass
            assert set(np.geterr().values()) == {"ignore"}
        assert outer is None
        assert np.geterr() == before
        with pytest.raises(KeyError), quiet_device():
            raise KeyError
        assert np.geterr() == before
        assert quiet_device() is not quiet_device()


def run(code: str, **environment: str) -> Any:
    return run_python("from gpucnn.backend.cpu.parallel import *\n" + code, **environment)


def test_one_thread_is_the_caller_s():
    done = run(
        """
assert parallel(lambda chunk: threading.current_thread().name, range(3)) == ["MainThread"] * 3
print(threading.active_count())
""",
        GPUCNN_THREADS="1",
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize("last", ["", "sys.exit(3)", "raise KeyError"])
def test_a_process_ends_whatever_its_workers_do(last):
    """They wait for work, or do some: nobody has to end them."""
    done = run(
        f"""
import sys, time
set_threads(4)
assert parallel(abs, range(9)) == list(range(9))
threading.Thread(target=parallel, args=(time.sleep, [0, 90, 90]), daemon=True).start()
time.sleep(0.1)
{last}
"""
    )
    assert done.returncode == {"": 0, "sys.exit(3)": 3, "raise KeyError": 1}[last]
    assert done.stderr.endswith("KeyError\n") if "raise" in last else not done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_workers_of_its_own():
    done = run(
        """
import sys, time, warnings
warnings.simplefilter("ignore")  # of newer Pythons, that there are threads
set_threads(3)
barrier = threading.Barrier(3)
def task(chunk):
    barrier.wait(20)
    return threading.get_ident()
assert len(set(parallel(task, range(3)))) == 3
if child := os.fork():
    status = os.waitpid(child, 0)[1]
    print("child", os.waitstatus_to_exitcode(status))
else:
    assert threading.active_count() == 1
    barrier = threading.Barrier(3)
    print("threads", len(set(parallel(task, range(3)))), flush=True)
    os._exit(0)
barrier.reset()
print("parent", len(set(parallel(task, range(3)))))
"""
    )
    assert (done.stdout, done.stderr) == ("threads 3\nchild 0\nparent 3\n", "")


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to a thread here")
def test_ctrl_c_arrives_when_the_workers_are_done():
    """Or else they would write into arrays that the caller takes for its own again."""
    done = run(
        """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
set_threads(2)
barrier, main, done = threading.Barrier(2), threading.main_thread(), []
def task(chunk):
    barrier.wait(20)
    if threading.current_thread() is not main:
        time.sleep(0.2)  # the caller is done, and waits
        signal.pthread_kill(main.ident, signal.SIGINT)
        time.sleep(0.3)
        done.append(chunk)
try:
    parallel(task, [0, 1])
except KeyboardInterrupt:
    print("interrupted", len(done))
print(parallel(abs, [-1, -2]))
"""
    )
    assert (done.stdout, done.stderr) == ("interrupted 1\n[1, 2]\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_inside_of_a_computation():
    """The child leaves it as its parent does: the BLAS is held at one thread again by the next."""
    done = run(
        """
import warnings
warnings.simplefilter("ignore")
from gpucnn.backend.cpu import parallel as module
with quiet_device():
    child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    print(module._holders, flush=True)
    os._exit(0)
"""
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("who", ["caller", "worker"])
def test_an_error_keeps_no_arrays_alive(threads, who):
    threads.set_threads(2)
    meet = together(2)
    array = np.ones(1000)
    alive = weakref.ref(array)

    def task(chunk: int, array: Any = array) -> None:
        meet()
        if by_caller() == (who == "caller"):
            raise KeyError

    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(KeyError):
            parallel(task, [0, 1])
        del array, task
        deadline = time.monotonic() + SECONDS  # the worker lets go of the job
        while alive() is not None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert alive() is None
    finally:
        gc.enable()
