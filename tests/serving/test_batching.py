"""The queue of requests, and the names under which a server can be reached."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gpucnn.serving import batching
from gpucnn.serving.batching import Batches
from gpucnn.serving.problem import RequestError
from gpucnn.serving.server import Listener


class Doubler:
    """Computes 2x, and notes the batches; the first waits until `go` is set."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, images: Any) -> list[int]:
        self.begun.set()
        self.go.wait(10)
        self.batches.append(images[:, 0].tolist())
        if 13 in images:
            raise ValueError("13")
        return (2 * images[:, 0]).tolist()


def numbers(*values: int) -> Any:
    return np.array(values)[:, None]


def outcomes(size: int, *requests: Any, compute: Doubler) -> list[Any]:
    """What requests get that wait together while the first is computed."""

    async def ask() -> list[Any]:
        batches = Batches(compute, size)
        tasks = [asyncio.ensure_future(batches.answers(numbers(0)))]
        await asyncio.to_thread(compute.begun.wait)
        for each in requests:
            asked = batches.alone(each) if callable(each) else batches.answers(each)
            tasks.append(asyncio.ensure_future(asked))
        await asyncio.sleep(0)  # all of them are in the queue
        compute.go.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        batches.close()
        return found[1:]

    return asyncio.run(ask())


@pytest.fixture
def compute() -> Iterator[Doubler]:
    doubler = Doubler()
    yield doubler
    doubler.go.set()


@pytest.mark.parametrize(
    ("size", "batches"),
    [
        (1, [[1], [2, 3], [4], [5, 6, 7]]),
        (3, [[1, 2, 3], [4], [5, 6, 7]]),
        (4, [[1, 2, 3, 4], [5, 6, 7]]),
        (100, [[1, 2, 3, 4, 5, 6, 7]]),
    ],
)
def test_what_waits_is_computed_together(
    compute: Doubler, size: int, batches: list[list[int]]
) -> None:
    requests = [numbers(1), numbers(2, 3), numbers(4), numbers(5, 6, 7)]
    found = outcomes(size, *requests, compute=compute)
    assert found == [[2], [4, 6], [8], [10, 12, 14]]
    assert compute.batches == [[0], *batches]


def test_an_error_reaches_the_request_that_led_to_it(compute: Doubler) -> None:
    found = outcomes(9, numbers(1), numbers(13), numbers(2, 3), compute=compute)
    assert found[0] == [2]
    assert isinstance(found[1], ValueError)
    assert found[2] == [4, 6]


def test_images_of_other_kinds_are_batches_of_their_own(compute: Doubler) -> None:
    others = [numbers(1).astype(np.float32), np.array([[2, 2]]), numbers(3)]
    assert outcomes(9, *others, compute=compute) == [[2.0], [4], [6]]
    assert compute.batches == [[0], [1.0], [2], [3]]


def test_other_work_is_done_between_batches(compute: Doubler) -> None:
    def fail() -> None:
        raise KeyError("x")

    here: list[Callable[[], Any]] = [threading.get_ident, fail]
    one, thread, error, two = outcomes(9, numbers(1), *here, numbers(2), compute=compute)
    assert (one, two) == ([2], [4])
    assert thread != threading.get_ident()
    assert isinstance(error, KeyError)
    assert compute.batches == [[0], [1], [2]]


def test_too_many_requests(compute: Doubler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_MOST_WAITING", 3)
    found = outcomes(1, *(numbers(n) for n in range(1, 7)), compute=compute)
    assert found[:3] == [[2], [4], [6]]
    assert [type(each) for each in found[3:]] == [RequestError] * 3
    assert {each.status for each in found[3:]} == {503}


def test_too_many_images(compute: Doubler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait or are computed are bounded; an answer makes room."""
    monkeypatch.setattr(batching, "_MOST_BYTES", 3 * numbers(0).nbytes)
    found = outcomes(1, numbers(1), numbers(2, 3), numbers(4), numbers(5), compute=compute)
    assert found[::2] == [[2], [8]]
    assert [each.status for each in found[1::2]] == [503, 503]

    async def ask() -> list[Any]:
        batches = Batches(compute, 1)
        found = [await batches.answers(numbers(*range(count))) for count in (2, 3, 9)]
        batches.close()
        return found

    assert [len(each) for each in asyncio.run(ask())] == [2, 3, 9]


def test_a_client_that_has_gone_holds_no_other(compute: Doubler) -> None:
    async def ask() -> Any:
        batches = Batches(compute, 9)
        first, gone, last = (asyncio.ensure_future(batches.answers(numbers(n))) for n in (0, 1, 2))
        await asyncio.sleep(0.01)
        gone.cancel()
        compute.go.set()
        found = await asyncio.gather(first, gone, last, return_exceptions=True)
        batches.close()
        return found

    first, gone, last = asyncio.run(ask())
    assert (first, last) == ([0], [4])
    assert isinstance(gone, asyncio.CancelledError)


@pytest.mark.parametrize(
    ("host", "own", "foreign"),
    [
        (
            "127.0.0.1",
            ["localhost", "127.0.0.1:80", "[::1]", "127.0.0.2", "Digits.example:443"],
            ["example.com", "10.0.0.1", "localhost.example.com", "", "a:b:c", "[::2]", "[::1"],
        ),
        ("localhost", ["localhost:8000", "127.0.0.1"], ["example.com"]),
        (
            "0.0.0.0",
            ["localhost", "10.0.0.1:8000", "[fe80::1]:80", socket.gethostname()],
            ["example.com", "10.0.0.1.example.com", "0x7f.1"],
        ),
    ],
)
def test_the_names_of_a_server(host: str, own: list[str], foreign: list[str]) -> None:
    listener = Listener(host, 0, names=["digits.Example"])
    listener.socket.close()
    assert [name for name in own if not listener.is_own(name)] == []
    assert [name for name in foreign if listener.is_own(name)] == []
