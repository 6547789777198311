"""Fetching from $GPUCNN_MIRROR; fetches that fail, are interrupted, killed or at once."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from processes import environment
from run_files import nested
from web_server import Handler, Server

from gpucnn.cli import doctor, outcome
from gpucnn.cli.downloads import DownloadProgress
from gpucnn.cli.main import main
from gpucnn.cli.output import Console
from gpucnn.cli.preparation import load as read
from gpucnn.data import download, load, sources
from gpucnn.data.download_folder import temporary_folder
from gpucnn.errors import DataError, StorageError, UsageError
from gpucnn.training import TrainConfig

pytestmark = pytest.mark.usefixtures("cache")

ALL_GZ = sorted(f"{name}.gz" for name in sources.FILES)
FIRST = ALL_GZ[2]  # train-images
FIRST_SIZE = sources.SOURCES["mnist"].sizes[0]  # not of the stand-in, which other processes lack
TOGETHER = """
import json, sys
from gpucnn.data import sources
sources.SOURCES["mnist"] = sources.Source(**json.loads(sys.argv[1]))
sys.stdin.readline()
sources.fetch("mnist")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_mirror_of_the_environment_alone_is_asked(
    mirror: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, slash: str
) -> None:
    elsewhere = mirror.folder / "deep" / "er"
    elsewhere.mkdir(parents=True)
    (mirror.folder / "mnist").rename(elsewhere / "mnist")
    monkeypatch.setenv("GPUCNN_MIRROR", f"{mirror.url}deep/er{slash}")
    assert len(load("mnist", validation=0).train) == 12
    assert names(cache / "mnist") == ALL_GZ
    (cache / "mnist" / FIRST).unlink()
    mirror.asked.clear()
    monkeypatch.setenv("GPUCNN_MIRROR", f"{mirror.url}deep")
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        load("mnist")
    assert caught.value.cause == f"{mirror.url}deep/mnist/: HTTP status 404"
    assert str(caught.value.fix).startswith("check GPUCNN_MIRROR")
    assert mirror.asked == {FIRST: 1}  # not at the place that has it
    monkeypatch.setenv("GPUCNN_MIRROR", "")  # as if unset
    with pytest.raises(DataError) as caught:
        load("mnist")
    assert "GPUCNN_MIRROR" not in str(caught.value)


def test_a_folder_that_was_fetched_into_is_a_mirror(
    mirror: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    assert sources.fetch("mnist", site) == site / "mnist"
    mirror.folder = site
    monkeypatch.setenv("GPUCNN_MIRROR", mirror.url)
    assert sources.fetch("mnist") == cache / "mnist"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "HTTPS://example.org:8443/a/b/",
        "https://[2001:db8::1]/",
        "http://localhost:8000",
        "http://127.0.0.1:8000/data",
        "http://127.9.8.7",
        "http://[::1]:8000/",
    ],
)
def test_mirrors(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("GPUCNN_MIRROR", url)
    assert download.mirror() == url.rstrip("/") + "/"


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://example.org/", "http is for this machine only"),
        ("http://127.0.0.1.example.org/", "http is for this machine only"),
        ("http://localhost.example.org/", "http is for this machine only"),
        ("http://192.168.0.1/", "http is for this machine only"),
        ("http://0.0.0.0/", "http is for this machine only"),
        ("http://2130706433/", "http is for this machine only"),
        ("example.org/data", "it must begin with https://"),
        ("/srv/data", "it must begin with https://"),
        ("file:///srv/data", "it must begin with https://"),
        ("ftp://example.org", "it must begin with https://"),
        ("https://", "it must begin with https://"),
        ("https:///data", "it must begin with https://"),
        ("1", "it must begin with https://"),
        ("https://[::1/", "it is no URL"),
        ("https://example.org:port/", "it is no URL"),
        ("https://example.org:99999/", "it is no URL"),
        ("https://example.org/a b", "a URL has no spaces"),
        ("https://exam\nple.org/", "a URL has no spaces"),
        ("https://example.org\\@127.0.0.1/", "a URL has no spaces"),
        ("https://me:secret@example.org/", "it has a user name or a password"),
        ("https://example.org/?set=", "the names of files are added at its end"),
        ("https://example.org/#", "the names of files are added at its end"),
    ],
)
def test_other_mirrors_are_refused(
    mirror: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, url: str, cause: str
) -> None:
    monkeypatch.setenv("GPUCNN_MIRROR", url)
    with pytest.raises(UsageError, match="GPUCNN_MIRROR cannot be used") as caught:
        sources.fetch("mnist")
    assert str(caught.value.cause).startswith(cause)
    assert "https://example.org/data" in str(caught.value.fix)
    assert "secret" not in str(caught.value)
    assert not mirror.asked
    assert not cache.exists()
    monkeypatch.delenv("GPUCNN_MIRROR")
    sources.fetch("mnist")
    monkeypatch.setenv("GPUCNN_MIRROR", url)
    assert len(load("mnist", validation=0).train) == 12  # nothing is missing


