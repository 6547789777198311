"""Large images of pictures are kept, and never given for other pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data import Reading, picture_cache, pictures, storage
from gpucnn.data.resolve import read

Image = pytest.importorskip("PIL.Image")


def save(path: Path, value: int, size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Six pictures of 6x4, one of them with a remark."""
    for k in range(5):
        save(tmp_path / "pets" / "ab"[k % 2] / f"{k}.bmp", k)
    frames = [Image.new("L", (6, 4), value) for value in (50, 99)]
    frames[0].save(tmp_path / "pets" / "a" / "moves.gif", save_all=True, append_images=frames[1:])
    return tmp_path / "pets"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache; images of more than 100 bytes are large, and files never new."""
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(picture_cache, "KEPT", 100)
    monkeypatch.setattr(storage, "large", lambda: 100)
    monkeypatch.setattr(storage, "CHUNK", 50)
    monkeypatch.setattr(picture_cache, "_TICK", 0)
    return tmp_path / "cache" / "images"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that were opened."""
    names: list[str] = []
    open_picture = pictures.open_picture

    def note(file: Any) -> Any:
        names.append(file.name)
        return open_picture(file)

    monkeypatch.setattr(pictures, "open_picture", note)
    return names


def test_pictures_are_decoded_once(pets: Path, cache: Path, opened: list[str]) -> None:
    (pets / "b" / "broken.png").write_bytes(b"\x89PNG")
    reading = Reading(skip_broken=True)
    first = read(pets, reading)
    assert len(opened) == 7
    assert len(first.parts[0].images) == 6
    second = read(pets, reading)
    assert len(opened) == 7
    for one, other in zip(first.parts, second.parts, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        assert one.labels is not None
        np.testing.assert_array_equal(one.labels, other.labels)
        assert one.items == other.items
    for name in ("reading", "said", "notes", "doubts", "classes", "noun"):
        assert getattr(first, name) == getattr(second, name), name
    assert first.doubts
    assert any("broken.png" in note for note in first.notes)
    (entry,) = cache.iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600


def test_options_have_their_own_entries(pets: Path, opened: list[str]) -> None:
    small, large = Reading(image_size=(4, 6)), Reading(image_size=(8, 8))
    shapes = [read(pets, reading).parts[0].images.shape for reading in (small, large) * 2]
    assert shapes == [(6, 1, 4, 6), (6, 1, 8, 8)] * 2
    assert len(opened) == 12


def rewrite(pets: Path) -> None:
    """The same size, and the same time."""
    path = pets / "a" / "2.bmp"
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-24, os.SEEK_END)
        file.write(bytes([77]) * 24)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def replace(pets: Path) -> None:
    """Another file by the same name, with the size and the time of the first."""
    path, before = pets / "a" / "2.bmp", (pets / "a" / "2.bmp").stat()
    save(pets.parent / "other.bmp", 77)
    os.utime(pets.parent / "other.bmp", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(pets.parent / "other.bmp", path)
    assert path.stat().st_size == before.st_size


def exchange(pets: Path) -> None:
    one, other, between = pets / "a" / "2.bmp", pets / "b" / "1.bmp", pets.parent / "between"
    one.rename(between)
    other.rename(one)
    between.rename(other)


CHANGES: list[Callable[[Path], None]] = [
    rewrite,
    replace,
    exchange,
    lambda pets: save(pets / "a" / "new.bmp", 77),
    lambda pets: (pets / "a" / "2.bmp").unlink(),
    lambda pets: (pets / "a" / "2.bmp").rename(pets / "a" / "9.bmp"),
    lambda pets: (pets / "a" / "2.bmp").rename(pets / "b" / "2.bmp"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(
    pets: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    before = read(pets)
    change(pets)
    found = read(pets)
    monkeypatch.setattr(picture_cache, "KEPT", 10**9)  # nothing is kept
    for entry in cache.iterdir():
        entry.unlink()
    expected = read(pets)
    (part,), (right,) = found.parts, expected.parts
    np.testing.assert_array_equal(part.images, right.images)
    assert part.items == right.items
    assert (part.items, part.images.tolist()) != (
        before.parts[0].items,
        before.parts[0].images.tolist(),
    )


def test_a_change_of_versions(
    pets: Path, cache: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read(pets)
    monkeypatch.setattr(picture_cache, "_reader", lambda: ("99",))
    read(pets)
    assert len(opened) == 12
    assert len(list(cache.iterdir())) == 1  # the new entry is in the place of the old one


def test_files_that_change_while_they_are_read_are_not_kept(
    pets: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_picture = pictures.open_picture

    def open_and_change(file: Any) -> Any:
        found = open_picture(file)
        rewrite(pets)
        return found

    monkeypatch.setattr(pictures, "open_picture", open_and_change)
    read(pets)
    assert not list(cache.iterdir())


def test_files_that_have_just_changed_are_not_kept(
    pets: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may change again, and have the same time."""
    monkeypatch.setattr(picture_cache, "_TICK", 60 * 10**9)
    read(pets)
    assert not list(cache.iterdir())


def cut(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-1])


def flip(entry: Path) -> None:
    content = bytearray(entry.read_bytes())
    content[30] ^= 1
    entry.write_bytes(content)


def make_folder(entry: Path) -> None:
    entry.unlink()
    (entry / "in it").mkdir(parents=True)


@pytest.mark.parametrize("damage", [cut, flip, make_folder, lambda entry: entry.write_bytes(b"")])
def test_a_damaged_entry_is_replaced(
    pets: Path, cache: Path, opened: list[str], damage: Callable[[Path], None]
) -> None:
    expected = read(pets).parts[0].images
    (entry,) = cache.iterdir()
    damage(entry)
    np.testing.assert_array_equal(read(pets).parts[0].images, expected)
    assert len(opened) == 12
    np.testing.assert_array_equal(read(pets).parts[0].images, expected)
    assert len(opened) == 12


@pytest.mark.skipif(os.name == "nt", reason="the rights are those of POSIX")
def test_a_folder_that_others_can_write_into_is_not_used(
    pets: Path, cache: Path, opened: list[str]
) -> None:
    read(pets)
    cache.chmod(0o777)
    read(pets)
    assert len(opened) == 12


def test_a_full_disk(pets: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(old: Path, new: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert len(read(pets).parts[0].images) == 6
    assert not list(cache.iterdir())


def test_what_a_killed_process_left_is_deleted(pets: Path, cache: Path) -> None:
    cache.mkdir(parents=True, mode=0o700)
    cache.parent.chmod(0o700)
    old, new = (cache / f"gpucnn-{digit * 16}.tmp" for digit in "01")
    for temporary in (old, new):
        temporary.write_bytes(b"half")
    os.utime(old, (time.time() - 1000,) * 2)
    read(pets)
    assert not old.exists()
    assert new.exists()


def test_small_images_are_not_kept(
    pets: Path, cache: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_cache, "KEPT", 6 * 24)
    monkeypatch.setattr(storage, "large", lambda: 6 * 24)
    for _ in range(2):
        read(pets)
    assert len(opened) == 12
    assert not cache.exists()
