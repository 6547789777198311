"""Hostile requests: each gets an error in JSON, and the server goes on."""

from __future__ import annotations

import gzip
import json
import re
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from serving_client import DRAWING, DRAWINGS, IMAGES, Client, form, picture

from gpucnn.serving import reading
from gpucnn.training import SavedModel
from gpucnn.web import headers


def png_of(width: int, height: int) -> bytes:
    """The head of a PNG file of a size, with next to no data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


NESTED = b"[" * 200_000 + b"]" * 200_000
REFUSED: dict[str, tuple[bytes, str, int, str]] = {
    "no picture": (b"hello", "image/png", 400, "cannot be read as a picture"),
    "no bytes": (b"", "image/png", 400, "cannot be read as a picture"),
    "a script": (b"<svg onload=alert(1)>", "image/svg+xml", 400, "cannot be read as a picture"),
    "a truncated picture": (DRAWING[: len(DRAWING) // 2], "image/png", 400, "cannot be read"),
    "a format that is not named": (picture(DRAWINGS[0], "ICO"), "image/x-icon", 400, "cannot be"),
    "a decompression bomb": (png_of(60_000, 60_000), "image/png", 400, "at most 25,000,000"),
    "more pixels than are read": (png_of(9_000, 9_000), "image/png", 400, "9000 x 9000 pixels"),
    "16 bits": (picture(np.zeros((9, 9), np.uint16), "PNG"), "image/png", 400, "8 bits"),
    "a blank picture": (
        picture(np.full((90, 90), 255, np.uint8), "PNG"), "image/png", 400, "the upload is blank"
    ),
    "a thin picture": (
        picture(np.full((5000, 3), 9, np.uint8), "PNG"), "image/png", 400, "is blank"
    ),
    "a long picture": (png_of(1, 30_001), "image/png", 400, "1 x 30001 pixels"),
    "one pixel": (picture(np.zeros((1, 1), np.uint8), "PNG"), "image/png", 400, "is blank"),
    "no JSON": (b"[1, 2", "application/json", 400, "the body is no JSON"),
    "no text": (b"\xff\xfe[", "application/json", 400, "it is no text in UTF-8"),
    "nothing": (b"", "application/json", 400, "the body is no JSON"),
    "deep nesting": (NESTED, "application/json", 400, "the body is no JSON"),
    "deep objects": (b'{"a":' * 50_000, "application/json", 400, "the body is no JSON"),
    "NaN": (b"[[NaN]]", "application/json", 400, "the body is no JSON"),
    "infinity": (b"[" + b"1e999, " * 783 + b"1]", "application/json", 400, "holds inf"),
    "a long number": (b"[[" + b"9" * 5000 + b"]]", "application/json", 400, "too many digits"),
    "a large number": (b"[[" + b"9" * 300 + b"]]", "application/json", 400, "no array of numbers"),
    "ragged rows": (b"[[1, 2], [3]]", "application/json", 400, "its lists differ in length"),
    "numbers beside rows": (b"[[1, 2], 3]", "application/json", 400, "its lists differ in length"),
    "a number no float has": (
        b"[1.5, " + b"9" * 400 + b"]", "application/json", 400, "no array of numbers"
    ),
    "texts, of which one is long": (
        json.dumps(["x" * 20_000] + ["a"] * 200_000).encode(), "application/json", 400, "no array"
    ),
    "a long text after numbers": (
        json.dumps([1] * 100_000 + ["x" * 300_000]).encode(), "application/json", 400, "no array"
    ),
    "a long text beside rows": (
        json.dumps([[1] * 100_000, "x" * 300_000]).encode(), "application/json", 400, "no array"
    ),
    "a text that is a number": (b'[["1", 2]]', "application/json", 400, "no array of numbers"),
    "null after a number": (b"[1.5, null]", "application/json", 400, "no array of numbers"),
    "an object after rows": (b'[[1], {"a": 1}]', "application/json", 400, "no array of numbers"),
    "an integer of no dtype": (b"[[1, 98765432109876543210]]", "application/json", 400, "array of"),
    "ragged deep in it": (b"[[[1], [2]], [[3], [4, 5]]]", "application/json", 400, "its lists"),
    "empty rows beside others": (b"[[1], []]", "application/json", 400, "its lists differ"),
    "very many lists": (
        b"[" + b"[]," * 500_000 + b"[]]", "application/json", 413, "the body has 500,002 lists"
    ),
    "very many objects": (
        b"[" + b"{}," * 500_000 + b"{}]", "application/json", 413, "at most 401,408 are read"
    ),
    "words": (b'[["a", "b"]]', "application/json", 400, "no array of numbers"),
    "null": (b"[[null]]", "application/json", 400, "no array of numbers"),
    "objects": (b'[[{"a": 1}]]', "application/json", 400, "no array of numbers"),
    "a number": (b"7", "application/json", 400, "no array of numbers"),
    "a word": (b'"x"', "application/json", 400, "no array of numbers"),
    "an empty array": (b"[]", "application/json", 400, "no array of numbers"),
    "empty rows": (b"[[], []]", "application/json", 400, "no array of numbers"),
    "another shape": (json.dumps([[0] * 27] * 28).encode(), "application/json", 400, "27"),
    "many axes": (b"[" * 40 + b"1" + b"]" * 40, "application/json", 400, "shape"),
    "more axes than NumPy has": (b"[" * 80 + b"1" + b"]" * 80, "application/json", 400, "array"),
    "negative pixels": (json.dumps([-1] * 784).encode(), "application/json", 400, "holds -1"),
    "large pixels": (json.dumps([256] * 784).encode(), "application/json", 400, "holds 256"),
    "too many images": (json.dumps([[0] * 784] * 257).encode(), "application/json", 413, "257"),
    "an object": (b"{}", "application/json", 400, "the object is no drawing"),
    "another object": (b'{"canvas": 1}', "application/json", 400, "the object is no drawing"),
    "more in an object": (
        b'{"canvas": "data:image/png;base64,", "x": 1}', "application/json", 400, "no drawing"
    ),
    "an address": (b'{"canvas": "file:///etc/passwd"}', "application/json", 400, "no drawing"),
    "no base64": (
        b'{"canvas": "data:image/png;base64,?"}', "application/json", 400, "no drawing"
    ),
    "an empty drawing": (
        b'{"canvas": "data:image/png;base64,"}', "application/json", 400, "the drawing cannot be"
    ),
    "another kind": (DRAWING, "application/x-www-form-urlencoded", 415, "the content type is"),
    "no kind": (DRAWING, "", 415, "no content type"),
    "a form without an edge": (form(("a", DRAWING))[0], "multipart/form-data", 400, "form"),
    "a form of another edge": (
        form(("a", DRAWING))[0], "multipart/form-data; boundary=other", 400, "form"
    ),
    "a form without a file": (
        b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\nhello\r\n--edge--\r\n',
        "multipart/form-data; boundary=edge", 400, "the form has no files",
    ),
    "a form of wrong lines": (
        form(("a", DRAWING))[0].replace(b"\r\n", b"\n"), "multipart/form-data; boundary=edge", 400,
        "form",
    ),
    "a form that ends early": (
        form(("a", DRAWING))[0][:300], "multipart/form-data; boundary=edge", 400, "form"
    ),
    "too many files": (*form(*[("a", b"")] * 300), 400, "the form has 300 files"),
    "a form of very many parts": (
        b"--edge\r\nA:\r\n\r\n\r\n" * 2000 + b"--edge--\r\n",
        "multipart/form-data; boundary=edge", 400, "it has more than 1,024 parts",
    ),
    "a form of very many headers": (
        b"--edge\r\n" + b"A: b\r\n" * 2000 + b"\r\n\r\n--edge--\r\n",
        "multipart/form-data; boundary=edge", 400, "the form cannot be read",
    ),
    "a form of a long header": (
        b"--edge\r\nA: " + b"b" * 5000 + b"\r\n\r\n\r\n--edge--\r\n",
        "multipart/form-data; boundary=edge", 400, "the form cannot be read",
    ),
    "a file that is no picture": (
        *form(("a", DRAWING), ("b.txt", b"hello")), 400, "b.txt cannot be read as a picture"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(client: Client, caplog: pytest.LogCaptureFixture, name: str) -> None:
    body, kind, status, message = REFUSED[name]
    answer = client.predict(body, kind)
    assert answer.status == status, answer.body[:500]
    error = answer.error
    assert set(error) == {"kind", "message", "cause", "fix"}
    assert message in f"{error['message']} {error['cause']}"
    assert error["fix"]
    assert "Traceback" not in str(error)
    # No object of Python, and no words of its libraries.
    assert not re.search(r" at 0x|codec|sys\.|inhomogeneous|178956970", str(error))
    assert caplog.text == ""  # a client cannot fill the terminal of the server
    assert client("/health").status == 200


@pytest.mark.parametrize("count", [784, 40_000])  # on the event loop, and in a thread
def test_a_body_that_does_not_fit_into_memory(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    def fail(value: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(reading, "_numbers", fail)
    answer = client.predict([0] * count)
    assert answer.status == 503
    assert answer.error["message"] == "the server has no memory for the request"
    assert caplog.text == ""


def test_requests_are_read_in_turns(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture waits for no form of many pictures, and the event loop for no body."""
    asked: list[str] = []
    read: list[str] = []
    begun, go = threading.Event(), threading.Event()

    async def ask(bodies: Any, function: Any, *values: Any) -> Any:
        asked.append(function.__name__)
        if len(asked) == 3:
            go.set()
        return await original(bodies, function, *values)

    def read_picture(saved: SavedModel, picture: Any, *rest: Any) -> Any:
        read.append(picture.name)
        begun.set()
        assert go.wait(10)
        return of_model(saved, picture, *rest)

    original, of_model = reading.Bodies._read, SavedModel.read_picture
    monkeypatch.setattr(reading.Bodies, "_read", ask)
    monkeypatch.setattr(SavedModel, "read_picture", read_picture)
    with ThreadPoolExecutor(1) as pool:
        many = pool.submit(client.predict, *form(*[(f"{n}.png", DRAWING) for n in range(3)]))
        assert begun.wait(10)
        assert client.predict(DRAWING, "image/png").status == 200
        assert len(many.result().json["predictions"]) == 3
    assert asked[:3] == ["files", "_picture", "_picture"]
    assert read == ["0.png", "the upload", "1.png", "2.png"]


