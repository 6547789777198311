"""The confusion matrix of an evaluation, and the scores of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Classes up to which the confusion matrix is drawn and written whole: it has K * K numbers.
LARGEST = 1000


class ClassScore(NamedTuple):
    """The scores of a class.

    Attributes:
        label: its name.
        images: the number of its images.
        precision: the fraction of right answers among the answers of this class; None without
            such answers.
        recall: the fraction of right answers among its images; None without images.
        f1: the harmonic mean of both; None if one of them is.
    """

    label: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, eq=False)
class Report:
    """Loss, accuracy and confusion matrix on a data set.

    Args:
        loss: the mean.
        accuracy: the fraction of right answers.
        pairs: int64 (P, 2), the pairs of a class and an answer that occur, in order.
        counts: int64 (P,), the number of images of each pair.
        class_names: of the K classes.
    """

    loss: float
    accuracy: float
    pairs: NDArray[np.int64]
    counts: NDArray[np.int64]
    class_names: Sequence[str]

    @classmethod
    def of(
        cls,
        labels: NDArray[Any],
        answers: NDArray[Any],
        class_names: Sequence[str],
        *,
        loss: float,
        accuracy: float,
    ) -> Report:
        """The report on class ids (N,) and the answers to them (N,)."""
        K = len(class_names)
        pairs, counts = np.unique(labels.astype(np.int64) * K + answers, return_counts=True)
        pairs = np.stack(np.divmod(pairs, K), axis=1)
        return cls(loss, accuracy, pairs, counts.astype(np.int64), class_names)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """int64 (K, K): row i, column j counts the images of class i with the answer j."""
        K = len(self.class_names)
        confusion = np.zeros((K, K), np.int64)
        confusion[self.pairs[:, 0], self.pairs[:, 1]] = self.counts
        return confusion

    @property
    def scores(self) -> list[ClassScore]:
        """The scores of each class that has images or answers."""
        images, answered, right = np.zeros((3, len(self.class_names)), np.int64)
        i, j = self.pairs.T
        np.add.at(images, i, self.counts)
        np.add.at(answered, j, self.counts)
        right[i[i == j]] = self.counts[i == j]
        found = []
        columns = (images.tolist(), answered.tolist(), right.tolist())
        for label, n, answers, hits in zip(self.class_names, *columns, strict=True):
            if not n and not answers:
                continue
            precision = hits / answers if answers else None
            recall = hits / n if n else None
            f1 = 2 * hits / (n + answers) if n and answers else None
            found.append(ClassScore(label, n, precision, recall, f1))
        return found

    @property
    def confused(self) -> list[tuple[str, str, int]]:
        """(class, wrong answer, number of images), the most frequent first."""
        wrong = self.pairs[:, 0] != self.pairs[:, 1]
        pairs, counts = self.pairs[wrong], self.counts[wrong]
        order = np.argsort(-counts, kind="stable")
        names = self.class_names
        return [
            (names[i], names[j], count)
            for (i, j), count in zip(pairs[order].tolist(), counts[order].tolist(), strict=True)
        ]
