"""A capture collects work in a graph, and refuses what CUDA refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from fakecuda import run

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

N = 64
MODES = ("Relaxed", "ThreadLocal", "Global")


@pytest.fixture
def stream(cupy: Any) -> Any:
    return cupy.cuda.Stream(non_blocking=True)


@contextmanager
def capturing(cupy: Any, stream: Any, mode: str = "Relaxed") -> Iterator[None]:
    try:
        with stream:
            stream.begin_capture(getattr(cupy.cuda.runtime, f"streamCaptureMode{mode}"))
            yield
    finally:
        with suppress(Exception):  # where a test has not ended it, or fails
            cupy.cuda.runtime.streamEndCapture(stream.ptr)


class TestReplay:
    def test_runs_at_each_launch_and_not_before(self, cupy: Any, kernel: Any, stream: Any) -> None:
        x, y = cupy.zeros(N, "float32"), cupy.zeros(N, "float32")
        with capturing(cupy, stream):
            kernel("set")((1,), (N,), (y, np.float32(2)))
            y.data.copy_from_device_async(x.data, x.nbytes, stream)
            x += 1
            y[:2].data.memset_async(0, 8, stream)
            graph = stream.end_capture()
        assert not x.get().any()
        assert not y.get().any()
        for expected in (1, 2):
            graph.launch(stream)
            stream.synchronize()
            assert x.get().tolist() == [expected] * N
            assert y.get().tolist() == [0] * 2 + [expected - 1] * (N - 2)

    def test_arguments_are_those_of_the_capture(self, cupy: Any, kernel: Any, stream: Any) -> None:
        x, value = cupy.zeros(N, "float32"), np.array([3], "float32")
        with capturing(cupy, stream):
            kernel("set")((1,), (N,), (x, value[0]))
            value[0] = 4
            graph = stream.end_capture()
        graph.launch(stream)
        assert x.get().tolist() == [3] * N

    def test_counters(self, cupy: Any, kernel: Any, stream: Any) -> None:
        import fake_driver

        x, set_ = cupy.zeros(N, "float32"), kernel("set")
        before = fake_driver.counters()
        with capturing(cupy, stream):
            for _ in range(3):
                set_((1,), (N,), (x, np.float32(2)))
            graph = stream.end_capture()
        graph.launch(stream)
        graph.launch(stream)
        made = fake_driver.counters() - before
        wanted = {"launch": 3, "launch set": 3, "node": 3, "graph launch": 2}
        assert {name: made[name] for name in wanted} == wanted

    def test_launches_are_checked_in_the_capture(
        self, cupy: Any, kernel: Any, stream: Any, fails: Any
    ) -> None:
        x = cupy.zeros(129, "float32")
        with capturing(cupy, stream):
            with fails("__launch_bounds__"):
                kernel("bounded")((1,), (129,), (x,))
            stream.end_capture()


# What a thread does in a capture, and the error. The first are refused always, the second unless
# the capture is relaxed.
Call = Callable[[Any, Any], Any]
ALWAYS: dict[str, tuple[Call, str]] = {
    "stream sync": (lambda rt, stream: stream.synchronize(), "cudaErrorStreamCaptureUnsupported"),
    "device sync": (lambda rt, stream: rt.deviceSynchronize(), "cudaErrorStreamCaptureUnsupported"),
    "event sync": (lambda rt, stream: stream.record().synchronize(), "cudaErrorCapturedEvent"),
}
UNSAFE: dict[str, Call] = {
    "malloc": lambda rt, stream: rt.free(rt.malloc(512)),
    "free": lambda rt, stream: rt.free(0),
    "host malloc": lambda rt, stream: rt.freeHost(rt.hostAlloc(512, 0)),
    "copy H2H": lambda rt, stream: rt.memcpy(*[np.zeros(1).ctypes.data] * 2, 8, rt.memcpyDefault),
}
QUERIES: dict[str, Call] = {
    "stream": lambda rt, stream: stream.done,
    "event": lambda rt, stream: stream.record().done,
}


class TestRefused:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("what", ALWAYS)
    def test_wait(self, cupy: Any, stream: Any, fails: Any, what: str, mode: str) -> None:
        call, error = ALWAYS[what]
        with capturing(cupy, stream, mode):
            with fails(f"{error}: .*{what}"):
                call(cupy.cuda.runtime, stream)
            with fails("cudaErrorStreamCaptureInvalidated"):
                stream.end_capture()
        stream.synchronize()  # it can be used again

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("what", UNSAFE)
    def test_unsafe(self, cupy: Any, stream: Any, fails: Any, what: str, mode: str) -> None:
        call = UNSAFE[what]
        with capturing(cupy, stream, mode):
            if mode == "Relaxed":
                call(cupy.cuda.runtime, stream)
                stream.end_capture()
                return
            with fails(f"cudaErrorStreamCaptureUnsupported: .*{what}"):
                call(cupy.cuda.runtime, stream)
            with fails("cudaErrorStreamCaptureInvalidated"):
                stream.end_capture()

    @pytest.mark.parametrize("what", QUERIES)
    def test_query(self, cupy: Any, stream: Any, fails: Any, what: str) -> None:
        with capturing(cupy, stream):
            assert not QUERIES[what](cupy.cuda.runtime, stream)
            with fails("cudaErrorStreamCaptureInvalidated"):
                stream.end_capture()

    def test_unsafe_in_another_thread(self, cupy: Any, stream: Any, fails: Any) -> None:
        """A capture of a thread leaves the others alone, a global one does not."""
        with capturing(cupy, stream, "ThreadLocal"):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(cupy.cuda.runtime.free, 0).result()
            stream.end_capture()
        with (
            capturing(cupy, stream, "Global"),
            ThreadPoolExecutor(1) as pool,
            fails("Unsupported.*free"),
        ):
            pool.submit(cupy.cuda.runtime.free, 0).result()

    def test_array_to_the_host(self, cupy: Any, stream: Any) -> None:
        x = cupy.zeros(N, "float32")
        with capturing(cupy, stream), pytest.raises(Exception, match="captur"):
            x.get()

    def test_work_after_a_refusal(self, cupy: Any, kernel: Any, stream: Any, fails: Any) -> None:
        x = cupy.zeros(N, "float32")
        with capturing(cupy, stream):
            with fails("Unsupported"):
                stream.synchronize()
            with fails("STREAM_CAPTURE_INVALIDATED.*: set"):
                kernel("set")((1,), (N,), (x, np.float32(1)))
            with fails("Invalidated"):
                stream.end_capture()

    @pytest.mark.parametrize("non_blocking", [True, False])
    def test_legacy_stream(self, cupy: Any, kernel: Any, fails: Any, non_blocking: bool) -> None:
        stream = cupy.cuda.Stream(non_blocking=non_blocking)
        x, set_ = cupy.zeros(N, "float32"), kernel("set")

        def launch() -> None:
            with cupy.cuda.Stream.null:
                set_((1,), (N,), (x, np.float32(1)))

        with capturing(cupy, stream):
            if non_blocking:  # CUDA runs it, outside of the graph
                launch()
                stream.end_capture()
                assert x.get().all()
                return
            with fails("STREAM_CAPTURE_IMPLICIT.*: set"):
                launch()
            with fails("Invalidated"):
                stream.end_capture()

    def test_capture_of_the_legacy_stream(self, cupy: Any, fails: Any) -> None:
        with fails("the legacy stream cannot be captured"):
            cupy.cuda.runtime.streamBeginCapture(0)

    def test_two_captures_of_a_stream(self, cupy: Any, stream: Any, fails: Any) -> None:
        with capturing(cupy, stream):
            with fails("it is being captured already"):
                cupy.cuda.runtime.streamBeginCapture(stream.ptr)
            stream.end_capture()
        with fails("it is not being captured"):
            cupy.cuda.runtime.streamEndCapture(stream.ptr)
