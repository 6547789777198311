"""A thread that computes, and puts the requests that wait for it together into batches."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.serving.problem import busy

_MOST_WAITING = 1024  # requests
_MOST_BYTES = 1 << 30  # of the images of requests that are not answered; one may have more


@dataclass(frozen=True, eq=False)
class _Job:
    """Images (N, ...) for a batch; or work that is done alone."""

    answer: asyncio.Future[Any]
    images: NDArray[Any] | None = None
    work: Callable[[], Any] | None = None

    @property
    def nbytes(self) -> int:
        return 0 if self.images is None else self.images.nbytes


class Batches:
    """Computes a function of images in one thread, for the coroutines of one event loop.

    The thread takes all requests that wait, up to `size` images, and computes them together; it
    never waits for more. If a batch fails, its requests are computed one by one, so that each gets
    its own answer.

    Args:
        compute: from images (N, ...) to a list of N answers.
        size: the most images in a batch; a request of more is a batch by itself.
    """

    def __init__(self, compute: Callable[[NDArray[Any]], Sequence[Any]], size: int) -> None:
        self._compute = compute
        self._size = size
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._nbytes = 0  # of the images of the jobs that are not done
        self._next: _Job | None = None  # taken from the queue, and too large for the last batch
        self._thread = threading.Thread(target=self._run, name="gpucnn-batches", daemon=True)
        self._thread.start()

    async def answers(self, images: NDArray[Any]) -> list[Any]:
        """The answers for images (N, ...).

        Raises:
            RequestError: too many requests wait, or too many images.
        """
        answers: list[Any] = await self._put(images=images)
        return answers

    async def alone(self, work: Callable[[], Any]) -> Any:
        """The result of other work, done in the same thread between two batches."""
        return await self._put(work=work)

    def _put(self, **job: Any) -> asyncio.Future[Any]:
        found = _Job(asyncio.get_running_loop().create_future(), **job)
        is_too_large = self._nbytes > 0 and self._nbytes + found.nbytes > _MOST_BYTES
        if self._jobs.qsize() >= _MOST_WAITING or is_too_large:
            raise busy()
        self._nbytes += found.nbytes
        self._jobs.put(found)
        return found.answer

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._take():
            outcomes = self._outcomes(batch)
            # One call for the whole batch: each wakes the event loop.
            loop = batch[0].answer.get_loop()
            loop.call_soon_threadsafe(self._deliver, batch, outcomes)

    def _take(self) -> list[_Job]:
        """The jobs of the next batch; none at the end."""
        first = self._next or self._jobs.get()
        self._next = None
        if first is None:
            return []
        batch, count = [first], _count(first)
        while first.images is not None and count < self._size:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)  # the end comes after this batch
                break
            if count + _count(job) > self._size or not _go_together(first, job):
                self._next = job
                break
            batch.append(job)
            count += _count(job)
        return batch

    def _outcomes(self, batch: list[_Job]) -> list[Any]:
        """The result of each job, or its error."""
        try:
            if batch[0].work is not None:
                return [batch[0].work()]
            images = [job.images for job in batch if job.images is not None]
            answers = iter(self._compute(np.concatenate(images) if len(batch) > 1 else images[0]))
            return [[next(answers) for _ in each] for each in images]
        except Exception as error:  # whatever it is, the request that led to it gets it
            if len(batch) == 1:
                return [error]
            return [outcome for job in batch for outcome in self._outcomes([job])]

    def _deliver(self, batch: list[_Job], outcomes: list[Any]) -> None:
        """Answer the jobs of a batch; in the thread of the event loop."""
        self._nbytes -= sum(job.nbytes for job in batch)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.answer.done():  # its client has gone
                continue
            if isinstance(outcome, Exception):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(outcome)


def _count(job: _Job) -> int:
    return 0 if job.images is None else len(job.images)


def _go_together(one: _Job, other: _Job) -> bool:
    a, b = one.images, other.images
    return a is not None and b is not None and (a.dtype, a.shape[1:]) == (b.dtype, b.shape[1:])
