"""`gpucnn explain --html` and `--serve`: files, addresses, signals, and options that do not fit."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from selection import slow_except

from gpucnn.explain import TOPICS, explain
from gpucnn.explain.page import page


def test_a_page_of_one_topic(run: Any) -> None:
    result = run("explain", "conv", "--input", "b=2", "--html", "conv.html")
    assert (result.code, result.out, result.err) == (0, "", "page: conv.html\n")
    assert Path("conv.html").read_text(encoding="utf-8") == page([explain("conv", b=2)])
    assert [path.name for path in Path().iterdir()] == ["conv.html"]


def test_a_page_of_all_topics(run: Any) -> None:
    result = run("explain", "--html", "all.html", "--json", "--quiet")
    assert result.events == [{"event": "page", "topics": list(TOPICS), "file": "all.html"}]
    assert result.err == ""
    assert Path("all.html").read_text(encoding="utf-8") == page([explain(t) for t in TOPICS])


def test_an_error_leaves_the_old_page(run: Any) -> None:
    Path("page.html").write_text("old")
    assert run("explain", "conv", "--input", "b=x", "--html", "page.html").code == 2
    assert Path("page.html").read_text() == "old"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["conv", "--html", "-"], 2, "--html - names no file"),
        (["conv", "--html", "."], 1, ". cannot be written"),
        (["conv", "--html", "none/page.html"], 1, "there is no such directory"),
        (["conv", "--html", "page.html", "--serve"], 2, "--html and --serve exclude each other"),
        (["--serve", "--input", "b=2"], 2, "--input without a topic"),
        (["conv", "--port", "8000"], 2, "--port is for --serve"),
        (["conv", "--open"], 2, "--open is for --serve"),
        (["conv", "--html", "page.html", "--open"], 2, "--open is for --serve"),
        (["conv", "--serve", "--port", "65536"], 2, "65536"),
        (["none", "--serve"], 2, "unknown topic 'none'"),
        (["conv", "--input", "topic=1"], 2, "unknown input 'topic'"),
    ],
)
def test_what_does_not_fit(run: Any, args: list[str], code: int, message: str) -> None:
    result = run("explain", *args)
    assert result.code == code
    assert message in result.err
    assert not Path("page.html").exists()


def test_a_port_in_use(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run("explain", "conv", "--serve", "--port", port)
    assert result.code == 2
    assert f"port {port} cannot be used" in result.err
    assert "cause: another program uses it" in result.err


@pytest.mark.parametrize("number", slow_except([signal.SIGINT, signal.SIGTERM], signal.SIGINT))
def test_a_server_until_a_signal(
    spawn: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = spawn("explain", "conv", "--serve", "--port", 0, "--json", "--input", "b=2")
    assert process.stdout is not None
    serving = json.loads(process.stdout.readline())
    assert serving["event"] == "serving"
    with urlopen(serving["address"], timeout=20) as answer:
        assert answer.read().decode() == page([explain("conv", b=2)], {"b": "2"})
    port = int(serving["address"].rstrip("/").rpartition(":")[2])
    idle = http.client.HTTPConnection("127.0.0.1", port)
    idle.connect()  # a client that sends nothing does not hold the server
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    idle.close()
    assert process.returncode == 0
    assert out == ""
    assert err == "Ctrl-C ends the server\n\nthe server has ended\n"


def test_open_shows_the_page(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def end(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("gpucnn.explain.server.Server.serve_forever", end)
    result = run("explain", "conv", "--serve", "--port", 0, "--open")
    assert result.code == 0
    assert opened == [result.out.strip()]
    quiet = run("explain", "--serve", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")
    assert len(opened) == 1
