"""Scans of one bit a pixel, in which single pixels show gray."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import photos
import pytest
from PIL import Image

from gpucnn.data import load
from gpucnn.data.dithering import is_dithered, smoothed
from gpucnn.data.mnist_form import convert


@pytest.mark.parametrize("paper", [250, 245, 215, 180])
def test_a_digit_in_a_dithered_scan(paper: int, mnist_dir: Path) -> None:
    test = load("mnist", mnist_dir, validation=0).test
    assert test is not None
    for digit in test.images[:3, 0]:
        drawn = np.pad(photos.draw(digit, 160), ((60, 90), (100, 180)))
        sheet = Image.fromarray(np.rint(paper - (paper - 20) * drawn).astype(np.uint8))
        scan = sheet.convert("1")
        assert is_dithered(np.asarray(scan.convert("RGB")))
        found = convert(scan)
        assert photos.likeness(found.image, convert(sheet).image) > 0.9
        assert found.notes == ()


def test_what_is_not_dithered() -> None:
    scan = np.full((120, 150), 255, dtype=np.uint8)
    scan[30:90, 60:70] = scan[50:52, 40:110] = 0
    scan[::40, ::40] = 0  # dust
    gray = np.tile(np.array([[0, 200], [200, 0]], dtype=np.uint8), (60, 75))
    for picture in (scan, 255 - scan, gray, np.full_like(scan, 255), np.zeros_like(scan)):
        assert not is_dithered(picture)
    small = np.tile(np.array([[0, 255], [255, 0]], dtype=np.uint8), (14, 14))
    assert not is_dithered(small)
    assert is_dithered(np.tile(small, (5, 5)))
    assert np.ptp(smoothed(np.tile(small, (5, 5)).astype(float))[4:-4, 4:-4]) < 30
