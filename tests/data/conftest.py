"""Small files in the forms that the readers take."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import idx_bytes
from web_server import Server

from gpucnn.data import sources

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture
def to_idx() -> Callable[[Any], bytes]:
    return idx_bytes


@pytest.fixture
def small_set() -> list[bytes]:
    """The bytes of the four idx files of a data set of 12 and 5 images of 4x4."""
    rng = np.random.default_rng(3)
    files = []
    for count in (12, 5):
        files.append(idx_bytes(rng.integers(0, 256, (count, 4, 4), dtype=np.uint8)))
        files.append(idx_bytes(rng.integers(0, 10, count, dtype=np.uint8)))
    return files


@pytest.fixture
def small_dir(tmp_path: Path, small_set: list[bytes]) -> Path:
    """A folder with those files, uncompressed."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name, content in zip(IDX_NAMES, small_set, strict=True):
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the user's for downloads counts, and no proxy on the way to this machine."""
    for name in ("GPUCNN_DATA_DIR", "GPUCNN_MIRROR", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nothing listens


@pytest.fixture
def cache(tmp_path: Path, no_settings: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache directory for this test."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(sources.platformdirs, "user_cache_dir", lambda *_, **__: str(cache))
    return cache


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def mirror(
    server: Server, tmp_path: Path, small_set: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> Server:
    """A mirror of a small data set that stands in for mnist, in its folder mnist."""
    server.folder = tmp_path / "mirror"
    folder = server.folder / "mnist"
    folder.mkdir(parents=True)
    packed = [gzip.compress(content, mtime=0) for content in small_set]
    for name, content in zip(sources.FILES, packed, strict=True):
        (folder / f"{name}.gz").write_bytes(content)
    stand_in = replace(
        sources.SOURCES["mnist"],
        mirrors=(f"{server.url}mnist/",),
        sizes=tuple(map(len, packed)),
        packed=tuple(hashlib.sha256(content).hexdigest() for content in packed),
        unpacked=tuple(hashlib.sha256(content).hexdigest() for content in small_set),
    )
    monkeypatch.setitem(sources.SOURCES, "mnist", stand_in)
    return server
