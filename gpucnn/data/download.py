"""The download of a file whose size and SHA-256 are known, from a server that is not trusted.

A server may be slow, stall, send other bytes or bytes without end, or redirect to another place.
All of these end in a `DownloadError` after a bounded time, and the caller tries another server.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from gpucnn.errors import UsageError
from gpucnn.quoting import quoted

if TYPE_CHECKING:
    import requests

#: Is called with the name of a file, its bytes so far and its bytes in all.
Progress = Callable[[str, int, int], None]
#: The progress that downloads tell of: reading a data set may begin one, however deep.
watching: ContextVar[Progress | None] = ContextVar("watching", default=None)

PATIENCE = 20.0  # seconds over which the speed is measured
SLOWEST = 5_000  # bytes a second below which a download is given up
_CONNECT = 5.0  # seconds for each address of a host; PATIENCE bounds them together
_PIECE = 4096  # bytes
_REDIRECTS = 5


class DownloadError(Exception):
    """A server did not give the file; the text is the reason in a few words.

    No user sees it: the caller tries the next server, and in the end raises a `DataError`.
    """


def mirror() -> str | None:
    """The URL in ``$GPUCNN_MIRROR``, with a slash at its end; None if it is not set.

    Raises:
        UsageError: it is no URL of a folder by https, or by http on this machine.
    """
    text = os.environ.get("GPUCNN_MIRROR")
    if not text:
        return None
    if cause := _unfit(text):
        raise UsageError(
            "GPUCNN_MIRROR cannot be used" + ("" if "@" in text else f": {quoted(text)}"),
            cause=cause,
            fix="give the URL of a folder, such as https://example.org/data or"
            " http://127.0.0.1:8000, or unset GPUCNN_MIRROR",
        )
    return text.rstrip("/") + "/"


def download(url: str, to: Path, *, size: int, sha256: str) -> None:
    """Write the file at a URL to a path; after an error, what is there is of no use.

    Args:
        size: the bytes that it must have.
        sha256: the hash that it must have, in hexadecimal.

    Raises:
        DownloadError: the server did not give this file.
        OSError: it cannot be written.
    """
    progress = watching.get()
    received, digest = 0, hashlib.sha256()
    with to.open("wb") as file, contextlib.closing(_pieces(url, size)) as pieces:
        for piece in pieces:
            received += len(piece)
            file.write(piece)
            digest.update(piece)
            if progress is not None:
                progress(to.name, received, size)
        file.flush()
        os.fsync(file.fileno())
    if received < size:
        raise DownloadError(f"it sent {received:,} of {size:,} bytes")
    if digest.hexdigest() != sha256:
        raise DownloadError("the file has another SHA-256 than it should")


def _pieces(url: str, most: int) -> Generator[bytes, None, None]:
    """The bytes of a URL as they come; a `DownloadError` if there are more than `most`.

    Another thread reads from the server, because the time-out of a socket begins anew with each
    byte. This thread measures the speed over `PATIENCE` seconds, from the resolution of the name
    to the last byte, and obeys Ctrl-C at once.
    """
    import requests  # here, because it takes long to load and few runs download

    received: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    abandoned = threading.Event()
    threading.Thread(
        target=_receive, args=(requests.Session(), url, most, received, abandoned), daemon=True
    ).start()
    try:
        end, count, in_all = time.monotonic() + PATIENCE, 0, 0
        while True:
            now = time.monotonic()
            if now >= end:
                if count < SLOWEST * PATIENCE:
                    raise DownloadError(_too_slow(in_all))
                end, count = now + PATIENCE, 0
            try:
                piece = received.get(timeout=end - now)
            except queue.Empty:
                continue
            if isinstance(piece, Exception):
                raise DownloadError(_reason(piece)) from piece
            if not piece:
                return
            count += len(piece)
            in_all += len(piece)
            yield piece
    finally:
        abandoned.set()


def _too_slow(received: int) -> str:
    if not received:
        return f"no answer in {PATIENCE:g} s"
    return f"it sends less than {SLOWEST:,} bytes a second"


def _receive(
    session: requests.Session,
    url: str,
    most: int,
    received: queue.SimpleQueue[bytes | Exception],
    abandoned: threading.Event,
) -> None:
    """Put the bytes of a URL into a queue as they come, and at the end b"" or the exception."""
    try:
        with session, contextlib.closing(_open(session, url)) as response:
            if response.status_code != 200:
                raise DownloadError(f"HTTP status {response.status_code}")
            if response.headers.get("Content-Type", "").lower().startswith("text/html"):
                raise DownloadError(
                    "it sent a web page in place of the file; perhaps the network asks for a login"
                )
            # The file is the bytes as they are sent, also if a server calls gzip their coding.
            response.raw.headers.pop("Content-Encoding", None)
            count = 0
            for piece in response.iter_content(_PIECE):
                count += len(piece)
                if count > most:
                    raise DownloadError(f"it sends more than the {most:,} bytes of the file")
                if abandoned.is_set():
                    return
                received.put(piece)
            if count < most and response.headers.get("Content-Length") == str(count):
                raise DownloadError(f"its file is another one: {count:,} bytes, not {most:,}")
        received.put(b"")
    except Exception as error:  # hostile answers raise more than the errors of requests
        received.put(error)


def _open(session: requests.Session, url: str) -> requests.Response:
    """The answer to a request, after redirects to places that are as safe."""
    for _ in range(_REDIRECTS + 1):
        host = _loopback(urlsplit(url))
        response = session.get(
            url,
            stream=True,
            allow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            # Through a proxy, 127.0.0.1 would be the machine of the proxy.
            proxies={"no_proxy": host} if host else None,
            timeout=(_CONNECT, 3 * PATIENCE),  # it only ends this thread: the speed decides first
        )
        try:
            target = session.get_redirect_target(response)
            if target is None:
                return response
            url = _redirected(url, target)
        except BaseException:
            response.close()
            raise
        response.close()
    raise DownloadError(f"it redirects more than {_REDIRECTS} times")


def _redirected(url: str, target: str) -> str:
    """The URL that a redirect leads to; never from https to http."""
    new = urljoin(url, target)
    before, after = urlsplit(url), urlsplit(new)
    if not _is_safe(after) or (before.scheme == "https" and after.scheme != "https"):
        raise DownloadError(f"it redirects to {quoted(new)}, which is not https")
    return new


def _loopback(url: SplitResult) -> str | None:
    """The host of a URL if it is this machine."""
    host = url.hostname or ""
    with contextlib.suppress(ValueError):
        return host if host == "localhost" or ipaddress.ip_address(host).is_loopback else None
    return None


def _is_safe(url: SplitResult) -> bool:
    """Whether others can neither read nor change what a URL gives."""
    return url.scheme == "https" or (url.scheme == "http" and _loopback(url) is not None)


def _unfit(text: str) -> str | None:
    """The reason why a text is no URL of a mirror; None if it is one."""
    if not text.isprintable() or " " in text or "\\" in text:
        return "a URL has no spaces, control characters or backslashes"
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError as error:
        return f"it is no URL: {error}"
    if url.scheme not in ("https", "http") or not host:
        return "it must begin with https:// and the name of a host"
    if not _is_safe(url):
        return "http is for this machine only (127.0.0.1, ::1, localhost); elsewhere it is https"
    if url.username is not None or url.password is not None:
        return "it has a user name or a password, which messages would show; ~/.netrc may have them"
    if "?" in text or "#" in text:
        return "the names of files are added at its end, so it has no ? and no #"
    return None


def _reason(error: BaseException) -> str:
    """The reason in a few words; the text of requests repeats the URL and object addresses."""
    import requests

    if isinstance(error, DownloadError):
        return str(error)
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy gives no connection"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "the host is not found"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, http.client.RemoteDisconnected):
            return "it closed the connection without an answer"
        if isinstance(cause, (http.client.BadStatusLine, http.client.LineTooLong)):
            return "its answer is not HTTP"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, requests.RequestException):
        kind = type(error).__name__
        return _REASONS.get(kind, kind)
    return str(error) or type(error).__name__


_REASONS = {
    "ChunkedEncodingError": "the connection broke off",
    "ConnectionError": "no connection",
    "ConnectTimeout": "no answer",
    "ReadTimeout": "no answer",
    "SSLError": "no connection by TLS",
}  # kind of error of requests -> words
