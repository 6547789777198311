"""Arrays that are worked on a piece at a time: the results and the memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data import storage
from gpucnn.data.npz import load_numpy, read_npz
from gpucnn.data.pixels import as_images

RNG = np.random.default_rng(8)
SHAPES = [(0, 4), (1,), (170,), (3, 50), (2, 3, 40), (1, 3, 20, 4), (5, 1, 1, 9), (2, 0, 7)]
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "a view": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
}


@pytest.mark.parametrize("size", [7, 150, 10**6])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pieces_are_the_array(
    monkeypatch: pytest.MonkeyPatch, size: int, dtype: Any, layout: str
) -> None:
    monkeypatch.setattr(storage, "CHUNK", size)
    for shape in SHAPES:
        array = LAYOUTS[layout](RNG.integers(0, 256, shape).astype(dtype))
        parts = [array[piece] for piece in storage.pieces(array)]
        assert all(part.nbytes <= max(size, array.itemsize) for part in parts)
        assert b"".join(part.tobytes() for part in parts) == array.tobytes()
        halves = storage.convert(array, lambda some: (some // 2).astype(np.uint8))
        np.testing.assert_array_equal(halves, (array // 2).astype(np.uint8))
        for level in (-1, 100, 254, 300):
            above = array > level
            place = tuple(map(int, np.argwhere(above)[0])) if above.any() else None
            assert storage.first(array, lambda some, level=level: some > level) == place
            assert storage.count(array, lambda some, level=level: some > level) == above.sum()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 300, 200, 3), (60, 50, 60)])
@pytest.mark.parametrize("kind", ["uint8", "bool", "int64", "float32", "float64", "0 to 1"])
def test_the_memory_of_a_conversion(
    monkeypatch: pytest.MonkeyPatch, layout: str, shape: tuple[int, ...], kind: str
) -> None:
    """It is that of the result and of a few pieces, also for one image that is larger."""
    monkeypatch.setattr(storage, "CHUNK", 8192)
    levels = RNG.integers(0, 256, shape, dtype=np.uint8)
    values = levels / 255 if kind == "0 to 1" else levels.astype(kind)
    values = LAYOUTS[layout](values)
    tracemalloc.start()
    images, _, _ = as_images(values, "here")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = levels if kind != "bool" else (levels > 0) * np.uint8(255)
    expected = expected.transpose(0, 3, 1, 2) if levels.ndim == 4 else expected[:, np.newaxis]
    np.testing.assert_array_equal(images, expected)
    # A bytearray that grows has an eighth in reserve.
    assert peak < 1.13 * images.nbytes + 10 * storage.CHUNK


def test_the_memory_of_an_archive_in_fortran_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK", 8192)
    images = np.asfortranarray(RNG.integers(0, 256, (9, 90, 80)).astype(np.float64))
    np.savez(tmp_path / "a.npz", images=images, y=np.arange(9) % 3)
    peaks = []
    for read in (load_numpy, read_npz):
        tracemalloc.start()
        read(tmp_path / "a.npz")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 0.4 * images.nbytes


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_and_the_same_as_rows(tmp_path: Path, layout: str) -> None:
    images = LAYOUTS[layout](RNG.integers(0, 17, (6, 4, 4)).astype(np.float64))
    rows = images.reshape(6, 16)
    np.savez(tmp_path / "a.npz", images=images, data=rows, target=np.arange(6) % 2)
    (part,) = read_npz(tmp_path / "a.npz").parts
    np.testing.assert_array_equal(part.images[:, 0], images)
