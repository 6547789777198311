"""Training: options, the loop, checkpoints and run directories."""

from __future__ import annotations

from gpucnn.spelling import explain_names
from gpucnn.training import checkpoint
from gpucnn.training.callbacks import Callback
from gpucnn.training.config import TrainConfig
from gpucnn.training.evaluation import evaluate
from gpucnn.training.finder import LearningRates, find_learning_rate
from gpucnn.training.history import History
from gpucnn.training.loop import fit, fit_trainer
from gpucnn.training.run import Run
from gpucnn.training.saved import SavedModel
from gpucnn.training.saving import save_run
from gpucnn.training.tensorboard import TensorBoard
from gpucnn.training.trainer import Trainer

__all__ = [
    "Callback", "History", "LearningRates", "Run", "SavedModel", "TensorBoard", "TrainConfig",
    "Trainer", "checkpoint", "evaluate", "find_learning_rate", "fit", "fit_trainer",
    "save_run",
]  # fmt: skip

explain_names(
    __name__,
    {
        **dict.fromkeys(
            ("train", "train_model"), "use gpucnn.training.fit(model, data, TrainConfig(epochs=5))"
        ),
        **dict.fromkeys(("test", "validate"), "use gpucnn.training.evaluate"),
        **dict.fromkeys(("Config", "TrainingConfig"), "use gpucnn.training.TrainConfig"),
        "EarlyStopping": "give TrainConfig the option patience=3",
        "ModelCheckpoint": "give fit a run: run=gpucnn.training.Run.create(...)",
    },
)
