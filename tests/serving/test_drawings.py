"""Digits drawn by the tests' own pen, sent to a server of a LeNet that was trained on MNIST."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pen
import pytest
from serving_client import served, trained

from gpucnn import data


def test_the_pen_draws_digits_of_many_kinds() -> None:
    drawings = list(pen.drawings())
    assert len(drawings) == 450
    assert Counter(digit for _, digit, _ in drawings) == dict.fromkeys(range(10), 45)
    assert len({drawing.tobytes() for _, _, drawing in drawings}) == 450
    for _, _, drawing in drawings:
        assert drawing.shape == (pen.SIDE, pen.SIDE)
        assert drawing.min() == 0  # it is there
        edges = [*drawing[0], *drawing[-1], *drawing[:, 0], *drawing[:, -1]]
        assert min(edges) == 255  # and all of it is on the paper


@pytest.mark.slow
def test_a_network_trained_with_strokes_reads_them(mnist_dir: Path, tmp_path: Path) -> None:
    """At least 95 % of them, after one epoch."""
    saved = trained(tmp_path, "lenet", data.load("mnist", mnist_dir), augment="strokes")
    drawings = list(pen.drawings())
    del drawings[2::3]  # 300 show enough, and take less time
    wrong: Counter[str] = Counter()
    with served(saved) as client:
        for kind, digit, drawing in drawings:
            answer = client.predict(pen.png(drawing), "image/png").json["predictions"][0]
            wrong[kind] += answer["label"] != str(digit)
    assert wrong.total() <= 0.05 * len(drawings), dict(wrong)
