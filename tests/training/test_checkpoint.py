"""Files that carry their digest, and are never half of one and half of another."""

from __future__ import annotations

import errno
import json
import os
import shlex
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gpucnn.errors import DataError, StorageError
from gpucnn.training import checkpoint
from gpucnn.training.checkpoint import (
    LAST,
    PREVIOUS,
    Checkpoint,
    load,
    load_weights,
    read,
    resume,
    save,
    save_weights,
)
from gpucnn.writing import append_line, write_atomic


def _checkpoint(step: int) -> Checkpoint:
    values = np.arange(6, dtype=np.float32).reshape(2, 3) + step
    return Checkpoint(
        weights={"a.weight": values, "a.bias": np.full(3, step, np.float32)},
        description={"model": "lenet", "step": step},
        state={"m/a.weight": values.T, "totals": np.array([0.5, step]), "n": np.uint32(step)},
        progress={"records": [{"epoch": 1}], "seconds": 1.5},
    )


def _same(one: Checkpoint, other: Checkpoint) -> bool:
    return (
        one.description == other.description
        and one.progress == other.progress
        and all(
            set(a) == set(b) and all(np.array_equal(a[k], b[k]) for k in a)
            for a, b in ((one.weights, other.weights), (one.state, other.state))
        )
    )


def test_metadata_that_are_nested_deeply(tmp_path: Path) -> None:
    """JSON may be read at a depth at which it cannot be written any more, for the digest."""
    path, limit = tmp_path / "w.safetensors", sys.getrecursionlimit()
    for depth in (*range(100, limit - 60, 200), *range(limit - 60, limit, 4)):
        sys.setrecursionlimit(100 * limit)
        try:
            nested: Any = []
            for _ in range(depth):
                nested = [nested]
            save_weights(path, {}, {"step": 1, "nested": nested})
        finally:
            sys.setrecursionlimit(limit)
        with nullcontext() if depth == 100 else suppress(DataError):
            assert load_weights(path)[1]["step"] == 1


@pytest.mark.parametrize("state", [None, 3, [1], {"a": 1}, "../x"])
def test_a_previous_checkpoint_that_names_no_state(tmp_path: Path, state: Any) -> None:
    save(tmp_path, _checkpoint(1))
    save(tmp_path, _checkpoint(2))
    save_weights(tmp_path / PREVIOUS, {}, {"state": state})
    assert _same(load(tmp_path), _checkpoint(2))
    assert sorted(os.listdir(tmp_path)) == [
        "last.safetensors", "previous.safetensors", "state-2.safetensors"
    ]  # fmt: skip


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path, _checkpoint(1))
    assert sorted(os.listdir(tmp_path)) == ["last.safetensors", "state-1.safetensors"]
    save(tmp_path, _checkpoint(2))
    assert _same(load(tmp_path), _checkpoint(2))
    weights, description = load_weights(tmp_path / "last.safetensors")
    assert np.array_equal(weights["a.bias"], [2, 2, 2])
    assert description["model"] == "lenet"


def test_the_previous_checkpoint_is_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, _checkpoint(step))
    assert _same(load(tmp_path), _checkpoint(3))
    assert _same(read(tmp_path, PREVIOUS), _checkpoint(2))
    assert sorted(os.listdir(tmp_path)) == [
        "last.safetensors", "previous.safetensors", "state-2.safetensors", "state-3.safetensors"
    ]  # fmt: skip


@pytest.mark.parametrize("lost", ["last.safetensors", "state-3.safetensors"])
def test_the_previous_checkpoint_is_offered(tmp_path: Path, lost: str) -> None:
    for step in (1, 2, 3):
        save(tmp_path, _checkpoint(step))
    (tmp_path / lost).unlink()
    with pytest.raises(DataError, match=lost) as caught:
        resume(tmp_path, lambda _: None)
    fix = str(caught.value.fix)
    assert "the checkpoint before it, of step 2: mv " in fix
    words = shlex.split(fix.split("mv ")[1].split(", and")[0])
    assert words == [str(tmp_path / "previous.safetensors"), str(tmp_path / "last.safetensors")]
    os.replace(*words)
    assert _same(load(tmp_path), _checkpoint(2))
    assert sorted(os.listdir(tmp_path)) == ["last.safetensors", "state-2.safetensors"]


