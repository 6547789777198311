"""Requests to the server, as functions of bytes; for `fuzz_parsers`."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from pathlib import Path
from typing import Any

from fuzz_files import kept

from gpucnn import nn
from gpucnn.errors import GpucnnError
from gpucnn.serving.app import App
from gpucnn.training import SavedModel, TrainConfig
from gpucnn.training.description import Description


@functools.cache
def _server() -> tuple[App, asyncio.AbstractEventLoop]:
    described = {
        "image_shape": [1, 2, 2],
        "class_names": ["a", "b", "c", "d"],
        "scale": 1 / 255,
        "offset": 0.0,
        "reading": {"image_shape": [1, 2, 2], "convert": "none"},
    }
    model = nn.Flatten().build((1, 2, 2))  # gives the pixels
    path = Path("weights")
    saved = SavedModel(model, path, TrainConfig(), Description.of(described, path))
    app, loop = App(saved), asyncio.new_event_loop()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # as the server does

    class Ending:
        def cleanup(self) -> None:
            app.close()
            loop.close()
            _server.cache_clear()

    kept.append(Ending())
    return app, loop


def ask(data: bytes) -> tuple[int, Any]:
    """The status and the JSON that the server answers to a body.

    Its first bytes tell its content type: JSON, or a form; a zero byte is followed by the type
    itself and a line end, a one by the numbers and brackets of an array. Other bodies are pictures.
    """
    kind, body = b"image/png", data
    if data.startswith((b"[", b"{")):
        kind = b"application/json"
    elif data.startswith(b"--"):
        kind = b"multipart/form-data; boundary=" + data[2:].partition(b"\r\n")[0]
    elif data.startswith(b"\1"):
        kind, body = b"application/json", _array(data[1:])
    elif data.startswith(b"\0"):
        kind, _, body = data[1:].partition(b"\n")
    app, loop = _server()
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/predict", "raw_path": b"/predict", "root_path": "", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", kind.strip())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    loop.run_until_complete(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(part["body"] for part in sent[1:]))


_NUMBERS = (
    "0",
    "1",
    "2",
    "255",
    "256",
    "-1",
    "0.5",
    "1e999",
    "1e-9",
    "true",
    "null",
    '"a"',
)


def _array(data: bytes) -> bytes:
    """An array in JSON: bytes are brackets and numbers, and missing brackets are added."""
    text, depth = "[", 1
    for byte in data:
        if byte % 16 < len(_NUMBERS):
            text += f"{_NUMBERS[byte % 16]},"
        elif byte % 2 or depth == 1:
            text, depth = text + "[", depth + 1
        else:
            text, depth = f"{text.removesuffix(',')}],", depth - 1
    for _ in range(depth):
        text = f"{text.removesuffix(',')}],"
    return text[:-1].encode()


class Answer(GpucnnError):
    """The error in an answer of the server."""


def request(data: bytes) -> None:
    status, answer = ask(data)
    if status != 200:
        assert status in (400, 413, 415, 422), (status, answer)
        error = answer["error"]
        raise Answer(error["message"], cause=error["cause"], fix=error["fix"])
    for each in answer["predictions"]:
        assert set(each["probabilities"]) == {"a", "b", "c", "d"}
