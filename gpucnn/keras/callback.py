"""The base of the callbacks by Keras's names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gpucnn.errors import UsageError
from gpucnn.printing import Printable

#: Keras's events outside of a training.
_NEVER = tuple(
    f"on_{what}_{when}"
    for what in ("test", "test_batch", "predict", "predict_batch")
    for when in ("begin", "end")
)


class Callback(Printable):
    """Base of the callbacks: override what is needed.

    Epochs and batches are counted from 0. `logs` holds the loss and the metrics so far by their
    names, those of the validation as "val_loss"; at the end of an epoch a callback may add to it.

    Attributes:
        model: the `gpucnn.keras.Sequential` that is trained.
        params: "epochs", "steps" an epoch, "verbose".
    """

    model: Any  # callbacks are below Sequential in the order of imports
    params: dict[str, Any]

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first batch."""

    def on_train_end(self, logs: Any = None) -> None:
        """After the last epoch, unless an error ended the training."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before the first batch of an epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After the validation of an epoch."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch; `logs` is empty."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch. To override it makes the training wait for the device at each step."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """The older name of `on_train_batch_end`."""

    def _reads_batches(self) -> bool:
        """Whether it overrides one of the two events after a batch."""
        return any(
            getattr(getattr(self, name), "__func__", None) is not getattr(Callback, name)
            for name in ("on_train_batch_end", "on_batch_end")
        )

    def _check_training(self, names: Collection[str]) -> None:
        """Check the callback before the training, given the names that `logs` will have.

        Raises:
            UsageError: the callback cannot do its work in this training.
        """
        unused = [name for name in _NEVER if hasattr(self, name)]
        if unused:
            raise UsageError(
                f"{type(self).__name__} defines {unused[0]}, which is never called",
                cause="callbacks are called only in training",
                fix="use on_train_batch_end, on_epoch_end or on_train_end",
            )
