"""Hostile connections: sizes, times, and requests before the answers."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from serving_client import DRAWING, IMAGES, Client

from gpucnn.serving import protocol, reading, unread
from gpucnn.serving.protocol import Protocol
from gpucnn.training import SavedModel


def raw(client: Client, *pieces: bytes) -> bytes:
    """What the server answers to bytes, which are sent piece by piece, until it closes."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


def test_a_body_that_is_too_large_is_not_read(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "_PAUSE", 0.05)
    for kind, most in (("image/png", reading.MOST_BYTES), ("application/json", 5 << 20)):
        head = HEAD + f"Content-Type: {kind}\r\nContent-Length: {most + 1}\r\n\r\n".encode()
        answer = raw(client, head)
        assert b" 413 " in answer
        assert b"the request is too large" in answer


@pytest.mark.parametrize(
    ("target", "kind", "status"),
    [
        ("/predict", "image/png", 413),
        ("/predict", "application/json", 413),
        ("/predict", "text/plain", 415),
        ("/nothing", "image/png", 404),
        ("/health", "image/png", 405),
    ],
)
def test_a_client_that_sends_all_before_it_reads(
    client: Client, target: str, kind: str, status: int
) -> None:
    answer = client(target, bytes(20 << 20), Content_Type=kind, Connection="close")
    assert answer.status == status
    assert answer.error["fix"]


def test_a_body_without_an_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is sent at once, and the connection is not kept."""
    monkeypatch.setattr(unread, "_PAUSE", 0.05)
    monkeypatch.setattr(unread, "_MOST_BYTES", 1 << 20)
    head = HEAD + b"Content-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n"
    assert b" 415 " in raw(client, head + b"a")
    with pytest.raises(ConnectionError):
        raw(client, head, *[bytes(64 << 10)] * 1000)


def test_a_connection_too_many(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_MOST_CONNECTIONS", 0)
    answer = client("/predict", bytes(1 << 20), Content_Type="image/png")
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.error["message"] == "the server has too many requests to answer"
    monkeypatch.undo()
    assert client("/health").status == 200


def test_a_body_of_pieces_that_is_too_large(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    head = HEAD + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(client, head, b"3e8\r\n" + bytes(1000) + b"\r\n", b"1\r\n0\r\n0\r\n\r\n")
    assert b" 413 " in answer
    answer = raw(client, head, b"3e8\r\n" + bytes(1000) + b"\r\n", b"0\r\n\r\n")
    assert b" 400 " in answer


def test_a_body_that_does_not_come(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_SECONDS", 0.05)
    monkeypatch.setattr(unread, "_PAUSE", 0.05)
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(head + b"[[1, ")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b" 408 " in answer
    assert b"the request did not arrive in time" in answer


def test_a_client_that_goes_away(client: Client) -> None:
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(head + b"[[1, ")
    assert client("/health").status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\xff\xfe\x00\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"Content-Type: image/png\r\nContent-Length: " + b"0" * 5000 + b"1\r\n\r\nx",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n",
    ],
)
def test_what_is_no_request(client: Client, sent: bytes) -> None:
    head, _, body = raw(client, sent).partition(b"\r\n\r\n")
    assert b" 400 " in head
    assert json.loads(body)["error"]["fix"]
    assert client("/health").status == 200


def test_a_request_without_a_host(client: Client) -> None:
    assert b" 403 " in raw(client, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert b" 403 " in raw(client, b"GET / HTTP/1.0\r\n\r\n")


def test_a_head_that_is_too_long(client: Client) -> None:
    fields = b"".join(b"A%d: %s\r\n" % (n, b"b" * 1000) for n in range(800))
    with contextlib.suppress(ConnectionError):  # it is not read to its end
        assert b" 431 " in raw(client, HEAD, fields)
    assert client("/health").status == 200


@pytest.mark.parametrize(("length", "status"), [(60_000, 404), (100_000, 400)])
def test_a_long_address(client: Client, length: int, status: int) -> None:
    rest = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw(client, b"GET /" + b"a" * length + rest)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HTTP/1.1\r\nHost: localh"])
def test_a_head_that_does_not_come(
    client: Client, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "_SECONDS", 0.05)
    head, _, body = raw(client, sent).partition(b"\r\n\r\n")
    assert b" 408 " in head
    assert json.loads(body)["error"]["message"] == "the head of the request did not arrive in time"


def test_a_connection_is_kept(client: Client) -> None:
    """Several requests over one connection, also sent before the answers."""
    body = json.dumps(IMAGES[0].tolist()).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    request = head.encode() + b"Content-Type: application/json\r\n\r\n" + body
    last = request.replace(b"localhost", b"localhost\r\nConnection: close", 1)
    assert raw(client, request + request[:50], request[50:], request, last).count(b" 200 OK") == 4


# ---- requests before the answers -------------------------------------------------------------

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
PREDICT = (
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    b"Content-Length: %d\r\n\r\n" % len(DRAWING)
) + DRAWING


class Gate:
    """In place of `SavedModel.classify`: each call waits for a turn; `fed` is what was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.turns = threading.Semaphore(0), threading.Semaphore(0)
        self.fed = 0
        classify, data_received = SavedModel.classify, Protocol.data_received

        def wait(saved: SavedModel, images: Any, **options: Any) -> Any:
            self.begun.release()
            assert self.turns.acquire(timeout=10)
            return classify(saved, images, **options)

        def count(protocol: Protocol, data: bytes) -> None:
            self.fed += len(data)
            data_received(protocol, data)

        monkeypatch.setattr(SavedModel, "classify", wait)
        monkeypatch.setattr(Protocol, "data_received", count)

    def wait_for_begin(self) -> None:
        assert self.begun.acquire(timeout=10)


