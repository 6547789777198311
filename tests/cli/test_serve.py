"""`gpucnn serve`: its address, signals, and what it refuses."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pen
import pytest
from load_client import bodies, load
from selection import slow_except

from gpucnn.data.digits import load_digits
from gpucnn.training import SavedModel

Spawn = Callable[..., subprocess.Popen[str]]
SHORT = ("--data", "digits", "--model", "lenet", "--limit-batches", "2", "--epochs", "1")
DRAWING = pen.png(pen.Pen().draw(pen.HANDWRITINGS[0][3]))


@pytest.fixture
def trained(train_once: Any) -> str:
    assert train_once(*SHORT).code == 0
    return "runs/train-1"


def started(spawn: Spawn, *args: object) -> tuple[subprocess.Popen[str], int]:
    """The process of `gpucnn serve ARGS`, and its port."""
    process = spawn("serve", *args, "--port", 0, "--json")
    assert process.stdout is not None
    event = json.loads(process.stdout.readline())
    assert event["event"] == "serving"
    return process, int(event["address"].rstrip("/").rpartition(":")[2])


def ended(process: subprocess.Popen[str]) -> str:
    """stderr of the process, which ends well and prints no more."""
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, ""), err
    return err


@pytest.mark.parametrize("number", slow_except([signal.SIGTERM, signal.SIGINT], signal.SIGTERM))
def test_a_signal_ends_it_when_all_is_answered(
    spawn: Spawn, trained: str, number: signal.Signals
) -> None:
    """What has begun is answered, as by `predict`; a client that sends nothing does not hold it."""
    process, port = started(spawn, trained)
    Path("drawing.png").write_bytes(DRAWING)
    idle = http.client.HTTPConnection("127.0.0.1", port)
    idle.connect()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as late:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(DRAWING)}\r\n"
        late.sendall(head.encode() + b"Content-Type: image/png\r\n\r\n" + DRAWING[:100])
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        asked.request("GET", "/health")
        assert asked.getresponse().status == 200  # so the request above has begun, too
        process.send_signal(number)
        time.sleep(0.3)
        late.sendall(DRAWING[100:])
        answer = b"".join(iter(lambda: late.recv(65536), b""))
    err = ended(process)
    idle.close()
    asked.close()
    assert err.endswith("Ctrl-C ends the server\n\nthe server has ended\n")
    found = json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"][0]["probabilities"]
    # In a process of its own, as a user's: other tests have run in this one.
    predicted, _ = spawn("predict", trained, "drawing.png", "--json", "--top", 10).communicate()
    event = json.loads(predicted.splitlines()[-1])
    assert found == {each["label"]: each["probability"] for each in event["top"]}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.slow
def test_a_second_signal_does_not_wait_for_answers(spawn: Spawn, trained: str) -> None:
    process, port = started(spawn, trained)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as late:
        late.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n")
        late.sendall(b"Content-Type: image/png\r\n\r\n123")
        time.sleep(0.3)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert ended(process).endswith("Ctrl-C ends the server\n\nthe server has ended\n")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["runs/train-1", "--host", "no such host"], 2, "--host 'no such host' is no address"),
        (["runs/train-1", "--host", "192.0.2.1"], 2, "no address of this machine"),
        (["runs/train-1", "--port", "65536"], 2, "65536"),
        (["runs/train-1", "--batch-size", "0"], 2, "--batch-size"),
        (["runs/train-1", "--weights", "best"], 4, "has no best weights"),
        (["runs/train-2"], 4, "there is no run in runs/train-2"),
        (["runs"], 4, "there is no run in runs"),
        (["runs/train-1/config.toml"], 4, "config.toml"),
        (["runs/train-1", "--device", "tpu"], 2, "tpu"),
        (["runs/train-1", "--convert", "maybe"], 2, "convert"),
    ],
)
def test_what_does_not_fit(
    run: Any, trained: str, args: list[str], code: int, message: str
) -> None:
    result = run("serve", *args)
    assert result.code == code
    assert message in result.err
    assert "Traceback" not in result.err


def test_an_unfinished_run(run: Any, trained: str) -> None:
    shutil.rmtree("runs/train-1/weights")
    result = run("serve", trained)
    assert result.code == 4
    assert "last.safetensors" in result.err


def test_a_port_in_use(run: Any, trained: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run("serve", trained, "--port", port)
    assert result.code == 2
    assert f"port {port} cannot be used" in result.err
    assert "cause: another program uses it" in result.err


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "httptools", "PIL"])
def test_without_the_extra(
    run: Any, trained: str, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == package else found(name)
    )
    result = run("serve", trained)
    assert result.code == 1
    assert 'fix: pip install "gpucnn[serve]"' in result.err


def test_other_machines_and_the_browser(
    run: Any, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("gpucnn.serving.server.run", end)
    local = run("serve", trained, "--port", 0, "--open")
    assert (local.code, opened) == (0, [local.out.strip()])
    assert "other machines" not in local.err
    open_to_all = run("serve", trained, "--port", 0, "--host", "0.0.0.0")
    assert open_to_all.code == 0
    assert "other machines can use this server; it asks for no password" in open_to_all.err
    quiet = run("serve", trained, "--port", 0, "--quiet")
    assert (quiet.code, quiet.err) == (0, "")


def test_another_port_is_taken_if_none_was_asked_for(
    run: Any, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpucnn.serving.server.run", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr("gpucnn.web.USUAL_PORT", other.getsockname()[1])
        result = run("serve", trained)
    assert result.code == 0
    assert str(other) not in result.out
    assert result.out.startswith("http://127.0.0.1:")


@pytest.mark.slow
def test_no_request_is_lost_under_load(spawn: Spawn, trained: str) -> None:
    """A small part of what tests/load_client.py measures on a quiet machine; see docs/serve.md."""
    images = load_digits()[1].images
    saved = SavedModel.load(trained)
    process, port = started(spawn, trained)
    found = asyncio.run(load(f"http://127.0.0.1:{port}/", bodies(images), 2000, 32))
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert found.lost == 0
    assert len(found.latencies) == 2000
    right = [classes[0]["label"] for classes in saved.classify(images, top=1)]
    assert found.labels == {n: {label} for n, label in enumerate(right)}
    assert found.rate > 100, str(found)
    assert np.percentile(found.latencies, 99) < 1.0, str(found)
