"""Servers of models on the loopback interface, in threads of this process, and their client."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpucnn import models
from gpucnn.data import Splits
from gpucnn.serving.app import App
from gpucnn.serving.server import Listener, server
from gpucnn.training import Run, SavedModel, TrainConfig, Trainer, fit_trainer


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
