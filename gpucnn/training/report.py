"""The confusion matrix of an evaluation, and the scores of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


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
        confusion: int64 (K, K): row i, column j counts the images of class i with the answer j.
        class_names: of the K classes.
    """

    loss: float
    accuracy: float
    confusion: NDArray[np.int64]
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
        classes = len(class_names)
        pairs = labels.astype(np.int64) * classes + answers
        confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        return cls(loss, accuracy, confusion, class_names)

    @property
    def scores(self) -> list[ClassScore]:
        """The scores of each class that has images or answers."""
        found = []
        for k, label in enumerate(self.class_names):
            images, answered = int(self.confusion[k].sum()), int(self.confusion[:, k].sum())
            if not images and not answered:
                continue
            right = int(self.confusion[k, k])
            precision = right / answered if answered else None
            recall = right / images if images else None
            f1 = None
            if precision is not None and recall is not None:
                f1 = 2 * right / (images + answered)
            found.append(ClassScore(label, images, precision, recall, f1))
        return found

    @property
    def confused(self) -> list[tuple[str, str, int]]:
        """(class, wrong answer, number of images), the most frequent first."""
        errors = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-errors, axis=None, kind="stable")
        pairs = [(int(place) // len(errors), int(place) % len(errors)) for place in order]
        return [
            (self.class_names[i], self.class_names[j], int(errors[i, j]))
            for i, j in pairs
            if errors[i, j]
        ]
