"""A web server on this machine, for tests of downloads."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT = bytes(range(256)) * 40

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's table says, or with a file of its folder, or 404."""

    server: Server

    def do_GET(self) -> None:
        path, folder = self.path.removeprefix("/"), self.server.folder
        self.server.asked[path.rpartition("/")[2]] += 1
        if answer := self.server.answers.get(path):
            answer(self)
        elif folder is not None and (folder / path).is_file():
            self.send((folder / path).read_bytes())
        else:
            self.send_error(404)

    def send(
        self, body: bytes = CONTENT, status: int = 200, length: int | None = None, **headers: str
    ) -> None:
        """An answer, whose Content-Length may be another one than that of its body."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def stall(self) -> None:
        self.server.stopping.wait(30)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server at `url`, which ends with a slash.

    Attributes:
        answers: path -> answer.
        folder: the files that it gives, too.
        asked: the names of the files that were asked for, without their folders.
    """

    daemon_threads = True

    def __init__(self, folder: Path | None = None, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.folder = folder
        self.asked: Counter[str] = Counter()
        self.stopping = threading.Event()
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_port}/"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def handle_error(self, *args: object) -> None:
        """The client may have left."""

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.thread.join()
        self.server_close()