@pytest.mark.parametrize("coding", ["gzip", "br", "x\x1b" + "y" * 500])
def test_a_compressed_body(client: Client, coding: str) -> None:
    body = gzip.compress(json.dumps(IMAGES[0].tolist()).encode())
    answer = client("/predict", body, Content_Type="application/json", Content_Encoding=coding)
    assert answer.status in (400, 415)  # 400 for a header that is none
    if coding == "gzip":
        assert answer.error["message"] == (
            "the content encoding is gzip, and bodies are read as they are"
        )
    plain = client("/predict", b"[0]", Content_Type="application/json", Content_Encoding="identity")
    assert "array" in plain.error["message"]


@pytest.mark.parametrize("query", ["?layers=2", "?layer=1", "?layers=1&layers=1", "?a=%ff", "?="])
def test_a_query_that_is_not_understood(client: Client, query: str) -> None:
    answer = client.predict(IMAGES[0].tolist(), query=query)
    assert answer.status == 400
    assert answer.error["message"] == "the query is not understood"


def test_layers_of_several_images(client: Client) -> None:
    answer = client.predict(IMAGES[:2].tolist(), query="?layers=1")
    assert answer.status == 400
    assert "layers are shown of one image, and there are 2" in answer.error["message"]


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("GET", "/predict", {"POST"}),
        ("DELETE", "/predict", {"POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("PUT", "/", {"GET", "HEAD"}),
        ("OPTIONS", "/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_other_methods(client: Client, method: str, target: str, allowed: set[str]) -> None:
    answer = client(target, method=method)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert f"{target} does not answer {method}" in answer.error["message"]


@pytest.mark.parametrize(
    "target", ["/index.html", "/predict/", "/../etc/passwd", "/%2e%2e/etc/passwd", "/docs", "//"]
)
def test_other_paths(client: Client, target: str) -> None:
    answer = client(target)
    assert answer.status == 404
    assert answer.error["message"] == "there is nothing at this address"


@pytest.mark.parametrize(
    "host", ["example.com", "127.0.0.1.example.com", "localhost@example.org", "10.0.0.1", "[", ""]
)
def test_other_hosts(client: Client, host: str) -> None:
    answer = client("/", Host=host)
    assert answer.status == 403
    assert answer.error["message"] == "the host is not this machine"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:1234", "[::1]:80"])
def test_hosts_of_this_machine(client: Client, host: str) -> None:
    assert client("/", Host=host).status == 200


def test_the_pages_of_other_sites_cannot_ask(client: Client) -> None:
    own = f"127.0.0.1:{client.port}"
    assert client("/health", Host=own, Origin=f"http://{own}").status == 200
    for origin in ("http://example.com", "null", f"http://localhost:{client.port}", "http://"):
        answer = client("/health", Host=own, Origin=origin)
        assert answer.status == 403
        assert "another site" in answer.error["message"]


def test_every_answer_has_the_headers_of_a_page(client: Client) -> None:
    page = client("/")
    policy = page.headers["Content-Security-Policy"].removesuffix("; frame-ancestors 'none'")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for answer in (
        page,
        client("/health"),
        client("/no"),
        client("/", Host="x"),
        client("/predict"),
    ):
        assert headers(policy).items() <= dict(answer.headers.items()).items() | {
            (name, answer.headers[name]) for name in headers(policy)
        }
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Server" not in answer.headers
