"""Precision, recall and F1 by class, against their definitions."""

from __future__ import annotations

import tracemalloc

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


def test_memory_does_not_grow_with_the_square_of_the_classes() -> None:
    """The matrix of 5,000 classes takes 200 MB; the scores and the errors do without it."""
    labels = np.arange(5000)
    names = list(map(str, range(5000)))
    tracemalloc.start()
    report = Report.of(labels, labels[::-1], names, loss=0.0, accuracy=0.0)
    scores, confused = report.scores, report.confused
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6
    assert scores == [ClassScore(name, 1, 0.0, 0.0, 0.0) for name in names]
    assert confused == [(name, names[4999 - k], 1) for k, name in enumerate(names)]
    assert int(report.confusion.sum()) == 5000


def test_a_report_on_no_image() -> None:
    report = Report.of(np.zeros(0, int), np.zeros(0, int), ["a", "b"], loss=0.0, accuracy=0.0)
    assert (report.scores, report.confused) == ([], [])
    assert report.confusion.tolist() == [[0, 0], [0, 0]]
