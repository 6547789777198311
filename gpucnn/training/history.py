"""`History`: the result of a training, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpucnn.training.report import Report


@dataclass(frozen=True, repr=False)
class History:
    """The result of a training.

    Args:
        records: the object of each epoch's line in metrics.jsonl: epoch (from 1), loss and accuracy
            (of the training images while they were trained on), val_loss and val_accuracy (None
            without a validation set), images_per_second, seconds, learning_rate, and with
            `TrainConfig.clip_norm` skipped_steps. The last line of the file has test_loss and
            test_accuracy, too, if there is a test set.
        reason: why it ended: "finished", "early-stopping", or the word of a callback.
        seconds: how long it took, sessions before an interruption included.
        test: loss and accuracy on the test set with the last weights; None without one.
        learned: whether its last epoch, if not cut short, was better than guessing.
        report: confusion matrix and scores of each class on the test set, or without one on the
            validation set, with the last weights; None without both, and for targets that are no
            class ids.
    """

    records: list[dict[str, Any]]
    reason: str
    seconds: float
    test: dict[str, float] | None
    learned: bool = True
    report: Report | None = None

    def __repr__(self) -> str:
        """The number of epochs, and the numbers of the last one."""
        shown: dict[str, Any] = {"epochs": len(self.records), "reason": self.reason}
        last = self.records[-1] if self.records else {}
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            if last.get(key) is not None:
                shown[key] = float(f"{last[key]:.4g}")
        shown |= {"seconds": float(f"{self.seconds:.3g}"), "test": self.test}
        return f"History({', '.join(f'{key}={value!r}' for key, value in shown.items())})"

    def lines(self) -> list[dict[str, Any]]:
        """The objects of metrics.jsonl: the records, the last one with the result of the test."""
        if self.test is None or not self.records:
            return self.records
        test = {f"test_{key}": value for key, value in self.test.items()}
        return [*self.records[:-1], {**self.records[-1], **test}]

    @property
    def outcome(self) -> str:
        """The reason; or "learned nothing" for a finished training that did not learn."""
        if self.reason == "finished" and not self.learned:
            return "learned nothing"
        return self.reason


def best_epoch(records: list[dict[str, Any]]) -> int | None:
    """The first epoch (from 1) of the highest validation accuracy; None without validation."""
    accuracies = [record["val_accuracy"] for record in records]
    if not accuracies or accuracies[0] is None:
        return None
    return accuracies.index(max(accuracies)) + 1
