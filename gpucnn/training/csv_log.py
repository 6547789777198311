"""The epochs of a run as a table in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpucnn.training.callbacks import Callback
from gpucnn.training.files import storage_errors, write_atomic
from gpucnn.training.history import History
from gpucnn.training.trainer import Trainer


class CsvLog(Callback):
    """Writes the records of a training as CSV: a header, then a line an epoch.

    The columns are those of metrics.jsonl, a missing value is empty, and numbers are written in
    full. The whole file is written anew after each epoch, from the records alone: so a resumed
    training leaves the file of one that was not interrupted.

    Args:
        path: the file, in a folder that exists when the training begins.

    Raises:
        StorageError: at the start of the training or later, the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, trainer: Trainer) -> None:
        if trainer.records:
            self._write(trainer.records)
        else:
            with storage_errors(self.path):
                self.path.unlink(missing_ok=True)  # of an epoch that will be trained again

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self._write(trainer.records)

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        self._write(trainer.records)

    def _write(self, records: Sequence[dict[str, Any]]) -> None:
        write_atomic(self.path, table(records).encode())


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as CSV, with a header; a row that lacks a column, or has None there, is empty there."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