@pytest.mark.parametrize(
    "name", ["s" * 300, f"{'s' * 300}.safetensors", "\ud800", "a\0b", "..", "a/b", "", 3, None]
)
def test_the_previous_checkpoint_is_offered_if_a_name_is_bad(tmp_path: Path, name: Any) -> None:
    for step in (1, 2):
        save(tmp_path, _checkpoint(step))
    weights, description = load_weights(tmp_path / "last.safetensors")
    save_weights(tmp_path / "last.safetensors", weights, {**description, "state": name})
    with pytest.raises(DataError) as caught:
        resume(tmp_path, lambda _: None)
    assert "the checkpoint before it, of step 1: mv " in str(caught.value.fix)


def test_a_previous_checkpoint_that_is_damaged_is_not_offered(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, _checkpoint(step))
    for name in ("last.safetensors", "state-2.safetensors"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="last") as caught:
        resume(tmp_path, lambda _: None)
    assert "before it" not in str(caught.value.fix)


@pytest.mark.parametrize(
    "name", ["state-of-the-art", "state-", "state-1b", "my-state-1", "state--1"]
)
def test_states_that_no_training_wrote_are_left(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.safetensors").write_text("precious")
    save(tmp_path, _checkpoint(1))
    load(tmp_path)
    assert (tmp_path / f"{name}.safetensors").read_text() == "precious"


def test_a_folder_in_place_of_a_state_is_named(tmp_path: Path) -> None:
    save(tmp_path, _checkpoint(1))
    folder = tmp_path / "state-7.safetensors"
    folder.mkdir()
    with pytest.raises(StorageError, match=r"state-7.*cannot be written"):
        load(tmp_path)


def test_reading_leaves_the_files_of_a_training_that_runs(tmp_path: Path) -> None:
    save(tmp_path, _checkpoint(1))
    (tmp_path / "state-2.safetensors").write_bytes(b"it is being written")
    assert _same(read(tmp_path), _checkpoint(1))
    assert (tmp_path / "state-2.safetensors").exists()
    assert _same(load(tmp_path), _checkpoint(1))
    assert not (tmp_path / "state-2.safetensors").exists()


def test_a_weights_file_does_not_depend_on_the_time(tmp_path: Path) -> None:
    one = _checkpoint(1)
    other = Checkpoint(one.weights, one.description, one.state, {"seconds": 99.0})
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    save(tmp_path / "one", one)
    save(tmp_path / "other", other)
    name = "last.safetensors"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize("name", ["last.safetensors", "state-1.safetensors"])
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    save(tmp_path, _checkpoint(1))
    file = tmp_path / name
    whole = file.read_bytes()
    for length in [0, 1, 7, 8, 9, *range(10, len(whole), 41), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=name):
            load(tmp_path)


@pytest.mark.parametrize("name", ["last.safetensors", "state-1.safetensors"])
def test_any_altered_byte_is_noticed(tmp_path: Path, name: str) -> None:
    save(tmp_path, _checkpoint(1))
    file = tmp_path / name
    whole = file.read_bytes()
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1
        file.write_bytes(altered)
        try:
            loaded = load(tmp_path)
        except DataError:
            continue
        # The blanks that pad the header mean nothing; nothing else may change unseen.
        assert whole[place : place + 1] == b" "
        assert _same(loaded, _checkpoint(1))


def test_a_state_of_other_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    save(tmp_path, _checkpoint(1))
    changed = _checkpoint(1)
    changed.weights["a.bias"][0] = 9.0  # type: ignore[index]
    save(tmp_path / "other", changed)
    os.replace(tmp_path / "other" / "state-1.safetensors", tmp_path / "state-1.safetensors")
    with pytest.raises(DataError, match="cannot be resumed") as caught:
        load(tmp_path)
    assert "belongs to other weights" in str(caught.value.cause)


def test_weights_without_optimizer_state_are_not_resumed(tmp_path: Path) -> None:
    save_weights(tmp_path / "last.safetensors", {"a": np.zeros(1)}, {"step": 1})
    with pytest.raises(DataError, match="cannot be resumed"):
        load(tmp_path)


def test_a_file_of_someone_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "foreign.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, file)
    with pytest.raises(DataError, match="not written by gpucnn"):
        load_weights(file)
    with pytest.raises(DataError, match="no weights file"):
        load_weights(tmp_path / "none.safetensors")


def test_a_file_of_state_is_no_weights(tmp_path: Path) -> None:
    save(tmp_path, _checkpoint(1))
    with pytest.raises(DataError, match="state of an optimizer") as caught:
        load_weights(tmp_path / "state-1.safetensors")
    assert str(tmp_path / "last.safetensors") in str(caught.value.fix)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "1" * 5000, '"\\ud800"', "[1]", "null"],
    ids=["deep", "long", "no text", "list", "null"],
)
def test_a_description_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "w.safetensors", {"gpucnn": text})
    with pytest.raises(DataError, match=r"w\.safetensors"):
        load_weights(tmp_path / "w.safetensors")


