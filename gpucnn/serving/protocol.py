"""HTTP/1.1 of uvicorn with bounds on heads, requests and connections, and with errors in JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sized
from http import HTTPStatus
from typing import Any, cast

from starlette.responses import JSONResponse
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gpucnn.serving.problem import RequestError, busy
from gpucnn.serving.unread import ReadToTheEnd

_MOST_HEAD = 512 << 10  # bytes: more than one read from the socket, which may end within a head
_MOST_HEADERS = 100  # of a request, with those behind a body that is sent in chunks
_MOST_WAITING = 16  # requests of a connection that wait for the answer of the one before
_SECONDS = 10.0  # for the head of a request
_MOST_CONNECTIONS = 512
_BUSY = ReadToTheEnd(
    JSONResponse(
        {"error": busy().as_dict()}, HTTPStatus.SERVICE_UNAVAILABLE, {"Connection": "close"}
    )
)


class _Transport:
    """A transport that ignores calls after it was closed, as that of asyncio; uvloop's raises."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()


class _Flow(FlowControl):
    """Reads from a connection only while none of its requests waits for another one's answer."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class _Stop(Exception):
    """Raised in a callback of the parser, to parse no more of the connection."""


class Protocol(HttpToolsProtocol):
    """A connection.

    A head that is too long, too slow or no HTTP is answered with an error, and so is a request over
    one connection too many. A client may send requests before it reads the answers. They are
    answered one after the other; after too many of them the connection ends.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._size = 0  # bytes since a head, or a piece of a body, began
        self._deadline: asyncio.TimerHandle | None = None
        self._is_full = False  # too many requests wait: what follows them is dropped
        self._has_many_headers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", _Transport(transport)))
        self.flow = _Flow(self.transport, self.pipeline)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_full:
            return
        super().data_received(data)
        self._size += len(data)
        if self.transport.is_closing():
            return
        if self._size > _MOST_HEAD:
            self._refuse(_too_long())
        elif self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._wait_no_more()

    def on_message_begin(self) -> None:
        if len(self.pipeline) == _MOST_WAITING:
            self._is_full = True
            self.cycle.keep_alive = False  # its answer is the last
            raise _Stop
        super().on_message_begin()
        self._size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > _MOST_HEADERS:
            self._has_many_headers = True
            raise _Stop

    def on_headers_complete(self) -> None:
        is_busy = len(self.connections) > _MOST_CONNECTIONS
        self.app = _BUSY if is_busy else self.config.loaded_app
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._size = 0

    def send_400_response(self, msg: str) -> None:
        if self._has_many_headers:
            self._refuse(_too_long())
        elif not self._is_full:
            self._refuse(
                RequestError(
                    HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1", fix="use a browser, or curl"
                )
            )

    def _wait(self) -> None:
        """Set the deadline for the head of the next request, if it is not set."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(_SECONDS, self._refuse_slow)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse_slow(self) -> None:
        self._refuse(
            RequestError(
                HTTPStatus.REQUEST_TIMEOUT,
                "the head of the request did not arrive in time",
                cause=f"it may take {_SECONDS:.0f} seconds",
                fix="send it again",
            )
        )

    def _refuse(self, error: RequestError) -> None:
        body = json.dumps({"error": error.as_dict()}).encode()
        head = (
            f"HTTP/1.1 {error.status.value} {error.status.phrase}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _too_long() -> RequestError:
    return RequestError(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "the head of the request is too long",
        cause=f"it may have {_MOST_HEADERS} headers, and {_MOST_HEAD:,} bytes",
        fix="send fewer and shorter headers",
    )
