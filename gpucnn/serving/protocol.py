"""HTTP/1.1 of uvicorn with bounds on heads and connections, and with errors in JSON."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gpucnn.serving.problem import RequestError, busy
from gpucnn.serving.unread import ReadToTheEnd

_MOST_HEAD = 512 << 10  # bytes: more than one read from the socket, which may end within a head
_SECONDS = 10.0  # for the head of a request
_MOST_CONNECTIONS = 512
_BUSY = ReadToTheEnd(
    JSONResponse(
        {"error": busy().as_dict()}, HTTPStatus.SERVICE_UNAVAILABLE, {"Connection": "close"}
    )
)


class Protocol(HttpToolsProtocol):
    """A connection.

    A head that is too long, too slow or no HTTP is answered with an error, and so is a request over
    one connection too many.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False
        self._head_size = 0  # bytes since the head began
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head_size += len(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._head_size > _MOST_HEAD:
            self._refuse(
                RequestError(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "the head of the request is too long",
                    fix="send fewer and shorter headers",
                )
            )
        elif self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._wait_no_more()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_size = True, 0

    def on_headers_complete(self) -> None:
        is_busy = len(self.connections) > _MOST_CONNECTIONS
        self.app = _BUSY if is_busy else self.config.loaded_app
        super().on_headers_complete()
        self._in_head = False

    def send_400_response(self, msg: str) -> None:
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
