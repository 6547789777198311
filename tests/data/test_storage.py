"""Arrays that are larger than memory: the same values, in a file."""

from __future__ import annotations

import errno
import gzip
import hashlib
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import idx_bytes, picture_folder, pixel_table
from processes import environment

from gpucnn.backend.cpu.memory import Usage
from gpucnn.data import Dataset, Loader, load, pixel_scaling, storage
from gpucnn.data.dataset import digest
from gpucnn.data.finite import require_finite
from gpucnn.data.loading import find
from gpucnn.data.npz import load_numpy
from gpucnn.data.splits import hold_out
from gpucnn.errors import DataError, GpucnnWarning, OutOfMemoryError
from gpucnn.models import get
from gpucnn.training import TrainConfig, evaluate, fit

LIMIT = 1000  # bytes
RNG = np.random.default_rng(5)
GRAY = RNG.integers(0, 256, (40, 6, 8), dtype=np.uint8)
COLORS = RNG.integers(0, 256, (30, 6, 8, 3), dtype=np.uint8)
LABELS = np.arange(40) % 3


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def limit(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of more than `LIMIT` bytes are large, and chunks have a few rows."""
    monkeypatch.setattr(storage, "large", lambda: LIMIT)
    monkeypatch.setattr(storage, "CHUNK", 150)


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array is in a file, and not in memory."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


@pytest.mark.parametrize(
    ("total", "expected"),
    [(None, 256), (400, 64), (512, 64), (2048, 256), (8000, 1000), (64_000, 8000)],
)
def test_the_limit(monkeypatch: pytest.MonkeyPatch, total: int | None, expected: int) -> None:
    """An eighth of the memory, and at least 64 MB; 256 MB where the memory is not known."""
    found = total and Usage(0, 0, total * 10**6)
    monkeypatch.setattr(storage, "usage", lambda: found)
    assert storage.large.__wrapped__() == expected * 10**6


class TestSpool:
    @pytest.mark.parametrize("pieces", [[0], [1000], [999, 1], [999, 2], [1001], [400] * 9, [5000]])
    def test_bytes_go_into_a_file_when_they_are_many(
        self, limit: None, cache: Path, pieces: list[int]
    ) -> None:
        expected = [bytes(RNG.integers(0, 256, size, dtype=np.uint8)) for size in pieces]
        spool = storage.Spool()
        for piece in expected:
            spool.add(piece)
        content = spool.content()
        assert isinstance(content, mmap.mmap) == (sum(pieces) > LIMIT)
        assert bytes(content) == b"".join(expected)
        assert not cache.exists() or not list(cache.iterdir())  # the file has no name

    @pytest.mark.skipif(os.name == "nt", reason="the rights are those of POSIX")
    def test_the_folder_is_the_users_alone(self, limit: None, cache: Path) -> None:
        storage.Spool().add(bytes(LIMIT + 1))
        assert cache.stat().st_mode & 0o777 == 0o700

    def test_a_folder_that_cannot_be_made(self, limit: None, cache: Path) -> None:
        cache.parent.write_text("")
        spool = storage.Spool()
        spool.add(b"a" * LIMIT)
        with pytest.warns(GpucnnWarning, match="held in memory.*\n.*GPUCNN_CACHE_DIR"):
            spool.add(b"b")
        spool.add(b"c" * 3)  # without a second warning
        assert spool.content() == b"a" * LIMIT + b"bccc"

    @pytest.mark.parametrize("room", [0, 500, 1000, 1400, 2500])
    def test_a_full_disk(self, limit: None, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        """The bytes that were written come back into memory."""
        make = tempfile.TemporaryFile

        class Full:
            """A file that takes `room` bytes, at most 400 at a time."""

            def __init__(self, **options: Any) -> None:
                self.file, self.left = make(**options), room
                self.fileno, self.close = self.file.fileno, self.file.close

            def write(self, data: memoryview) -> int:
                if not self.left:
                    raise OSError(errno.ENOSPC, "No space left on device")
                written = self.file.write(data[: min(400, self.left)])
                self.left -= written
                return int(written)

        monkeypatch.setattr(tempfile, "TemporaryFile", Full)
        pieces = [np.full(700, k, np.uint8) for k in range(5)]
        with pytest.warns(GpucnnWarning, match="No space left on device"):
            array = storage.stored(pieces, (3500,), np.uint8)
        np.testing.assert_array_equal(array, np.concatenate(pieces))


class TestArrays:
    @pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64, np.bool_, ">i4"])
    @pytest.mark.parametrize(
        "indices",
        [
            slice(3, 300, 2),
            np.arange(299, -1, -1),
            [-1, 0, 0, 7] * 60,
            np.arange(300) % 7 > 0,
            np.zeros(300, bool),
            np.zeros(0, int),
        ],
    )
    def test_take(self, limit: None, dtype: Any, indices: Any) -> None:
        array = RNG.integers(0, 2, (300, 2, 3)).astype(dtype)
        taken = storage.take(array, indices)
        np.testing.assert_array_equal(taken, array[indices])
        assert taken.dtype == array.dtype
        assert is_mapped(taken) == (not isinstance(indices, slice) and taken.nbytes > LIMIT)

    def test_a_place_that_is_not_there(self, limit: None) -> None:
        with pytest.raises(IndexError):
            storage.take(np.zeros((300, 8)), [*range(299), 300])

    def test_the_others(self, limit: None) -> None:
        array = RNG.integers(0, 256, (7, 5, 11, 13), dtype=np.uint8)
        other = storage.concatenate([array, array[:0], array[::2]])
        np.testing.assert_array_equal(other, np.concatenate([array, array[::2]]))
        assert is_mapped(other)
        assert not is_mapped(storage.concatenate([array[:1]]))
        for view in (array.transpose(0, 2, 3, 1), np.asfortranarray(array), array[:, :, ::2]):
            laid = storage.contiguous(view)
            np.testing.assert_array_equal(laid, view)
            assert laid.flags.c_contiguous
            assert is_mapped(laid)
        assert storage.contiguous(array) is array
        lighter = storage.convert(array, lambda some: some // 2)
        np.testing.assert_array_equal(lighter, array // 2)
        assert storage.count(array, lambda some: some > 200) == (array > 200).sum()
        place = storage.first(array, lambda some: some == 255)
        assert place == tuple(np.argwhere(array == 255)[0])
        assert storage.first(array, lambda some: some > 255) is None

    def test_a_mapped_array_is_read_only(self, limit: None) -> None:
        array = storage.take(np.zeros((300, 8)), range(300))
        assert type(array) is np.ndarray
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


class TestDataset:
    @pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
    def test_the_digest_is_that_of_the_whole_array(self, limit: None, dtype: Any) -> None:
        """As it was computed for the runs that there are."""
        images = RNG.integers(0, 256, (40, 1, 6, 8)).astype(dtype).transpose(0, 1, 3, 2)
        dataset = Dataset("mine", images, LABELS, 3)
        sha = hashlib.sha256()
        for array in (images, LABELS.astype(np.int32)):
            sha.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
        assert digest([dataset]) == sha.hexdigest()

    def test_standardised_pixels(self, limit: None) -> None:
        dataset = Dataset("mine", GRAY[:, None], LABELS, 3)
        scale, offset = pixel_scaling(dataset, standardise=True)
        inputs = GRAY * scale + offset
        np.testing.assert_allclose((inputs.mean(), inputs.std()), (0, 1), atol=1e-12)

    def test_the_first_number_that_is_not_finite(self, limit: None) -> None:
        array = np.zeros((100, 3, 5), np.float32)
        array[71, 2, 4], array[90] = -np.inf, np.nan
        with pytest.raises(DataError, match="image 71 holds infinity"):
            require_finite(array, "image {}")

    def test_images_that_are_held_out(self, limit: None, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset = Dataset("mine", GRAY[:, None], LABELS, 3)
        parts = hold_out(dataset, 5)
        assert is_mapped(parts[0].images)
        monkeypatch.setattr(storage, "large", lambda: 10**9)
        for part, expected in zip(parts, hold_out(dataset, 5), strict=True):
            assert part is not None
            assert expected is not None
            np.testing.assert_array_equal(part.images, expected.images)
            assert not is_mapped(expected.images)


def save_idx(folder: Path, pack: Callable[[bytes], bytes] = bytes) -> Path:
    folder.mkdir()
    suffix = "" if pack is bytes else ".gz"
    (folder / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(idx_bytes(GRAY)))
    (folder / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(idx_bytes(LABELS)))
    return folder


def save_npz(path: Path, images: np.ndarray, save: Any = np.savez) -> Path:
    save(path, x=images, y=LABELS[: len(images)])
    return path


def save_table(path: Path, scale: float = 1) -> Path:
    return pixel_table(path, GRAY.reshape(40, 48)[:, :36] * scale, LABELS)


def save_cifar(folder: Path) -> Path:
    folder.mkdir()
    for k in (1, 2):
        records = RNG.integers(0, 10, (3, 3073), dtype=np.uint8)
        (folder / f"data_batch_{k}.bin").write_bytes(records.tobytes())
    return folder


def save_pictures(folder: Path) -> Path:
    picture_folder(folder / "1" / "more", COLORS[:3], LABELS[:3])
    return picture_folder(folder, GRAY[:9], LABELS[:9])


FLOATS = GRAY.astype(np.float32) / 255
FILES: dict[str, Callable[[Path], Path]] = {
    "uint8": lambda tmp: save_npz(tmp / "a.npz", GRAY),
    "compressed": lambda tmp: save_npz(tmp / "a.npz", GRAY, np.savez_compressed),
    "channels last": lambda tmp: save_npz(tmp / "a.npz", COLORS),
    "Fortran order": lambda tmp: save_npz(tmp / "a.npz", np.asfortranarray(COLORS)),
    "compressed Fortran order": lambda tmp: save_npz(
        tmp / "a.npz", np.asfortranarray(COLORS), np.savez_compressed
    ),
    "floats to 1": lambda tmp: save_npz(tmp / "a.npz", FLOATS),
    "floats to 255": lambda tmp: save_npz(tmp / "a.npz", GRAY.astype(np.float64)),
    "big-endian integers": lambda tmp: save_npz(tmp / "a.npz", GRAY.astype(">i8")),
    "bools": lambda tmp: save_npz(tmp / "a.npz", GRAY > 99),
    "zeros and ones": lambda tmp: save_npz(tmp / "a.npz", (GRAY > 99).astype(np.int16)),
    "idx": lambda tmp: save_idx(tmp / "set"),
    "idx.gz": lambda tmp: save_idx(tmp / "set", gzip.compress),
    "table": lambda tmp: save_table(tmp / "a.csv"),
    "table of floats": lambda tmp: save_table(tmp / "a.csv", 1 / 255),
    "CIFAR-10": lambda tmp: save_cifar(tmp / "cifar"),
    "pictures": lambda tmp: save_pictures(tmp / "pictures"),
}


class TestReaders:
    @pytest.mark.parametrize("name", FILES)
    def test_large_images_are_those_of_small_data(
        self, tmp_path: Path, limit: None, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        path = FILES[name](tmp_path)
        large = find(path)
        monkeypatch.setattr(storage, "large", lambda: 10**9)
        small = find(path)
        for part, expected in zip(large.parts, small.parts, strict=True):
            np.testing.assert_array_equal(part.images, expected.images)
            np.testing.assert_array_equal(part.labels, expected.labels)
            assert is_mapped(part.images)
            assert not is_mapped(expected.images)
            assert part.items == expected.items
        assert (large.said, large.notes, large.reading) == (small.said, small.notes, small.reading)

    def test_an_npy_file(self, tmp_path: Path, limit: None) -> None:
        np.save(tmp_path / "a.npy", GRAY)
        (part,) = find(tmp_path / "a.npy", labeled=False).parts
        np.testing.assert_array_equal(part.images[:, 0], GRAY)
        assert is_mapped(part.images)

    def test_lines_of_a_large_table(self, tmp_path: Path, limit: None) -> None:
        """A blank line, a quoted cell, and the number of the line that is wrong."""
        path = save_table(tmp_path / "a.csv")
        lines = path.read_text().splitlines()
        lines[3:3] = ["", "  "]
        lines[9] = f'"{lines[9].split(",")[0]}",' + lines[9].split(",", 1)[1]
        path.write_text("\n".join(lines))
        (part,) = find(path).parts
        np.testing.assert_array_equal(part.images.reshape(40, 36), GRAY.reshape(40, 48)[:, :36])
        lines[30] = lines[30].replace(lines[30].split(",")[7], "x")
        path.write_text("\n".join(lines))
        with pytest.raises(DataError, match="line 31: the pixel"):
            find(path)

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    @pytest.mark.parametrize("place", [0.3, 0.6])
    def test_damage_in_a_large_array(
        self, tmp_path: Path, limit: None, save: Any, place: float
    ) -> None:
        path = save_npz(tmp_path / "a.npz", GRAY, save)
        content = bytearray(path.read_bytes())
        content[int(len(content) * place)] ^= 4
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.npz cannot be read"):
            load_numpy(path)

    @pytest.mark.parametrize("name", ["a.npy", "train-images-idx3-ubyte"])
    def test_a_large_file_that_is_cut_short(self, tmp_path: Path, limit: None, name: str) -> None:
        if name == "a.npy":
            np.save(tmp_path / name, GRAY)
        else:
            (tmp_path / name).write_bytes(idx_bytes(GRAY))
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-1])
        with pytest.raises(DataError, match=r"header says|not a file of plain"):
            find(tmp_path / name, labeled=False)

    def test_the_error_for_a_file_beyond_the_limit_names_the_way_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", "1")
        for name in ("a.npy", "images-idx3-ubyte"):
            with (tmp_path / name).open("wb") as file:
                file.truncate(2_000_000)
            with pytest.raises(DataError) as error:
                find(tmp_path / name, labeled=False)
            assert error.value.fix == (
                "if you trust it, set GPUCNN_MAX_INPUT_MB to the megabytes that it has"
            )


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "train-images-idx3-ubyte"])
def test_a_file_beyond_the_address_space(
    tmp_path: Path, limit: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As that of ``ulimit -v``: not a file that cannot be read."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    if name == "a.npz":
        save_npz(tmp_path / name, GRAY)
    elif name == "a.npy":
        np.save(tmp_path / name, GRAY)
    else:
        (tmp_path / name).write_bytes(idx_bytes(GRAY))
    monkeypatch.setattr(mmap, "mmap", full)
    with pytest.raises(OutOfMemoryError, match=r"a file of .* bytes does not fit into memory"):
        find(tmp_path / name, labeled=False)


def test_training_gives_the_same_bits(
    tmp_path: Path, limit: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_npz(tmp_path / "a.npz", COLORS)
    found = []
    for large in (LIMIT, 10**9):
        monkeypatch.setattr(storage, "large", lambda large=large: large)
        splits = load(path, validation=5)
        assert is_mapped(splits.train.images) == (large == LIMIT)
        model = get("softmax", 3)
        config = TrainConfig(
            epochs=2, batch_size=7, device="cpu", standardise=True, augment="flip,color"
        )
        history = fit(model, splits, config)
        result = evaluate(model, splits.train)
        weights = {name: array.tobytes() for name, array in model.state_dict().items()}
        found.append((weights, result, [r["val_loss"] for r in history.records]))
    assert found[0] == found[1]


def test_batches_of_every_device(backend: Any, limit: None) -> None:
    dataset = Dataset("mine", storage.take(GRAY[:, None], range(40)), LABELS, 3)
    images, labels = Loader(dataset, 11, backend, shuffle=False).batch(0, 1)
    np.testing.assert_allclose(backend.to_numpy(images), GRAY[11:22, None] / 255, rtol=1e-6)
    np.testing.assert_array_equal(backend.to_numpy(labels), LABELS[11:22])


_TRAIN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (600 * 10**6,) * 2)  # mapped files do not count
from gpucnn.cli.main import main
main(sys.argv[1:], "gpucnn")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="another system counts other memory")
def test_a_data_set_larger_than_memory(tmp_path: Path) -> None:
    count = 900_000  # 706 MB
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(count) % 2
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(count) % 2)
    del images
    command = [
        sys.executable, "-c", _TRAIN, "train", "--data", "a.npz", "--model", "softmax",
        "--epochs", "1", "--limit-batches", "20", "--device", "cpu",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment(GPUCNN_CACHE_DIR=str(tmp_path / "cache"), GPUCNN_THREADS="1"),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "900,000 images of a.npz" in done.stdout + done.stderr
