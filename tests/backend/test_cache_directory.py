"""A cache of code is used only where nobody else can write; what is damaged is made again."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from gpucnn.backend import cache_directory
from gpucnn.backend.cache_directory import cache_folder, is_whole, private_folder, unsafe, write
from gpucnn.errors import GpucnnWarning, StorageError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the rights are those of POSIX")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "a" / "b"))
    return tmp_path.resolve() / "a" / "b"


def test_folders_are_made_for_the_user_alone(root: Path) -> None:
    before = os.umask(0)
    try:
        assert private_folder("kind/deeper") == root / "kind" / "deeper"
    finally:
        os.umask(before)
    for place in (root.parent, root, root / "kind", root / "kind" / "deeper"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777, 0o770])
def test_a_folder_that_others_can_write_into_is_not_used(root: Path, mode: int) -> None:
    folder = private_folder("kind")
    folder.chmod(mode)
    (folder / "planted.so").write_bytes(b"code")
    with pytest.warns(GpucnnWarning, match=r"(?s)other users can write into .*GPUCNN_CACHE_DIR"):
        other = private_folder("kind")
    assert not other.is_relative_to(root)
    assert not list(other.iterdir())
    assert stat.S_IMODE(other.parent.stat().st_mode) == 0o700
    folder.chmod(0o755)
    assert private_folder("kind") == folder


def test_a_folder_above_that_others_can_write_into(root: Path) -> None:
    folder = private_folder("kind")
    root.parent.chmod(0o777)
    assert str(unsafe(folder)) == f"other users can write into {root.parent}"
    root.parent.chmod(0o1777)  # as /tmp
    assert unsafe(folder) is None


def test_a_folder_above_of_a_group(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = private_folder("kind")
    root.chmod(0o770)
    for has_own_group, reason in ((True, None), (False, f"other users can write into {root}")):
        monkeypatch.setattr(cache_directory, "_has_own_group", lambda _, own=has_own_group: own)
        assert unsafe(folder) == reason


@pytest.mark.parametrize("depth", [0, 1])
def test_a_folder_of_another_user_is_not_used(
    root: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    folder = private_folder("kind")
    place = [folder, root][depth]
    owner, found = os.geteuid() + 1, Path.stat

    def stat_of(path: Path, **options: Any) -> os.stat_result:
        values = list(found(path, **options))
        values[stat.ST_UID] = owner if path == place else values[stat.ST_UID]
        return os.stat_result(values)

    monkeypatch.setattr(Path, "stat", stat_of)
    with pytest.warns(GpucnnWarning, match="belongs to another user"):
        assert private_folder("kind") != folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("depth", [0, 1])
def test_a_folder_that_root_gave_to_another_user(root: Path, depth: int) -> None:
    folder = private_folder("kind")
    (folder / "planted.so").write_bytes(b"code")
    os.chown([folder, root][depth], 12345, 12345)
    with pytest.warns(GpucnnWarning, match="belongs to another user"):
        assert not list(private_folder("kind").iterdir())


def test_a_link_is_followed_to_the_folder_itself(root: Path, tmp_path: Path) -> None:
    folder = private_folder("kind")
    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    assert private_folder("kind") == elsewhere.resolve()
    elsewhere.chmod(0o777)
    with pytest.warns(GpucnnWarning):
        private_folder("kind")


@pytest.mark.parametrize("depth", [0, 1])
def test_nothing_is_made_where_a_link_leads_into_a_folder_of_others(
    root: Path, tmp_path: Path, depth: int
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    others.chmod(0o777)
    link = [root / "kind", root][depth]
    link.parent.mkdir(parents=True)
    link.symlink_to(others)
    with pytest.warns(GpucnnWarning, match="other users can write into"):
        private_folder("kind/deeper")
    assert not list(others.iterdir())


def test_a_link_to_itself(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "kind").symlink_to("kind")
    with pytest.warns(GpucnnWarning, match="cannot be made"):
        private_folder("kind/deeper")


@pytest.mark.parametrize("place", ["kind", "."])
def test_a_file_in_place_of_a_folder(root: Path, place: str) -> None:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_bytes(b"")
    with pytest.warns(GpucnnWarning, match="cannot be made"):
        assert private_folder("kind").is_dir()


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("GPUCNN_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    usual = cache_folder("kind")
    assert usual.is_relative_to(tmp_path / "home")
    assert usual.parts[-2:] == ("gpucnn", "kind")
    for name, value, folder in (
        ("GPUCNN_CACHE_DIR", "", usual),
        ("GPUCNN_CACHE_DIR", "relative/folder", tmp_path / "relative" / "folder" / "kind"),
        ("GPUCNN_CACHE_DIR", "~/mine", tmp_path / "home" / "mine" / "kind"),
        ("XDG_CACHE_HOME", "", usual),
        ("XDG_CACHE_HOME", "relative", usual),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, value)
            assert cache_folder("kind") == folder, (name, value)


@pytest.mark.parametrize("value", [None, "~", "~nobody-of-this-name/x"])
def test_without_a_home_folder(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(
        cache_directory.platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/gpucnn"
    )
    monkeypatch.delenv("GPUCNN_CACHE_DIR", raising=False)
    if value:
        monkeypatch.setenv("GPUCNN_CACHE_DIR", value)
    with pytest.warns(GpucnnWarning, match="no home folder"):
        assert private_folder("kind").is_dir()


def test_a_file_says_itself_whether_it_is_whole(tmp_path: Path) -> None:
    file, content = tmp_path / "file", bytes(range(256))
    write(file, [content])
    whole = file.read_bytes()
    assert whole.startswith(content)
    assert is_whole(file)
    for damaged in (b"", whole[:-1], whole[:10], bytes(len(whole)), b"?" + whole[1:]):
        file.write_bytes(damaged)
        assert not is_whole(file)
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not is_whole(file)


def test_a_file_of_another_user_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "file", [b"content"])
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not is_whole(tmp_path / "file")


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    assert not is_whole(tmp_path / "file")
    write(tmp_path / "file", [b"content"])
    assert is_whole(tmp_path / "file")


def test_a_directory_in_its_place_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file" / "inner").mkdir(parents=True)
    assert not is_whole(tmp_path / "file")
    write(tmp_path / "file", [b"content"])
    assert is_whole(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StorageError, match="cannot be written") as caught:
        write(tmp_path / "file", [b"content"])
    assert "GPUCNN_CACHE_DIR" in (caught.value.fix or "")
    assert not os.listdir(tmp_path)
