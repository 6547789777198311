"""Servers of models on the loopback interface, in threads of this process, and their client."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pen
from PIL import Image

from gpucnn import models
from gpucnn.data import Splits
from gpucnn.data.digits import load_digits
from gpucnn.serving.app import App
from gpucnn.serving.server import Listener, server
from gpucnn.training import Run, SavedModel, TrainConfig, Trainer, fit_trainer

IMAGES = load_digits()[1].images
DRAWINGS = [pen.Pen(seed=n).draw(pen.HANDWRITINGS[0][n]) for n in range(10)]


@dataclass
class Answer:
    """What the server answered."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


@dataclass
class Client:
    """Sends requests to a server, each over a connection of its own."""

    port: int

    def __call__(
        self,
        target: str,
        body: bytes | str | None = None,
        method: str | None = None,
        **headers: str,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), target, body, named)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.read(), answer.headers)
        connection.close()
        return found

    def predict(self, body: Any, kind: str = "application/json", query: str = "") -> Answer:
        """The answer to a body: bytes, or JSON values."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return self(f"/predict{query}", body, Content_Type=kind)


@contextlib.contextmanager
def served(saved: SavedModel, **options: Any) -> Iterator[Client]:
    """A server of a model; the options are those of `App`."""
    listener = Listener(port=0)
    app = App(saved, is_own=listener.is_own, **options)
    running = server(app)
    thread = threading.Thread(target=running.run, args=([listener.socket],))
    thread.start()
    try:
        yield Client(listener.socket.getsockname()[1])
    finally:
        running.should_exit = True
        thread.join()
        app.close()


def trained(folder: Path, model: str, splits: Splits, **options: Any) -> SavedModel:
    """A model trained on data; its run is in the folder."""
    config = TrainConfig(
        data="digits", model=model, device="cpu", runs_dir=str(folder), **{"epochs": 1, **options}
    )
    trainer = Trainer(models.get(model, splits.classes), splits, config)
    run = Run.create(config, trainer.backend)
    fit_trainer(trainer, [], run=run)
    return SavedModel.load(run.path)


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


DRAWING = picture(DRAWINGS[0], "PNG")
