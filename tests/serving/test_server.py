"""The server: real requests on the loopback interface, good ones and hostile ones."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pen
import pytest
from openapi_spec_validator import validate
from PIL import Image
from serving_client import Answer, Client, served, trained

from gpucnn.data import Dataset, Reading, Splits
from gpucnn.data.digits import load_digits
from gpucnn.errors import DivergedError
from gpucnn.serving import protocol, reading
from gpucnn.training import SavedModel
from gpucnn.web import headers

DRAWINGS = [pen.Pen(seed=n).draw(pen.HANDWRITINGS[0][n]) for n in range(10)]
IMAGES = load_digits()[1].images


def expected(saved: SavedModel, images: Any) -> list[dict[str, float]]:
    """The probabilities that the library gives for images, by class."""
    return [
        {each["label"]: each["probability"] for each in classes}
        for classes in saved.classify(images, top=len(saved.class_names))
    ]


def probabilities(answer: Answer) -> list[dict[str, float]]:
    assert answer.status == 200, answer.body
    for each in answer.json["predictions"]:
        assert each["label"] == next(iter(each["probabilities"]))
        assert each["probability"] == each["probabilities"][each["label"]]
    return [each["probabilities"] for each in answer.json["predictions"]]


def form(*files: tuple[str, bytes], field: str = "file") -> tuple[bytes, str]:
    """The body and content type of a form, as a browser sends it."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join([*parts, b"--edge--\r\n"]), "multipart/form-data; boundary=edge"


