"""The server: real requests on the loopback interface, good ones and hostile ones."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from gpucnn.errors import UsageError
from gpucnn.explain import TOPICS, explain
from gpucnn.explain.page import page, policy
from gpucnn.explain.server import Server
from gpucnn.web import LOOPBACK


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server([explain("conv")], {}, 0) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


Ask = Callable[..., tuple[int, str, http.client.HTTPMessage]]


@pytest.fixture
def ask(server: Server) -> Ask:
    """Send a request; returns status, text and headers of the answer."""

    def request(
        target: str, method: str = "GET", **headers: str
    ) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection(LOOPBACK, server.server_address[1], timeout=20)
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, answer.headers

    return request


def lesson(ask: Ask, **query: str) -> tuple[int, Any]:
    status, text, headers = ask(f"/lesson?{urlencode(query)}")
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(text)


def test_the_page(ask: Ask) -> None:
    status, text, headers = ask("/")
    assert status == 200
    assert text == page([explain("conv")], {})
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"] == f"{policy()}; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("topic", TOPICS)
def test_a_lesson_is_the_library_s(ask: Ask, topic: str) -> None:
    assert lesson(ask, topic=topic) == (200, explain(topic).as_dict())


def test_a_lesson_with_other_numbers(ask: Ask) -> None:
    given = {"x": "1 2 3; 4 5 6; 7 8 9.5", "stride": "2", "w": "1 -1"}
    assert lesson(ask, topic="conv", **given) == (200, explain("conv", **given).as_dict())


@pytest.mark.parametrize(
    ("query", "input_", "message"),
    [
        ({"topic": "conv", "x": "one"}, "x", "the input x is 'one'"),
        ({"topic": "conv", "w": "1 2; 3"}, "w", "the input w is"),
        ({"topic": "conv", "x": "1 2; 3 4", "w": "nan"}, "w", "not finite"),
        ({"topic": "conv", "stride": "0"}, "stride", "the input stride"),
        ({"topic": "conv", "w": "1 2 3 4"}, None, "4"),
        ({"topic": "conv", "q": "1"}, "q", "unknown input 'q'"),
        ({"topic": "conw", "x": "1"}, None, "unknown topic 'conw'"),
        ({"x": "1"}, None, "unknown topic ''"),
        ({"topic": "../conv"}, None, "unknown topic"),
        ({"topic": "conv", "x": "9" * 5000}, "x", "not finite"),
        ({"topic": "conv", "x": "1 " * 3000}, "x", "3000 numbers"),
        ({"topic": "conv", "x": "\0"}, "x", "the input x is"),
        ({"topic": "conv", "__class__": "1"}, "__class__", "unknown input"),
        ({"topic": "conv", "padding": "100000"}, "padding", "padding"),
        ({f"a{i}": "1" for i in range(40)}, None, "cannot be read"),
    ],
)
def test_an_error_says_what_is_wrong(
    ask: Ask, query: dict[str, str], input_: str | None, message: str
) -> None:
    status, answer = lesson(ask, **query)
    assert status == 400
    (found,) = answer["errors"]
    assert set(found) == {"kind", "message", "cause", "fix", "input"}
    assert message in found["message"]
    assert found["fix"]
    assert found["input"] == input_
    assert "Traceback" not in str(found)


@pytest.mark.parametrize("topic", TOPICS)
def test_each_wrong_input_has_its_error(ask: Ask, topic: str) -> None:
    *wrong, right = explain(topic).inputs
    status, answer = lesson(ask, topic=topic, **dict.fromkeys(wrong, "many"), **{right: "1"})
    assert status == 400
    assert [error["input"] for error in answer["errors"]] == wrong
    assert all(f"the input {each['input']} is" in each["message"] for each in answer["errors"])


@pytest.mark.parametrize("query", ["topic=%ff", "%ff=1&topic=conv", "topic=conv&x=%c3%28"])
def test_a_query_that_is_no_text(ask: Ask, query: str) -> None:
    status, text, _ = ask(f"/lesson?{query}")
    assert status == 400
    (error,) = json.loads(text)["errors"]
    assert error["message"] == "the query cannot be read"
    assert "utf-8" in error["cause"]


def test_an_empty_input_takes_its_default(ask: Ask) -> None:
    assert lesson(ask, topic="conv", x="", dy="") == (200, explain("conv").as_dict())


@pytest.mark.parametrize(
    "target", ["/index.html", "/lesson/", "/../etc/passwd", "/%2e%2e/etc/passwd", "*"]
)
def test_other_paths(ask: Ask, target: str) -> None:
    status, text, headers = ask(target)
    assert status == 404
    assert text == "there are only / and /lesson\n"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "HEAD"])
def test_other_methods(ask: Ask, method: str) -> None:
    status, text, headers = ask("/", method)
    assert status == 405
    assert headers["Allow"] == "GET"
    assert text == ("" if method == "HEAD" else "only GET is answered\n")


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com:8000",
        "127.0.0.1.example.com",
        "localhost@example.org",
        "example.org@localhost",
        "10.0.0.1",
        "127.0.0.1:80:80",
        "[",
        "",
    ],
)
def test_other_hosts(ask: Ask, host: str) -> None:
    status, text, _ = ask("/", Host=host)
    assert (status, text) == (403, "the host is not this machine\n")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.0.0.1:1234"])
def test_hosts_of_this_machine(ask: Ask, host: str) -> None:
    assert ask("/", Host=host)[0] == 200


def test_a_long_query_is_refused(ask: Ask) -> None:
    assert ask(f"/lesson?topic=conv&x={'1' * 9000}")[:2] == (414, "the query is too long\n")
    assert ask(f"/{'a' * 70000}")[0] == 414


@pytest.mark.parametrize(
    "sent", [b"\r\n\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\xff\xfe\x00\r\n\r\n",
             b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
             b"GET / HTTP/1.1\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_request(server: Server, ask: Ask, sent: bytes) -> None:
    with socket.create_connection((LOOPBACK, server.server_address[1]), timeout=20) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert b"200 OK" not in answer
    assert ask("/")[0] == 200


def test_requests_at_the_same_time(ask: Ask) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda b: lesson(ask, topic="conv", b=str(b)), range(16)))
    assert found == [(200, explain("conv", b=b).as_dict()) for b in range(16)]


def test_it_listens_on_the_loopback_interface_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_address[1]}/"


def test_a_port_in_use(server: Server) -> None:
    with pytest.raises(
        UsageError, match=f"port {server.server_address[1]} cannot be used"
    ) as raised:
        Server([explain("conv")], {}, server.server_address[1])
    assert raised.value.cause == "another program uses it"
    assert "--port" in (raised.value.fix or "")


def test_another_port_is_taken_if_none_was_asked_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpucnn.web.USUAL_PORT", server.server_address[1])
    with Server([explain("conv")], {}) as other:
        assert other.server_address[1] != server.server_address[1]
