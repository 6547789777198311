"""Downloads from a server on this machine that stalls, breaks off, lies and redirects."""

from __future__ import annotations

import hashlib
import itertools
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from web_server import CONTENT, Answer, Handler, Server

from gpucnn.data import download
from gpucnn.data.download import DownloadError

pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
        f" -addext keyUsage=critical,digitalSignature,keyCertSign -keyout {file} -out {file}.crt"
    )
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    with file.open("ab") as joined:
        joined.write(Path(f"{file}.crt").read_bytes())
    return file


@pytest.fixture
def secure(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server by https, whose certificate is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = Server(certificate=certificate)
    yield server
    server.stop()


def get(url: str, folder: Path, **options: Any) -> bytes:
    """What `download` writes for a file that is `CONTENT`."""
    to = folder / "file.gz"
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    download.download(url, to, **{"size": len(CONTENT), "sha256": sha256, **options})
    return to.read_bytes()


def trickle_header(handler: Handler) -> None:
    for byte in itertools.cycle(b"x"):
        if handler.server.stopping.wait(0.01):
            return
        handler.wfile.write(bytes([byte]))


def trickle(handler: Handler) -> None:
    handler.send(b"", length=len(CONTENT))
    trickle_header(handler)


def stall_in_the_middle(handler: Handler) -> None:
    handler.send(CONTENT[:5000], length=len(CONTENT))
    handler.stall()


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.stopping.is_set():
        handler.wfile.write(CONTENT)


def no_colon(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nno colon\x1b[2J\r\n\r\n" + CONTENT[:100])


def endless_continue(handler: Handler) -> None:
    while not handler.server.stopping.is_set():
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def invalid_chunks(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5\r\nhello\r\nno number\r\n")


def no_http(handler: Handler) -> None:
    handler.wfile.write(b"\0" * 100)


def hang_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def no_length(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(CONTENT[:100])


@pytest.mark.parametrize(
    "answer",
    [Handler.stall, stall_in_the_middle, trickle_header, trickle, endless_continue],
    ids=lambda a: a.__name__,
)
def test_a_server_that_is_too_slow(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(download, "PATIENCE", 0.1)
    monkeypatch.setattr(download, "SLOWEST", 50_000)
    server.answers["file"] = answer
    begun = time.monotonic()
    with pytest.raises(DownloadError, match=r"no answer in|less than 50,000 bytes a second"):
        get(f"{server.url}file", tmp_path)
    assert time.monotonic() - begun < 10  # its time-outs are 30 s


def test_a_stall_after_a_fast_begin(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    monkeypatch.setattr(download, "SLOWEST", 1)  # 5,000 bytes are enough for the first 0.2 s
    server.answers["file"] = stall_in_the_middle
    with pytest.raises(DownloadError, match=r"no answer in|less than 1 bytes a second"):
        get(f"{server.url}file", tmp_path)


def test_a_name_that_is_not_resolved_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved.wait(30) and [])
    monkeypatch.setattr(download, "PATIENCE", 0.1)
    with pytest.raises(DownloadError, match=r"no answer in 0\.1 s"):
        get("https://example.org/file", tmp_path)
    resolved.set()


@pytest.mark.parametrize(("speed", "enough"), [(5_100, True), (4_900, False)])
def test_the_least_speed(monkeypatch: pytest.MonkeyPatch, speed: int, enough: bool) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(download, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def receive(session: Any, url: str, most: int, received: Any, abandoned: Any) -> None:
        for _ in range(100):
            received.put(bytes(speed))
        received.put(b"")

    monkeypatch.setattr(download, "_receive", receive)
    pieces = download._pieces("https://example.org/", 10**6)

    def a_piece_a_second() -> int:
        for _ in pieces:
            clock.now += 1
        return int(clock.now)

    if enough:
        assert a_piece_a_second() == 100
    else:
        with pytest.raises(DownloadError, match="it sends less than 5,000 bytes a second"):
            a_piece_a_second()
        assert clock.now == 20


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda h: h.send(CONTENT[:5000], length=len(CONTENT)), "the connection broke off"),
        (lambda h: h.send(CONTENT[:5000]), "its file is another one: 5,000 bytes, not 10,240"),
        (no_colon, "it sent 100 of 10,240 bytes"),
        (no_length, "it sent 100 of 10,240 bytes"),
        (lambda h: h.send(b""), "its file is another one: 0 bytes, not 10,240"),
        (lambda h: h.send(CONTENT + b"x"), "it sends more than the 10,240 bytes of the file"),
        (endless, "it sends more than the 10,240 bytes of the file"),
        (lambda h: h.send(CONTENT[::-1]), "the file has another SHA-256 than it should"),
        (lambda h: h.send(status=404), "HTTP status 404"),
        (lambda h: h.send(status=500), "HTTP status 500"),
        (lambda h: h.send(status=206), "HTTP status 206"),
        (lambda h: h.send(status=302), "HTTP status 302"),  # it says no place
        (
            lambda h: h.send(b"<html>log in</html>", Content_Type="Text/HTML; charset=utf-8"),
            "it sent a web page in place of the file; perhaps the network asks for a login",
        ),
        (invalid_chunks, "the connection broke off"),
        (no_http, "its answer is not HTTP"),
        (hang_up, "it closed the connection without an answer"),
    ],
)
def test_an_answer_that_is_not_the_file(
    server: Server, tmp_path: Path, answer: Answer, reason: str
) -> None:
    server.answers["file"] = answer
    with pytest.raises(DownloadError, match=rf"^{re.escape(reason)}$"):
        get(f"{server.url}file", tmp_path)


def test_a_gzip_file_that_the_server_calls_a_coding_is_not_unpacked(
    server: Server, tmp_path: Path
) -> None:
    server.answers["file"] = lambda handler: handler.send(Content_Encoding="gzip")
    assert get(f"{server.url}file", tmp_path) == CONTENT


def redirect(to: str, status: int = 302) -> Answer:
    return lambda handler: handler.send(b"", status, Location=to)


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.answers |= {
        "1": redirect("/2", 301),
        "2": redirect("3", 303),
        "3": redirect(f"{server.url}4", 307),
        "4": redirect(f"//127.0.0.1:{server.server_port}/5", 308),
        "5": Handler.send,
    }
    assert get(f"{server.url}1", tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://example.org/file", "it redirects to http://example.org/file, which is not https"),
        ("file:///etc/passwd", "it redirects to file:///etc/passwd, which is not https"),
        ("ftp://127.0.0.1/file", "it redirects to ftp://127.0.0.1/file, which is not https"),
        ("//127.0.0.1.example.org/", r"it redirects to http://127.0.0.1.example.org/, which is"),
        ("http://[::1/", "Invalid IPv6 URL"),
        ("/file", "it redirects more than 5 times"),
        ("/\xff", "'utf-8' codec can't decode"),
    ],
)
def test_redirects_that_are_refused(
    server: Server, tmp_path: Path, target: str, reason: str
) -> None:
    server.answers["file"] = redirect(target)
    with pytest.raises(DownloadError, match=f"^{re.escape(reason)}"):
        get(f"{server.url}file", tmp_path)


def test_https(secure: Server, server: Server, tmp_path: Path) -> None:
    server.answers["file"] = Handler.send
    secure.answers |= {
        "file": Handler.send,
        "there": redirect("/file"),
        "down": redirect(f"{server.url}file"),
    }
    assert get(f"{secure.url}there", tmp_path) == CONTENT
    with pytest.raises(DownloadError, match=f"it redirects to {server.url}file, which is not"):
        get(f"{secure.url}down", tmp_path)
    assert not server.asked
    server.answers["up"] = redirect(f"{secure.url}file")
    assert get(f"{server.url}up", tmp_path) == CONTENT


def test_errors_of_tls(
    secure: Server, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.answers["file"] = Handler.send
    with pytest.raises(DownloadError, match=r"its certificate is not accepted: .*localhost"):
        get(f"{secure.url.replace('127.0.0.1', 'localhost')}file", tmp_path)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(DownloadError, match=r"its certificate is not accepted: self.signed"):
        get(f"{secure.url}file", tmp_path)
    with pytest.raises(DownloadError, match="no connection by TLS"):
        get(f"{server.url.replace('http', 'https')}file", tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))
    with pytest.raises(DownloadError, match=f"TLS CA certificate bundle.*{tmp_path / 'none'}"):
        get(f"{secure.url}file", tmp_path)


def test_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DownloadError, match=r"^the proxy gives no connection$"):
        get("https://example.org/file", tmp_path)
    with pytest.raises(DownloadError, match=r"^no connection$"):
        get("http://127.0.0.1:1/file", tmp_path)
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.delenv("https_proxy")

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match=r"^the host is not found$"):
        get("https://example.org/file", tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_no_fault_of_the_server(server: Server) -> None:
    server.answers["file"] = Handler.send
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(OSError, match="No space left"):
        download.download(f"{server.url}file", Path("/dev/full"), size=len(CONTENT), sha256=sha256)
