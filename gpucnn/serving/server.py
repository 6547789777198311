"""The server: its socket, and uvicorn until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import re
import socket
from collections.abc import Sequence

import uvicorn

from gpucnn.errors import UsageError, cause_of
from gpucnn.serving.app import App
from gpucnn.serving.protocol import Protocol
from gpucnn.serving.unread import ReadToTheEnd
from gpucnn.web import LOOPBACK, bound

_KEEP_ALIVE = 20  # seconds between two requests of a connection
_DRAIN = 40  # seconds for answers after a signal: longer than an answer takes


class Listener:
    """A bound socket.

    Args:
        host: an address of this machine, or a name of it.
        port: see `gpucnn.web.bound`.
        names: other names of the server, as behind a reverse proxy.

    Raises:
        UsageError: the host is no address of this machine, or the port cannot be had.
    """

    def __init__(
        self, host: str = LOOPBACK, port: int | None = None, names: Sequence[str] = ()
    ) -> None:
        self.host = host
        self._names = {name.lower() for name in ("localhost", host, *names)}
        try:
            family, _, _, _, place = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError) as error:
            raise UsageError(
                f"--host {host!r} is no address", cause=cause_of(error), fix=f"give {LOOPBACK}"
            ) from error
        self.socket = bound(lambda choice: self._bound(family, str(place[0]), choice), port)
        self.is_loopback = ipaddress.ip_address(self.socket.getsockname()[0]).is_loopback

    def _bound(self, family: int, address: str, port: int) -> socket.socket:
        try:
            return socket.create_server((address, port), family=family, backlog=1024)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            raise UsageError(
                f"--host {self.host} is no address of this machine", fix=f"give {LOOPBACK}"
            ) from error

    @property
    def address(self) -> str:
        """The address of the page."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.socket.getsockname()[1]}/"

    def is_own(self, host: str) -> bool:
        """Whether the header Host names this server.

        A name that any site can lead to this machine is none; an address cannot be led elsewhere.
        """
        found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::\d+)?", host.lower())
        if found is None:
            return False
        name = found[1] or found[2]
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return not self.is_loopback and name == socket.gethostname().lower()
        return address.is_loopback or not self.is_loopback


def _is_error(record: logging.LogRecord) -> bool:
    """Whether a record of uvicorn's is one: no request that a second Ctrl-C has cut off."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def server(app: App) -> uvicorn.Server:
    """The server of an application; `run([listener.socket])` runs it."""
    logging.getLogger("uvicorn.error").addFilter(_is_error)
    # What is wrong with a request is said to its client, who could fill this terminal.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    return uvicorn.Server(
        uvicorn.Config(
            ReadToTheEnd(app),
            access_log=False,
            http=Protocol,
            lifespan="off",
            log_config=None,
            log_level="error",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN,
            timeout_keep_alive=_KEEP_ALIVE,
            ws="none",
        )
    )


def run(app: App, listener: Listener) -> None:
    """Serve until Ctrl-C or SIGTERM; then answer what has begun, and raise KeyboardInterrupt."""
    try:
        server(app).run([listener.socket])
    finally:
        app.close()
