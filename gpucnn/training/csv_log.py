"""The epochs of a run as a table in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from gpucnn.training.callbacks import Callback
from gpucnn.training.history import History
from gpucnn.training.run import Run
from gpucnn.training.trainer import Trainer
from gpucnn.writing import storage_errors, write_atomic


class CsvLog(Callback):
    """Writes metrics.csv of a run: the lines of its metrics.jsonl as a table.

    A missing value is empty, and numbers are written in full. The whole table is written anew after
    each epoch and after the test, so a resumed run has the table of one that was not interrupted.

    Raises:
        StorageError: at the start of the training or later, the table cannot be written.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_train_begin(self, trainer: Trainer) -> None:
        self._write(trainer.records)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self._write(trainer.records)

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        self._write(history.lines())

    def _write(self, records: Sequence[dict[str, Any]]) -> None:
        path = self.run.path / "metrics.csv"
        if records:
            write_atomic(path, table(records).encode())
        else:
            with storage_errors(path):
                path.unlink(missing_ok=True)  # of an epoch that will be trained again


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as CSV, with a header; a row that lacks a column, or has None there, is empty there."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
