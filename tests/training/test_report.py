"""Precision, recall and F1 by class, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn.training.report import ClassScore, Report


def test_a_small_matrix() -> None:
    """Two cats of three are found, one dog is taken for a cat, no eel is there or answered."""
    labels, answers = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    report = Report.of(labels, answers, ["cat", "dog", "eel"], loss=1.5, accuracy=0.6)
    assert report.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert report.scores == [
        ClassScore("cat", 3, pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(2 / 3)),
        ClassScore("dog", 2, 0.5, 0.5, 0.5),
    ]
    assert report.confused == [("cat", "dog", 1), ("dog", "cat", 1)]
    assert (report.loss, report.accuracy) == (1.5, 0.6)


def test_a_class_without_answers_or_without_images() -> None:
    report = Report.of(np.array([0, 0]), np.array([1, 1]), ["a", "b"], loss=0.0, accuracy=0.0)
    assert report.scores == [
        ClassScore("a", 2, None, 0.0, None),
        ClassScore("b", 0, 0.0, None, None),
    ]


def test_random_answers() -> None:
    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, 30, (2, 2000))
    report = Report.of(labels, answers, list(map(str, range(30))), loss=0.0, accuracy=0.0)
    assert report.confusion.sum() == 2000
    for k, score in enumerate(report.scores):
        hits = np.sum((labels == k) & (answers == k))
        assert score.precision == pytest.approx(hits / np.sum(answers == k))
        assert score.recall == pytest.approx(hits / np.sum(labels == k))
        both = score.precision + score.recall
        assert score.f1 == pytest.approx(2 * score.precision * score.recall / both if both else 0)
    counts = [count for _, _, count in report.confused]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == np.sum(labels != answers)
