"""A client for load tests: connections that are kept, each with one request after the other.

python tests/load_client.py http://127.0.0.1:8000/ 20000 --connections 32
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Load:
    """What a load test found.

    Args:
        seconds: from the first request to the last answer.
        latencies: of each answer, in seconds.
        lost: requests without an answer, or with another status than 200.
        labels: number of the body -> the labels that were answered.
    """

    seconds: float
    latencies: NDArray[np.float64]
    lost: int
    labels: dict[int, set[str]]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def __str__(self) -> str:
        p50, p99 = np.percentile(self.latencies, (50, 99)) * 1e3
        return (
            f"{len(self.latencies):,} answers, {self.lost} lost, {self.rate:,.0f} a second,"
            f" p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {self.latencies.max() * 1e3:.1f} ms"
        )


class _Connection(asyncio.Protocol):
    """Sends a request when the last is answered, until the test has sent enough."""

    def __init__(self, test: _Test) -> None:
        self._test = test
        self._received = b""
        self._body = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._body = self._test.next_body()
        if self._body < 0:
            self._transport.close()
            return
        self._begun = time.perf_counter()
        self._transport.write(self._test.requests[self._body])

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self._received = b""
        self._test.answered(self._body, time.perf_counter() - self._begun, head, rest)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._test.ended(in_flight=self._body >= 0)


class _Test:
    def __init__(self, requests: Sequence[bytes], count: int, connections: int) -> None:
        self.requests = requests
        self.done = asyncio.get_running_loop().create_future()
        self._count = count
        self._sent = 0
        self._open = connections
        self.latencies: list[float] = []
        self.lost = 0
        self.labels: dict[int, set[str]] = {}

    def next_body(self) -> int:
        """The number of the next body to send; -1 if enough are sent."""
        if self._sent == self._count:
            return -1
        self._sent += 1
        return (self._sent - 1) % len(self.requests)

    def answered(self, body: int, seconds: float, head: bytes, answer: bytes) -> None:
        self.latencies.append(seconds)
        if b" 200 " not in head[:16]:
            self.lost += 1
            return
        label = answer[: answer.index(b",")].rpartition(b" ")[2].decode()
        self.labels.setdefault(body, set()).add(json.loads(label))

    def ended(self, in_flight: bool) -> None:
        self.lost += in_flight
        self._open -= 1
        if not self._open:
            self.done.set_result(None)


async def load(address: str, bodies: Sequence[bytes], count: int, connections: int) -> Load:
    """Send `count` requests with these bodies, JSON, in turn."""
    place = urlsplit(address)
    head = f"POST /predict HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    requests = [f"{head}Content-Length: {len(b)}\r\n\r\n".encode() + b for b in bodies]
    test = _Test(requests, count, connections)
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(test), place.hostname, place.port)
    await test.done
    seconds = time.perf_counter() - begun
    return Load(seconds, np.array(test.latencies), test.lost, test.labels)


def bodies(images: NDArray[np.uint8]) -> list[bytes]:
    """A request's body for each image (N, C, H, W)."""
    return [json.dumps(image.tolist(), separators=(",", ":")).encode() for image in images]


def main() -> None:
    from gpucnn.data.digits import load_digits

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("count", type=int)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    images = load_digits()[1].images
    print(asyncio.run(load(given.address, bodies(images), given.count, given.connections)))


if __name__ == "__main__":
    main()
