"""The metadata of weights: values that no training writes are refused, and long texts are cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpucnn.errors import DataError
from gpucnn.training.description import Description

FILE = Path("w.safetensors")
GOOD: dict[str, Any] = {
    "image_shape": [1, 2, 2], "class_names": ["a", "b"], "scale": 1 / 255, "offset": 0.0,
    "epoch": 3, "read": "4 images of digits: 2 classes a, b",
}  # fmt: skip


def test_what_is_read() -> None:
    found = Description.of(GOOD, FILE)
    assert (found.class_names, found.label_values) == (["a", "b"], ["a", "b"])
    assert (found.scale, found.offset, found.epoch) == (1 / 255, 0.0, 3)
    assert found.read == GOOD["read"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("epoch", value) for value in (-5, -1, True, 1.0, "3", None, 10**400, 2**63)),
        *(("scale", value) for value in (1e300, -1e300, 1.1e9, float("nan"), True, 1)),
        *(("offset", value) for value in (1e38, -1.1e9, float("inf"), "0")),
        *(("class_names", value) for value in (
            ["a", "a"], ["a", "\ud800"], ["a", "b" * 201], ["a", 3], [], "ab"
        )),
        *(("label_values", value) for value in (["a"], ["a", "b" * 201], ["a", None])),
    ],
)  # fmt: skip
def test_a_value_that_no_training_writes(key: str, value: Any) -> None:
    with pytest.raises(DataError) as caught:
        Description.of({**GOOD, key: value}, FILE)
    assert f"its {key} is " in str(caught.value.cause)
    assert len(str(caught.value.cause)) < 300


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epoch", 0), ("epoch", 2**63 - 1), ("scale", -1e9), ("offset", 255e6),
        ("class_names", ["a" * 200, "b"]), ("class_names", ["A", "a"]),
        ("label_values", ["0", "0"]),
    ],
)  # fmt: skip
def test_a_value_at_the_bounds(key: str, value: Any) -> None:
    assert getattr(Description.of({**GOOD, key: value}, FILE), key) == value


@pytest.mark.parametrize(
    ("read", "longest"), [("r" * 10**6, 203), ("r " * 10**6, 1003), ("\x1b\n" * 10**5, 1003)]
)
def test_a_long_text_is_cut(read: str, longest: int) -> None:
    found = Description.of({**GOOD, "read": read}, FILE).read
    assert found.isprintable()
    assert len(found) <= longest
    assert found.endswith("...")
