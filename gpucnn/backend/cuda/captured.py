"""Work that was captured as a CUDA graph, through CuPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gpucnn.backend.cuda.launcher import Array


class Captured:
    """A graph, and the memory that it works on.

    A capture executes nothing: it notes the launches and copies of a stream with their arguments,
    addresses among them. So the arrays that are made in it lie in a memory pool of the graph's own.
    Python frees most of them in the capture, and the pool gives their memory to the next ones; but
    nobody outside of the graph gets it while the graph lives.

    Args:
        cupy: the module; the device of the work is the current one.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._pool = cupy.cuda.MemoryPool()
        self._stream = cupy.cuda.Stream(non_blocking=True)  # the default one cannot be captured
        self._beside = cupy.cuda.Stream(non_blocking=True)
        self._constants: list[Array] = []
        self._graph: Any = None

    def capture(self, work: Callable[[], None]) -> None:
        """Note what `work` launches; what it raises ends the capture."""
        with self._current(self._stream):
            self._stream.begin_capture(self._cupy.cuda.runtime.streamCaptureModeRelaxed)
            try:
                work()
            except BaseException:
                with suppress(Exception):  # the capture may be invalid: the error says why
                    self._stream.end_capture()
                raise
            self._graph = self._stream.end_capture()

    def constant(self, values: Any, dtype: Any) -> Array:
        """An array with values of the host, as they are now.

        They are copied to the device once, outside of the graph, which would read the host's memory
        at each launch. The work may change its array in place, so the graph makes a copy.
        """
        with self._current(self._beside):
            kept = self._cupy.asarray(values, dtype)
            self._beside.synchronize()
        self._constants.append(kept)
        return kept.copy()

    def launch(self) -> None:
        """Execute the work in CuPy's current stream, after all that was launched there before."""
        self._graph.launch()

    @contextmanager
    def _current(self, stream: Any) -> Iterator[None]:
        with self._cupy.cuda.using_allocator(self._pool.malloc), stream:
            yield