def test_the_next_mirror_gives_what_the_first_does_not(
    mirror: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file fails in another way, after bytes that are not to be kept."""
    contents = {name: (mirror.folder / "mnist" / name).read_bytes() for name in ALL_GZ}
    for name, answer in zip(
        ALL_GZ,
        (
            lambda handler, body: handler.send(status=404),
            lambda handler, body: handler.send(body[:-1], length=len(body)),
            lambda handler, body: handler.send(body[::-1]),
            lambda handler, body: handler.send(body + b"more"),
        ),
        strict=True,
    ):
        mirror.answers[f"bad/{name}"] = lambda handler, answer=answer, name=name: answer(
            handler, contents[name]
        )
    both = (f"{mirror.url}bad/", f"{mirror.url}mnist/")
    changed = replace(sources.SOURCES["mnist"], mirrors=both)
    monkeypatch.setitem(sources.SOURCES, "mnist", changed)
    sources.fetch("mnist")
    assert {name: (cache / "mnist" / name).read_bytes() for name in names(cache / "mnist")} == (
        contents
    )
    assert set(mirror.asked.values()) == {2}


def test_progress_is_told(mirror: Server) -> None:
    told: list[tuple[str, int, int]] = []
    before = download.watching.set(lambda *now: told.append(now))
    try:
        sources.fetch("mnist")
    finally:
        download.watching.reset(before)
    sizes = sources.SOURCES["mnist"].sizes
    assert dict.fromkeys(name for name, _, _ in told) == dict.fromkeys(
        f"{file}.gz" for file in sources.FILES
    )
    assert [now for now in told if now[1] == now[2]] == [
        (f"{file}.gz", size, size) for file, size in zip(sources.FILES, sizes, strict=True)
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_command_shows_the_progress(
    mirror: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fetch = ["data", "fetch", "mnist", "--data-dir"]
    lines = [
        f"downloading {file}.gz ({size:,} bytes)"
        for file, size in zip(sources.FILES, sources.SOURCES["mnist"].sizes, strict=True)
    ]
    assert CliRunner().invoke(main, [*fetch, "a"]).stderr.splitlines() == lines
    assert CliRunner().invoke(main, [*fetch, "a"]).stderr == ""  # nothing is downloaded
    assert CliRunner().invoke(main, [*fetch, "b", "--quiet"]).stderr == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with DownloadProgress(Console()):
        sources.fetch("mnist", "c")
    shown = terminal.getvalue()
    size = sources.SOURCES["mnist"].sizes[3]
    assert sources.FILES[3] in shown
    assert f"{size}/{size} bytes" in shown


@pytest.mark.parametrize(
    "command",
    ["evaluate", "inspect", pytest.param("report", marks=pytest.mark.slow)],
)
def test_a_command_that_reads_a_data_set_shows_its_download(
    mirror: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outcome, "save_pictures", lambda *given: None)
    lines = [
        f"downloading {file}.gz ({size:,} bytes)"
        for file, size in zip(sources.FILES, sources.SOURCES["mnist"].sizes, strict=True)
    ]
    train = ["train", "--data", "mnist", "--model", "softmax", "--epochs", "1", "--validation", "2"]
    assert CliRunner().invoke(main, train).exit_code == 0
    shutil.rmtree(cache)
    for expected in (lines, []):  # the second time, all files are there
        result = CliRunner().invoke(main, [command, "runs/train-1"])
        assert result.exit_code == 0, result.stderr
        assert [line for line in result.stderr.splitlines() if "downloading" in line] == expected
    assert download.watching.get() is None


def test_a_training_downloads_and_says_so(
    mirror: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = TrainConfig(data="mnist", validation=2)
    with pytest.raises(DataError, match="mnist is not in"):
        read(replace(config, data_dir=str(tmp_path)), Console())  # an explicit folder
    assert not mirror.asked
    capsys.readouterr()
    assert len(read(config, Console()).train) == 10
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"downloading {FIRST} (")
    assert lines[4].startswith("data: 12 images of mnist")


def test_commands_name_the_mirror_of_the_environment(
    mirror: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._mirror() == {}
    monkeypatch.setenv("GPUCNN_MIRROR", mirror.url)
    assert doctor._mirror() == {"GPUCNN_MIRROR": mirror.url}
    monkeypatch.setenv("GPUCNN_MIRROR", "http://example.org")
    shown = CliRunner().invoke(main, ["doctor"])
    assert "\n  GPUCNN_MIRROR: no; http is for this machine only" in shown.output
    assert "unknown" not in shown.stderr
    for command in (["data", "fetch", "mnist"], ["train", "--data", "mnist"]):
        refused = CliRunner().invoke(main, command)
        assert refused.exit_code == 2
        assert "error: GPUCNN_MIRROR cannot be used: http://example.org\n" in refused.stderr
    assert not mirror.asked


def test_files_of_a_dead_process_are_removed_but_not_those_of_a_live_one(
    mirror: Server, cache: Path
) -> None:
    folder = cache / "mnist"
    dead = folder / ".download-dead_123"
    dead.mkdir(parents=True)
    (dead / FIRST).write_bytes(b"half")
    with temporary_folder(folder) as live:
        assert not dead.exists()
        (live / FIRST).write_bytes(b"half")
        other = threading.Thread(target=sources.fetch, args=("mnist",))
        other.start()
        time.sleep(0.15)
        assert other.is_alive()  # it waits
        assert not mirror.asked
        assert (live / FIRST).exists()
    other.join()
    assert names(folder) == ALL_GZ
    dead.mkdir()
    sources.fetch("mnist")  # nothing is missing
    assert names(folder) == ALL_GZ


@pytest.mark.parametrize(
    "name", [".download-later", ".download-", ".download-DEAD_123", ".downloads"]
)
def test_folders_of_the_user_are_left(cache: Path, name: str) -> None:
    (cache / "mnist" / name / "important").mkdir(parents=True)
    with temporary_folder(cache / "mnist"):
        pass
    assert (cache / "mnist" / name / "important").is_dir()


def test_a_lock_that_is_a_link_is_not_emptied(cache: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (cache / "mnist").mkdir(parents=True)
    (cache / "mnist" / ".lock").symlink_to(precious)
    with (
        pytest.raises(StorageError, match="cannot be written"),
        temporary_folder(cache / "mnist"),
    ):
        pass
    assert precious.read_text() == "precious"


def test_a_folder_that_is_nested_too_deeply_is_left(cache: Path) -> None:
    with nested(cache / "mnist" / ".download-x1234567"), temporary_folder(cache / "mnist") as made:
        assert made.is_dir()


@pytest.mark.parametrize(("by", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_fetch_that_is_ended_in_the_middle(
    mirror: Server, cache: Path, by: signal.Signals, code: int
) -> None:
    begun = threading.Event()

    def stall(handler: Handler) -> None:
        handler.send(bytes(100_000), length=FIRST_SIZE)
        begun.set()
        handler.stall()

    mirror.answers[f"real/mnist/{FIRST}"] = stall
    variables = {"XDG_CACHE_HOME": str(cache.parent), "GPUCNN_MIRROR": f"{mirror.url}real"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gpucnn", "data", "fetch", "mnist"],
        env=environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = cache.parent / "gpucnn" / "mnist"
    try:
        assert begun.wait(60)
        assert len(list(folder.glob(f".download-*/{FIRST}"))) == 1
    finally:
        process.send_signal(by)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    if by == signal.SIGKILL:
        assert [name[:10] for name in names(folder)] == [".download-"]
        folder.parent.rename(cache)
        assert sources.missing("mnist") == list(sources.FILES)
        assert len(load("mnist", validation=0).train) == 12
        assert names(cache / "mnist") == ALL_GZ
    else:
        assert "error: interrupted" in said
        assert not folder.parent.exists()


@pytest.mark.slow
def test_processes_at_once_download_once(mirror: Server, cache: Path) -> None:
    source = json.dumps(asdict(sources.SOURCES["mnist"]))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, source],
            env=environment(XDG_CACHE_HOME=str(cache.parent)),
            stdin=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.communicate(b"\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert mirror.asked == dict.fromkeys(ALL_GZ, 1)
    assert names(cache.parent / "gpucnn" / "mnist") == ALL_GZ