def picture(pixels: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(
        file, kind, **options
    )
    return file.getvalue()


def transparent(drawing: Any) -> Image.Image:
    ink = np.zeros((*drawing.shape, 4), np.uint8)
    ink[..., 3] = 255 - drawing
    return Image.fromarray(ink)


def upright(drawing: Any) -> bytes:
    """A photograph that is stored lying on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(np.rot90(drawing), "JPEG", exif=exif)


PICTURES = {
    "gray.png": picture(DRAWINGS[2], "PNG"),
    "color.jpg": picture(np.stack([DRAWINGS[3]] * 3, axis=2), "JPEG", quality=80),
    "transparent.png": picture(transparent(DRAWINGS[4]), "PNG"),
    "chalk.bmp": picture(255 - DRAWINGS[5], "BMP"),
    "drawing.webp": picture(Image.fromarray(DRAWINGS[6]).convert("RGB"), "WEBP"),
    "drawing.gif": picture(DRAWINGS[7], "GIF"),
    "drawing.tif": picture(DRAWINGS[8], "TIFF"),
    "drawing.pgm": picture(DRAWINGS[9], "PPM"),
    "photo.jpg": upright(DRAWINGS[1]),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_gets_the_answer_of_predict(
    client: Client, digits: SavedModel, tmp_path: Path, name: str
) -> None:
    """Bit for bit, however it is sent."""
    (tmp_path / name).write_bytes(PICTURES[name])
    images = digits.find(tmp_path / name, labeled=False).images
    kind = "image/jpeg" if name.endswith("jpg") else "image/png"  # which is not looked at
    assert probabilities(client.predict(PICTURES[name], kind)) == expected(digits, images)
    assert probabilities(client.predict(*form((name, PICTURES[name])))) == expected(digits, images)
    if name.endswith("png"):
        url = "data:image/png;base64," + base64.b64encode(PICTURES[name]).decode()
        assert probabilities(client.predict({"canvas": url})) == expected(digits, images)


def test_several_pictures_in_a_form(client: Client, digits: SavedModel, tmp_path: Path) -> None:
    files = [(f"{n % 2}.png", picture(DRAWINGS[n], "PNG")) for n in range(5)]  # equal names
    found = [digits.find(_written(tmp_path, content)).images for _, content in files]
    answer = client.predict(*form(*files))
    assert probabilities(answer) == expected(digits, np.concatenate(found))


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "one.png"
    path.write_bytes(content)
    return path


def test_notes_stand_beside_their_picture(client: Client) -> None:
    two = np.concatenate([DRAWINGS[2], DRAWINGS[3]], axis=1)
    files = [("one", picture(DRAWINGS[1], "PNG")), ("two", picture(two, "PNG"))]
    answers = client.predict(*form(*files)).json["predictions"]
    assert answers[0]["notes"] == []
    assert "several digits" in answers[1]["notes"][0]


IMAGE = IMAGES[0]  # (1, 28, 28)
SPELLINGS = {
    "rows": IMAGE[0].tolist(),
    "channels first": IMAGE.tolist(),
    "channels last": IMAGE[0, :, :, None].tolist(),
    "a row": IMAGE.reshape(-1).tolist(),
    "a batch of one": IMAGE[None].tolist(),
    "floats": (IMAGE[0] / 255).tolist(),
    "whole floats": IMAGE[0].astype(float).tolist(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_array_of_one_image(client: Client, digits: SavedModel, spelling: str) -> None:
    answer = client.predict(SPELLINGS[spelling])
    assert probabilities(answer) == expected(digits, IMAGES[:1])


@pytest.mark.parametrize("count", [2, 28, 256])
@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (28, 28, 1), (784,)])
def test_an_array_of_many_images(
    client: Client, digits: SavedModel, count: int, shape: tuple[int, ...]
) -> None:
    body = IMAGES[:count].reshape(count, *shape).tolist()
    assert probabilities(client.predict(body)) == expected(digits, IMAGES[:count])


def test_the_layers_of_an_image(client: Client, digits: SavedModel) -> None:
    answer = client.predict(picture(DRAWINGS[7], "PNG"), "image/png", "?layers=1").json
    seen = Image.open(io.BytesIO(base64.b64decode(answer["input"].partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(seen), pen_input(digits, DRAWINGS[7]))
    assert [layer["name"] for layer in answer["layers"]] == [
        "conv1 (Conv2d, relu)", "conv2 (Conv2d, relu)"
    ]  # fmt: skip
    assert [layer["shape"] for layer in answer["layers"]] == [[6, 28, 28], [16, 10, 10]]
    first = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(answer["layers"][0]["maps"][0].partition(",")[2])))
    )
    assert first.shape == (28, 28, 3)
    assert (first[..., 0] >= first[..., 2]).all()  # after a ReLU nothing is blue


def pen_input(saved: SavedModel, drawing: Any) -> Any:
    upload = reading.Upload(picture(drawing, "PNG"), "drawing", 10**6)
    return saved.read_picture(upload).images[0, 0]


# ---- what is refused -------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    """The head of a PNG file of a size, with next to no data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


GRAY = picture(DRAWINGS[0], "PNG")
NESTED = b"[" * 200_000 + b"]" * 200_000
REFUSED: dict[str, tuple[bytes, str, int, str]] = {
    "no picture": (b"hello", "image/png", 400, "cannot be read as a picture"),
    "no bytes": (b"", "image/png", 400, "cannot be read as a picture"),
    "a script": (b"<svg onload=alert(1)>", "image/svg+xml", 400, "cannot be read as a picture"),
    "a truncated picture": (GRAY[: len(GRAY) // 2], "image/png", 400, "cannot be read"),
    "a format that is not named": (picture(DRAWINGS[0], "ICO"), "image/x-icon", 400, "cannot be"),
    "a decompression bomb": (png_of(60_000, 60_000), "image/png", 400, "cannot be read"),
    "more pixels than are read": (png_of(9_000, 9_000), "image/png", 400, "9000 x 9000 pixels"),
    "16 bits": (picture(np.zeros((9, 9), np.uint16), "PNG"), "image/png", 400, "8 bits"),
    "a blank picture": (
        picture(np.full((90, 90), 255, np.uint8), "PNG"), "image/png", 400, "the picture is blank"
    ),
    "one pixel": (picture(np.zeros((1, 1), np.uint8), "PNG"), "image/png", 400, "is blank"),
    "no JSON": (b"[1, 2", "application/json", 400, "the body is no JSON"),
    "no text": (b"\xff\xfe\xfa", "application/json", 400, "the body is no JSON"),
    "nothing": (b"", "application/json", 400, "the body is no JSON"),
    "deep nesting": (NESTED, "application/json", 400, "the body is no JSON"),
    "deep objects": (b'{"a":' * 50_000, "application/json", 400, "the body is no JSON"),
    "NaN": (b"[[NaN]]", "application/json", 400, "the body is no JSON"),
    "infinity": (b"[" + b"1e999, " * 783 + b"1]", "application/json", 400, "holds inf"),
    "a long number": (b"[[" + b"9" * 5000 + b"]]", "application/json", 400, "the body is no JSON"),
    "a large number": (b"[[" + b"9" * 300 + b"]]", "application/json", 400, "no array of numbers"),
    "ragged rows": (b"[[1, 2], [3]]", "application/json", 400, "not rectangular"),
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
    "another kind": (GRAY, "application/x-www-form-urlencoded", 415, "the content type is"),
    "no kind": (GRAY, "", 415, "no content type"),
    "a form without an edge": (form(("a", GRAY))[0], "multipart/form-data", 400, "form"),
    "a form of another edge": (
        form(("a", GRAY))[0], "multipart/form-data; boundary=other", 400, "form"
    ),
    "a form without a file": (
        b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\nhello\r\n--edge--\r\n',
        "multipart/form-data; boundary=edge", 400, "the form has no files",
    ),
    "a form that ends early": (
        form(("a", GRAY))[0][:300], "multipart/form-data; boundary=edge", 400, "form"
    ),
    "too many files": (*form(*[("a", b"")] * 300), 400, "the form has 300 files"),
    "a file that is no picture": (
        *form(("a", GRAY), ("b.txt", b"hello")), 400, "b.txt cannot be read as a picture"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(client: Client, name: str) -> None:
    body, kind, status, message = REFUSED[name]
    answer = client.predict(body, kind)
    assert answer.status == status, answer.body[:500]
    error = answer.error
    assert set(error) == {"kind", "message", "cause", "fix"}
    assert message in f"{error['message']} {error['cause']}"
    assert error["fix"]
    assert "Traceback" not in str(error)
    assert " at 0x" not in str(error)  # no object of Python
    assert client("/health").status == 200


@pytest.mark.parametrize("query", ["?layers=2", "?layer=1", "?layers=1&layers=1", "?a=%ff", "?="])
def test_a_query_that_is_not_understood(client: Client, query: str) -> None:
    answer = client.predict(SPELLINGS["rows"], query=query)
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


# ---- sizes and times -------------------------------------------------------------------------


def raw(client: Client, *pieces: bytes) -> bytes:
    """What the server answers to bytes, which are sent piece by piece, until it closes."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


def test_a_body_that_is_too_large_is_not_read(client: Client) -> None:
    for kind, most in (("image/png", reading.MOST_BYTES), ("application/json", 5 << 20)):
        head = HEAD + f"Content-Type: {kind}\r\nContent-Length: {most + 1}\r\n\r\n".encode()
        answer = raw(client, head)
        assert b" 413 " in answer
        assert b"the request is too large" in answer


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
    body = json.dumps(SPELLINGS["rows"]).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    request = head.encode() + b"Content-Type: application/json\r\n\r\n" + body
    last = request.replace(b"localhost", b"localhost\r\nConnection: close", 1)
    assert raw(client, request + request[:50], request[50:], request, last).count(b" 200 OK") == 4


# ---- many requests ---------------------------------------------------------------------------


def test_requests_at_the_same_time_get_their_own_answers(
    client: Client, digits: SavedModel
) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda image: client.predict(image.tolist()), IMAGES[:64]))
    found = np.array([[p[name] for name in digits.class_names]
                      for answer in answers for p in probabilities(answer)])  # fmt: skip
    # The bits of a product depend on the number of rows; LeNet's longest sum has 400 terms.
    np.testing.assert_allclose(found, digits.predict(IMAGES[:64]), atol=400 * 2**-23)


def test_a_batch_size_of_1_gives_the_same_bits_at_any_load(digits: SavedModel) -> None:
    with served(digits, batch_size=1) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda image: client.predict(image.tolist()), IMAGES[:64]))
    for answer, image in zip(answers, IMAGES, strict=False):
        assert probabilities(answer) == expected(digits, image[None])


# ---- other models ----------------------------------------------------------------------------


def test_a_model_of_colors(untaught: Callable[..., SavedModel], tmp_path: Path) -> None:
    names = ["a b", "<script>", "日本", "x" * 300]
    saved = untaught((3, 8, 6), names, Reading(image_shape=(3, 8, 6), convert="none"))
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    (tmp_path / "p.png").write_bytes(content := picture(pixels, "PNG"))
    images = saved.find(tmp_path / "p.png").images
    with served(saved) as client:
        answer = client.predict(content, "image/png", "?layers=1")
        assert probabilities(answer) == expected(saved, images)
        assert answer.json["layers"] == []
        for array in (images[0], images[0].transpose(1, 2, 0), images):
            assert probabilities(client.predict(array.tolist())) == expected(saved, images)
        page = client("/").body.decode()
        assert '"way": "picture"' in page
        assert "\\u003cscript>" in page
        assert client("/health").json["classes"] == names


def test_a_model_of_gray_arrays_takes_no_pictures(untaught: Callable[..., SavedModel]) -> None:
    saved = untaught((1, 8, 8), ["no", "yes"], Reading(image_shape=(1, 8, 8)))
    with served(saved) as client:
        answer = client.predict(GRAY, "image/png")
        assert answer.status == 400
        assert "--convert" in answer.error["fix"]
        assert '"way": "none"' in client("/").body.decode()
        assert client.predict([[0] * 8] * 8).status == 200
    with served(saved, reading=Reading(convert="none")) as client:
        assert client.predict(GRAY, "image/png").status == 200
        assert '"way": "picture"' in client("/").body.decode()


def test_a_model_of_floats(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    part = Dataset("rows", rows, np.arange(20) % 2, 2, ["low", "high"])
    saved = trained(tmp_path, "softmax", Splits(part))
    with served(saved) as client:
        answer = client.predict(rows[:3].tolist())
        assert probabilities(answer) == expected(saved, rows[:3])
        assert probabilities(client.predict([1, 2, 3, 4, -5])) == expected(
            saved, np.float32([[1, 2, 3, 4, -5]])
        )
        assert client.predict([[1, 2]]).status == 400
        assert client.predict([1e999, 2, 3, 4, 5]).status == 400
        assert client.predict([3e38, -3e38, 3e38, 3e38, 3e38]).status in (200, 422)
        assert client.predict(GRAY, "image/png").status == 400
        assert '"way": "none"' in client("/").body.decode()


def test_62_classes_and_one_channel(untaught: Callable[..., SavedModel]) -> None:
    names = [chr(33 + n) for n in range(62)]
    saved = untaught((1, 28, 28), names, Reading(convert="mnist"))
    with served(saved) as client:
        (found,) = probabilities(client.predict(GRAY, "image/png"))
        assert sorted(found) == sorted(names)


def test_outputs_that_are_not_finite(digits: SavedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: Any, **__: Any) -> None:
        raise DivergedError("what the model says of the images is not finite", fix="train again")

    with served(digits) as client:
        monkeypatch.setattr(SavedModel, "classify", diverge)
        answer = client.predict(SPELLINGS["rows"])
    assert answer.status == 422
    assert answer.error["kind"] == "diverged"


def test_a_bug_is_no_traceback_for_the_client(
    digits: SavedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(digits) as client:
        monkeypatch.setattr(SavedModel, "classify", lambda *_, **__: 1 / 0)
        answer = client.predict(SPELLINGS["rows"])
    assert answer.status == 500
    assert "bug" in answer.error["cause"]
    assert "ZeroDivisionError" not in answer.body.decode()
    assert "ZeroDivisionError" in caplog.text  # on stderr of the server


# ---- the description -------------------------------------------------------------------------


def test_the_description_is_one_of_openapi(client: Client) -> None:
    description = client("/openapi.json").json
    assert description["openapi"] == "3.1.0"
    validate(description)


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ("Health", lambda ask: ask("/health")),
        ("Answer", lambda ask: ask.predict(SPELLINGS["rows"])),
        ("Answer", lambda ask: ask.predict(GRAY, "image/png", "?layers=1")),
        ("Problem", lambda ask: ask.predict([])),
        ("Problem", lambda ask: ask("/no")),
    ],
)
def test_answers_are_as_described(
    client: Client, schema: str, answer: Callable[[Client], Answer]
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    components = client("/openapi.json").json["components"]
    described = {"$ref": f"#/components/schemas/{schema}", "components": components}
    jsonschema.Draft202012Validator(described).validate(answer(client).json)