def test_too_many_requests_before_the_answers_end_the_connection(client: Client) -> None:
    head, _, last = raw(client, HEALTH * 100).rpartition(b"HTTP/1.1 200 OK")
    assert head.count(b" 200 OK") == protocol._MOST_WAITING
    assert b"connection: close" in last
    assert b"connection: close" not in head


def test_nothing_is_read_while_a_request_waits(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends requests and reads no answers fills no memory of the server."""
    gate = Gate(monkeypatch)
    content = bytes(4 << 20)
    last = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(content)
    )
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(raw, client, PREDICT * 3 + last, content)
        for _ in range(3):
            gate.wait_for_begin()
            assert gate.fed < 600_000  # two reads from the socket
            gate.turns.release()
        assert answers.result().count(b"HTTP/1.1 200 OK") == 3
    assert gate.fed == len(PREDICT * 3 + last + content)


@pytest.mark.parametrize("waiting", [PREDICT, HEALTH], ids=["predict", "health"])
@pytest.mark.parametrize("count", [1, 2, 10, 50])
def test_a_client_that_goes_away_before_its_answers(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    waiting: bytes,
    count: int,
) -> None:
    gate = Gate(monkeypatch)
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(PREDICT + waiting * count)
        gate.wait_for_begin()
        reset = struct.pack("ii", 1, 0)  # closes with RST
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    for _ in range(count + 1):
        gate.turns.release()
    assert client("/health").status == 200
    assert caplog.text == ""


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"A: b\r\n" * 200])
def test_an_answer_after_an_error_is_dropped(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    gate = Gate(monkeypatch)
    answer = raw(client, PREDICT + sent)
    gate.wait_for_begin()
    gate.turns.release()
    assert client("/health").status == 200
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b" 400 " in answer
    assert caplog.text == ""


CHUNKED = HEAD + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a head": b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: ",
    "behind a body": CHUNKED + b"0\r\nA: ",
    "an extension of a chunk": CHUNKED + b"1;a=",
}


@pytest.mark.parametrize(
    "line",
    [b"AA: BB\r\n", b"A: " + b"b" * 9000 + b"\r\n", b"b" * 9000],
    ids=["short", "long", "one"],
)
@pytest.mark.parametrize("start", ENDLESS)
def test_headers_without_an_end(client: Client, start: str, line: bytes) -> None:
    answer = b""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(ENDLESS[start])
            for _ in range(1000):
                connection.sendall(line * (10_000 // len(line) + 1))
            raise AssertionError("the server goes on reading")
        with contextlib.suppress(ConnectionError):
            answer = connection.recv(65536)
    assert answer == b"" or b" 431 " in answer or b" 400 " in answer
    assert client("/health").status == 200
