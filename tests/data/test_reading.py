"""What is said of how files become arrays."""

from __future__ import annotations

from typing import Any

import pytest

from gpucnn.data.reading import Reading, parse_shape, parse_size
from gpucnn.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("text", "shape", "channels"),
    [
        ("28x28", (1, 28, 28), None),
        ("28X20", (1, 28, 20), None),
        ("28x28x3", (3, 28, 28), "last"),
        ("3x28x28", (3, 28, 28), "first"),
        ("28x28x1", (1, 28, 28), "last"),
        ("1x28x28", (1, 28, 28), "first"),
        ("(28, 20, 3)", (3, 28, 20), "last"),
        ("3x5", (1, 3, 5), None),
    ],
)
def test_shapes(text: str, shape: tuple[int, ...], channels: str | None) -> None:
    assert parse_shape(text) == (shape, channels)


@pytest.mark.parametrize(
    "text", ["28", "", "0x28", "28x28x4", "3x3x3", "1x28x3", "28x28x3x1", "axb", "-3x4", "2.5x3"]
)
def test_shapes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="the image shape is") as error:
        parse_shape(text)
    assert "28x28" in (error.value.fix or "")


def test_sizes() -> None:
    assert parse_size("64") == (64, 64)
    assert parse_size("48x64") == (48, 64)
    for text in ("", "0", "3x28x28", "a", "-1"):
        with pytest.raises(UsageError, match="the size of the images is"):
            parse_size(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": "middle"}, "channels is 'middle'"),
        ({"convert": "invert"}, "convert is 'invert'"),
        ({"convert": "mnist", "image_size": (32, 32)}, "32x32 are to be converted"),
        ({"convert": "mnist", "image_shape": (3, 28, 28)}, "3x28x28 are to be converted"),
        ({"image_shape": (1, 28, 28), "image_size": (32, 32)}, "leave one of them out"),
        ({"image_size": "32"}, "image_size is '32', where it takes (H, W)"),
        ({"image_size": 32}, "write image_size=(32, 32)"),
        ({"image_shape": (28, 28)}, "write image_shape=(3, 32, 32)"),
        ({"image_shape": (1.0, 28, 28)}, "image_shape is (1.0, 28, 28)"),
    ],
)
def test_contradictions(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Reading(**options)
    assert message in str(error.value)


def test_what_is_said_goes_over_what_is_known() -> None:
    known = Reading(image_shape=(1, 28, 28), convert="mnist", white=255, transpose=True)
    assert Reading().over(known) == known
    given = Reading(convert="none", transpose=False).over(known)
    assert given == Reading(image_shape=(1, 28, 28), convert="none", white=255, transpose=False)


def test_there_and_back() -> None:
    reading = Reading(
        label_column="y", image_shape=(3, 8, 9), channels="last", white=1, transpose=False
    )
    assert Reading.from_dict(reading.as_dict(), "w") == reading
    assert Reading().as_dict() == {}


@pytest.mark.parametrize(
    "values",
    [
        {"image_shape": [1, "28", 28]},
        {"image_shape": [1, 0, 28]},
        {"image_shape": 28},
        {"image_size": [True, 3]},
        {"convert": "sharpen"},
        {"unknown": 1},
    ],
)
def test_damaged_descriptions(values: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="w does not say how its data were read"):
        Reading.from_dict(values, "w")
