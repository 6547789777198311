"""A server on the loopback interface: the page, and lessons with the numbers that it asks for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gpucnn.errors import GpucnnError, UsageError
from gpucnn.explain import TOPICS, explain, topic_module
from gpucnn.explain.inputs import read
from gpucnn.explain.lesson import Lesson
from gpucnn.explain.page import page, policy
from gpucnn.web import LOOPBACK, bound, headers, is_loopback

_LONGEST_TARGET = 8192  # characters of path and query: more than the numbers of any lesson
_MOST_FIELDS = 32
_TEXT, _JSON, _HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"


class Server(ThreadingHTTPServer):
    """Answers `GET /` and `GET /lesson?topic=conv&x=1 2`; `serve_forever` runs it.

    Args:
        lessons: those of the page.
        given: the inputs of the first lesson that were given, by name.
        port: see `gpucnn.web.bound`.

    Raises:
        UsageError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(
        self, lessons: Sequence[Lesson], given: Mapping[str, str], port: int | None = None
    ) -> None:
        self.page = page(lessons, given).encode()
        init = super().__init__
        bound(lambda choice: init((LOOPBACK, choice), _Handler), port)

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        """Bind without `HTTPServer`'s look-up of the host's name, which can ask the network."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of a bug; a browser that has gone away is none."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds for a client to send its request
    server: Server
    server_version = "gpucnn"
    sys_version = ""

    def parse_request(self) -> bool:
        """Read the request, and refuse all that the page does not ask for."""
        if not super().parse_request():
            return False
        # Another site's name may be made to lead to this machine (DNS rebinding).
        if not is_loopback(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN, "the host is not this machine")
        elif self.command != "GET":
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered")
        elif len(self.path) > _LONGEST_TARGET:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG, "the query is too long")
        else:
            return True
        return False

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        if target.path == "/":
            self._answer(HTTPStatus.OK, _HTML, self.server.page)
        elif target.path == "/lesson":
            status, found = lesson(target.query)
            self._answer(status, _JSON, json.dumps(found, allow_nan=False).encode())
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "there are only / and /lesson")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers(policy()).items():
            self.send_header(name, value)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """An error as a line of plain text."""
        self.close_connection = True
        self._answer(code, _TEXT, f"{message or HTTPStatus(code).phrase}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the page shows every error."""


def lesson(query: str) -> tuple[HTTPStatus, dict[str, Any]]:
    """The answer to a query as in "topic=conv&x=1 2; 3 4": the lesson, or its `errors`.

    An input without a number takes its default. There is one error for each input that is wrong by
    itself; if there is none, the error of the whole. Each has the fields of its event, and `input`,
    the name of the input, or None.
    """
    try:
        given = dict(parse_qsl(query, errors="strict", max_num_fields=_MOST_FIELDS))
    except ValueError as error:  # too many fields, or bytes that are no text
        problem = UsageError(
            "the query cannot be read",
            cause=str(error),
            fix=f"give at most {_MOST_FIELDS} fields, in UTF-8",
        )
        return HTTPStatus.BAD_REQUEST, {"errors": [_fields(problem, None)]}
    topic = given.pop("topic", "")
    try:
        return HTTPStatus.OK, explain(topic, **given).as_dict()
    except GpucnnError as wrong:
        errors = _wrong_inputs(topic, given) or [_fields(wrong, None)]
        return HTTPStatus.BAD_REQUEST, {"errors": errors}


def _wrong_inputs(topic: str, given: dict[str, str]) -> list[dict[str, str | None]]:
    found = []
    for name, text in given.items() if topic in TOPICS else ():
        try:
            read(topic_module(topic).INPUTS, {name: text})
        except GpucnnError as wrong:
            found.append(_fields(wrong, name))
    return found


def _fields(error: GpucnnError, name: str | None) -> dict[str, str | None]:
    return {**error.as_dict(), "input": name}
