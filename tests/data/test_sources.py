"""Named data sets: where they are looked for, downloads from a local server, hashes."""

from __future__ import annotations

import errno
import gzip
import hashlib
import logging
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from web_server import Server

from gpucnn.data import load, sources
from gpucnn.errors import DataError, StorageError, UsageError

pytestmark = pytest.mark.usefixtures("cache")

CLOSED = "http://127.0.0.1:1/"  # a port where nothing listens


def set_mirrors(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    changed = replace(sources.SOURCES["mnist"], mirrors=urls)
    monkeypatch.setitem(sources.SOURCES, "mnist", changed)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


ALL_GZ = sorted(f"{name}.gz" for name in sources.FILES)


def test_downloads_once_into_the_cache(mirror: Server, cache: Path) -> None:
    splits = load("mnist", validation=2)
    assert splits.validation is not None
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [10, 2, 5]
    assert names(cache / "mnist") == ALL_GZ  # nothing temporary is left
    assert sum(mirror.asked.values()) == 4
    load("mnist", validation=0)
    assert sum(mirror.asked.values()) == 4


@pytest.mark.parametrize("source", sources.SOURCES.values(), ids=lambda source: source.name)
def test_mirrors_are_folders_of_known_hosts(source: sources.Source) -> None:
    for mirror in source.mirrors:
        assert mirror.startswith(
            ("https://ossci-datasets.s3.amazonaws.com/", "https://storage.googleapis.com/")
        )
        assert mirror.endswith("/")
    assert len(source.sizes) == len(source.packed) == len(sources.FILES)


def test_tries_the_next_mirror(
    mirror: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_mirrors(monkeypatch, CLOSED, f"{mirror.url}not-here/", f"{mirror.url}mnist/")
    assert sources.fetch("mnist") == cache / "mnist"
    assert names(cache / "mnist") == ALL_GZ


def test_says_nothing_of_its_own(
    mirror: Server, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    sources.fetch("mnist")
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_home_of_an_unknown_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUCNN_DATA_DIR", "~nosuchuser/x")
    assert sources.path("mnist") == Path("~nosuchuser/x")
    assert sources.missing("mnist", "~nosuchuser/y") == list(sources.FILES)
    for check in (load, sources.verify):
        with pytest.raises(DataError, match="mnist is not in ~nosuchuser/x"):
            check("mnist")


def test_no_network_and_no_data(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_mirrors(monkeypatch, CLOSED, CLOSED + "second/")
    with pytest.raises(DataError, match="mnist could not be downloaded") as error:
        load("mnist")
    assert error.value.exit_code == 4
    assert error.value.cause == f"{CLOSED}: no connection; {CLOSED}second/: no connection"
    assert "--data-dir" in (error.value.fix or "")
    assert "gpucnn data fetch mnist" in (error.value.fix or "")
    assert not cache.exists()  # nor is an empty folder left


def test_mirror_without_the_file(mirror: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    set_mirrors(monkeypatch, f"{mirror.url}not-here/")
    with pytest.raises(DataError) as error:
        sources.fetch("mnist")
    assert "HTTP status 404" in (error.value.cause or "")


def test_download_with_a_wrong_hash_is_not_kept(mirror: Server, cache: Path) -> None:
    file = mirror.folder / "mnist" / f"{sources.FILES[1]}.gz"
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(DataError, match="could not be downloaded") as error:
        load("mnist")
    assert "another SHA-256" in (error.value.cause or "")
    assert error.value.exit_code == 4
    assert names(cache / "mnist") == [f"{sources.FILES[0]}.gz"]


def test_a_second_fetch_gets_only_what_is_missing_or_damaged(mirror: Server, cache: Path) -> None:
    sources.fetch("mnist")
    mirror.asked.clear()
    sources.fetch("mnist")
    assert not mirror.asked
    damaged, lost = (cache / "mnist" / f"{sources.FILES[i]}.gz" for i in (0, 3))
    damaged.write_bytes(damaged.read_bytes()[:-5])
    lost.unlink()
    with pytest.raises(DataError, match="not a whole gzip file") as caught:
        sources.verify("mnist", cache)
    assert str(caught.value.fix).startswith("gpucnn data fetch mnist")
    sources.fetch("mnist")
    assert mirror.asked == {damaged.name: 1, lost.name: 1}
    assert all(report.verified for report in sources.verify("mnist"))


def test_concurrent_fetches_download_once(mirror: Server) -> None:
    failures: list[Exception] = []

    def fetch() -> None:
        try:
            sources.fetch("mnist")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(mirror.asked.values()) == {1}


def test_explicit_directory_is_the_only_place(
    mirror: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources.fetch("mnist")  # the cache has it
    mirror.asked.clear()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=f"mnist is not in {empty}: there is no train-im") as error:
        load("mnist", empty)
    assert error.value.exit_code == 4
    assert f"gpucnn data fetch mnist --data-dir {empty}" in (error.value.fix or "")
    monkeypatch.setenv("GPUCNN_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="is not in") as error:
        load("mnist")
    assert error.value.cause == f"{tmp_path / 'nowhere'} is not a directory"
    assert not mirror.asked
    # The argument wins over the environment.
    assert len(load("mnist", cache / "mnist", validation=0).train) == 12


@pytest.mark.parametrize("form", ["raw", "other gzip", "dotted"])
def test_any_packing_is_verified_by_its_content(mirror: Server, small_dir: Path, form: str) -> None:
    for path in list(small_dir.iterdir()):
        if form == "other gzip":
            content = gzip.compress(path.read_bytes(), compresslevel=1, mtime=1)
            path.with_name(f"{path.name}.gz").write_bytes(content)
            path.unlink()
        elif form == "dotted":
            path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(load("mnist", small_dir, validation=0).train) == 12
    assert all(report.verified for report in sources.verify("mnist", small_dir))
    assert not mirror.asked


@pytest.mark.parametrize("damaged", ["raw", "gzip"])
@pytest.mark.parametrize("number", range(4))
def test_the_good_one_of_two_packings_is_read(
    mirror: Server, small_dir: Path, number: int, damaged: str
) -> None:
    file = small_dir / sources.FILES[number]
    packed = gzip.compress(file.read_bytes(), mtime=0)
    other = file.with_name(f"{file.name}.gz")
    other.write_bytes(packed[:-9] if damaged == "gzip" else packed)
    if damaged == "raw":
        file.write_bytes(file.read_bytes()[:-1])
    assert len(load("mnist", small_dir, validation=0).train) == 12
    report = sources.verify("mnist", small_dir)[number]
    assert report.verified
    assert report.path == (other if damaged == "raw" else file)


@pytest.mark.parametrize("damaged", ["raw", "gzip"])
@pytest.mark.parametrize("number", range(4))
def test_the_good_one_of_two_packings_in_a_folder(
    small_dir: Path, number: int, damaged: str
) -> None:
    file = small_dir / sources.FILES[number]
    packed = gzip.compress(file.read_bytes(), mtime=0)
    whole = load(small_dir)
    other = file.with_name(f"{file.name}.gz")
    other.write_bytes(packed[:-9] if damaged == "gzip" else packed)
    if damaged == "raw":
        file.write_bytes(file.read_bytes()[:-1])
    splits = load(small_dir)
    assert np.array_equal(splits.train.images, whole.train.images)
    assert splits.test is not None
    assert len(splits.test) == 5
    noted = [f"{file} is damaged: {other.name} was read"] if damaged == "raw" else []
    assert [note for note in splits.notes if "damaged" in note] == noted
    # Two that are damaged are an error about the first.
    for each in (file, other):
        each.write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match=str(file)):
        load(small_dir)


def test_a_file_that_is_named_itself_is_the_one_that_is_read(small_dir: Path) -> None:
    file = small_dir / sources.FILES[0]
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=str(file)):
        load(file)


def test_wrong_hash_in_an_explicit_directory(mirror: Server, small_dir: Path) -> None:
    path = small_dir / sources.FILES[2]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for check in (load, sources.verify):
        with pytest.raises(DataError, match=f"{path} is not the {path.name} of mnist") as error:
            check("mnist", small_dir)
        assert error.value.exit_code == 4
        assert hashlib.sha256(content).hexdigest() in (error.value.cause or "")
    # fetch replaces the damaged file and leaves the others alone.
    sources.fetch("mnist", small_dir)
    assert names(small_dir) == sorted([*(f for f in sources.FILES if f != path.name),
                                       f"{path.name}.gz"])  # fmt: skip
    assert len(load("mnist", small_dir, validation=0).train) == 12


def test_fetch_does_not_touch_another_data_set(mirror: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in sources.FILES:
        (other / file).write_bytes(b"another data set")
    assert sources.fetch("mnist", other) == other / "mnist"
    assert all((other / file).read_bytes() == b"another data set" for file in sources.FILES)
    assert len(load("mnist", other, validation=0).train) == 12  # DIR/mnist comes before DIR


def test_a_failed_fetch_leaves_nothing_that_hides_the_files(
    mirror: Server, small_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "data"
    set_mirrors(monkeypatch, CLOSED)
    with pytest.raises(DataError, match="could not be downloaded"):
        sources.fetch("mnist", folder)
    assert not folder.parent.exists()
    shutil.copytree(small_dir, folder)
    with pytest.raises(DataError, match="could not be downloaded"):
        sources.fetch("mnist", tmp_path)
    assert not (tmp_path / "mnist").exists()
    assert len(load("mnist", folder, validation=0).train) == 12


@pytest.mark.parametrize(("below", "chosen"), [(0, "."), (1, "."), (4, "mnist")])
def test_the_folder_with_more_of_the_files(small_dir: Path, below: int, chosen: str) -> None:
    (small_dir / "mnist").mkdir()
    (small_dir / "mnist" / ".lock").touch()
    for file in sources.FILES[:below]:
        shutil.copy(small_dir / file, small_dir / "mnist")
    assert sources.path("mnist", small_dir) == small_dir / chosen
    assert sources.missing("mnist", small_dir) == []


@pytest.mark.parametrize("form", ["raw", "gzip", "other gzip"])
def test_files_of_mnist_are_not_those_of_fashion_mnist(
    mirror: Server, small_dir: Path, form: str
) -> None:
    folder = mirror.folder / "mnist" if form == "gzip" else small_dir
    if form == "other gzip":
        for path in list(folder.iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(
                gzip.compress(path.read_bytes(), compresslevel=1, mtime=1)
            )
            path.unlink()
    assert sources.missing("mnist", folder) == []
    assert sources.missing("fashion-mnist", folder) == list(sources.FILES)
    # A damaged file is there all the same.
    label = next(folder.glob("t10k-labels*"))
    label.write_bytes(label.read_bytes()[:-3])
    assert sources.missing("mnist", folder) == []
    assert sources.missing("fashion-mnist", folder) == list(sources.FILES)


def test_directory_that_cannot_be_written(mirror: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written") as error:
        sources.fetch("mnist", tmp_path / "file" / "below")
    assert error.value.exit_code == 1
    assert error.value.cause == "a part of the path is a file, and no directory"
    assert "--data-dir" in (error.value.fix or "")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_full_disk(
    mirror: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(StorageError, match="cannot be written") as error:
        sources.fetch("mnist")
    assert error.value.cause == "the disk is full"
    assert not cache.exists()  # nor is an empty folder left


def test_fashion_mnist_is_verified_by_its_gzip_and_raw_only_against_mnist(
    mirror: Server, small_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fashion = replace(sources.SOURCES["fashion-mnist"], packed=sources.SOURCES["mnist"].packed)
    monkeypatch.setitem(sources.SOURCES, "fashion-mnist", fashion)
    reports = sources.verify("fashion-mnist", mirror.folder / "mnist")
    assert [report.verified for report in reports] == [True] * 4
    with pytest.raises(DataError, match="is not the train-images-idx3-ubyte of fashion-mnist"):
        sources.verify("fashion-mnist", small_dir)  # these are the files of mnist
    monkeypatch.setitem(
        sources.SOURCES, "mnist", replace(sources.SOURCES["mnist"], unpacked=("",) * 4)
    )
    reports = sources.verify("fashion-mnist", small_dir)
    assert [report.verified for report in reports] == [False] * 4
    splits = load("fashion-mnist", small_dir, validation=0)
    assert splits.class_names[9] == "Ankle boot"
    (small_dir / sources.FILES[1]).unlink()
    (small_dir / f"{sources.FILES[1]}.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(DataError, match="is not the train-labels-idx1-ubyte of fashion-mnist"):
        sources.verify("fashion-mnist", small_dir)


def test_path_and_missing(mirror: Server, cache: Path, small_dir: Path) -> None:
    assert sources.path("mnist") == cache / "mnist"
    assert sources.path("mnist", small_dir) == small_dir
    assert sources.missing("mnist") == list(sources.FILES)
    assert not cache.exists()  # asking changes nothing
    (small_dir / sources.FILES[2]).unlink()
    assert sources.missing("mnist", small_dir) == [sources.FILES[2]]


@pytest.mark.parametrize("name", ["digits", "cifar"])
def test_only_named_sets_are_fetched(name: str) -> None:
    with pytest.raises(UsageError, match=name) as error:
        sources.fetch(name)
    assert error.value.exit_code == 2
    assert error.value.cause == ("digits comes with gpucnn" if name == "digits" else None)


def test_real_mnist(mnist_dir: Path) -> None:
    assert [report.verified for report in sources.verify("mnist", mnist_dir)] == [True] * 4
    splits = load("mnist", mnist_dir)
    assert splits.validation is not None
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [
        55_000, 5_000, 10_000,
    ]  # fmt: skip
    whole = load("mnist", mnist_dir, validation=0)
    assert whole.validation is None
    assert whole.train.labels is not None
    assert splits.test.labels is not None
    assert whole.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(whole.train.labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert np.bincount(splits.test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    # The mean and deviation that everyone standardises MNIST by.
    assert f"{whole.train.images.mean() / 255:.4f}" == "0.1307"
    assert whole.image_shape == (1, 28, 28)


def test_real_mnist_with_one_file_truncated(mnist_dir: Path, tmp_path: Path) -> None:
    for file in sources.FILES:
        shutil.copy(mnist_dir / f"{file}.gz", tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz is not a whole gzip file"):
        load("mnist", tmp_path)