def test_a_later_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "later.safetensors"
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    save_weights(file, {"a": np.zeros(1)}, {})
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    with pytest.raises(DataError, match="format 2"):
        load_weights(file)


def test_other_programs_can_read_the_weights(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", {"a": np.arange(3.0)}, {"model": "x"})
    assert np.array_equal(load_file(tmp_path / "w.safetensors")["a"], [0, 1, 2])


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, code: int, cause: str
) -> None:
    file = tmp_path / "file"
    write_atomic(file, b"old")

    def fail(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(StorageError, match="cannot be written") as caught:
        write_atomic(file, b"new")
    assert cause in str(caught.value.cause)
    assert "--runs-dir" in str(caught.value.fix)
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_bytes_reach_the_disk_before_their_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power cut could leave the new name on an empty file."""
    seen: list[Any] = []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        seen.append(path.suffix or path.name)
        seen.append(os.fstat(descriptor).st_size if path.suffix == ".tmp" else None)
        sync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        seen.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_atomic(tmp_path / "file", b"12345")
    assert seen == [".tmp", 5, "replace", tmp_path.name, None]


def test_no_link_is_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one in place of the file, nor one with the temporary name, if somebody guesses that."""
    precious, file = tmp_path / "precious", tmp_path / "file"
    precious.write_bytes(b"precious")
    monkeypatch.setattr(os, "urandom", lambda size: bytes(size))
    guessed = tmp_path / f"gpucnn-{'00' * 8}.tmp"
    for link in (file, tmp_path / "file.tmp", guessed):
        link.symlink_to(precious)
    with pytest.raises(StorageError, match="cannot be written"):
        write_atomic(file, b"new")
    write_atomic(file, b"new")  # the link in its way is gone
    assert (file.read_bytes(), file.is_symlink()) == (b"new", False)
    assert precious.read_bytes() == b"precious"


def test_temporary_names_are_never_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, replace = [], os.replace

    def note(source: Path, target: Path) -> None:
        names.append(Path(source).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", note)
    for _ in range(2):
        write_atomic(tmp_path / ("n" * 255), b"a name may be as long as the system allows")
    assert len(set(names)) == 2


def test_a_folder_that_is_none_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    for write in (write_atomic, append_line):
        with pytest.raises(StorageError):
            write(tmp_path / "plain" / "file", b"x" if write is write_atomic else "x")  # type: ignore[operator]


def test_append_line(tmp_path: Path) -> None:
    append_line(tmp_path / "lines", json.dumps({"epoch": 1}))
    append_line(tmp_path / "lines", "two")
    assert (tmp_path / "lines").read_text() == '{"epoch": 1}\ntwo\n'


def test_no_state_is_deleted_while_the_weights_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with too many open files: which states are needed is then not known."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    save(tmp_path, _checkpoint(1))
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.safe_open", fail)
        for number in (2, 3):
            save(tmp_path, _checkpoint(number))
    for name, number in ((PREVIOUS, 2), (LAST, 3)):
        assert read(tmp_path, name).description["step"] == number
    save(tmp_path, _checkpoint(4))
    states = sorted(path.name for path in tmp_path.glob("state-*"))
    assert states == ["state-3.safetensors", "state-4.safetensors"]
