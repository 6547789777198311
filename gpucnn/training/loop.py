"""`fit`: the loop over epochs and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from gpucnn.data import Loader, Splits
from gpucnn.errors import DivergedError, Interrupted, StorageError, UsageError, expect
from gpucnn.nn import Module
from gpucnn.training.callbacks import Callback, Checkpointer, EarlyStopping, StopOnSignal
from gpucnn.training.config import TrainConfig
from gpucnn.training.evaluation import class_ids, count_outputs
from gpucnn.training.history import History
from gpucnn.training.logs import log_callbacks
from gpucnn.training.metrics import beats_guessing
from gpucnn.training.run import Run
from gpucnn.training.saving import record
from gpucnn.training.trainer import Trainer

_SPLITS = 'give data.load("digits"), or data.Splits(data.Dataset("mine", images, labels, classes))'
_CALLBACK = (
    "subclass gpucnn.training.Callback; those of gpucnn.keras are for gpucnn.keras.Sequential.fit"
)


def fit(
    model: Module,
    data: Splits,
    config: TrainConfig,
    callbacks: Sequence[Callback] = (),
    *,
    run: Run | None = None,
    resume: bool = False,
) -> History:
    """Train a model; the same arguments give the same weights, bit by bit.

    Args:
        model, data, config: as in `Trainer`.
        callbacks: called after the callbacks of `config` and `run`.
        run: the directory for checkpoints and metrics, which the commands take. It describes layers
            of `gpucnn.nn`; for layers of your own, `config.model` names their file:
            "my_net.py:build". Without a run nothing is written, and Ctrl-C raises KeyboardInterrupt
            as usual.
        resume: continue from the checkpoint in `run`, to the bits of an uninterrupted training.

    Raises:
        UsageError: the options do not fit each other or the data.
        DivergedError: a loss was not finite; it names the layer. The checkpoint is left as it was.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint is saved.
        DataError, WeightsMismatchError: the checkpoint cannot be resumed.
        StorageError: the run directory cannot be written; the previous checkpoint is intact.
    """
    expect(model, Module, "the model", "give a gpucnn.nn.Module, such as Sequential([...])")
    expect(data, Splits, "data", _SPLITS)
    expect(config, TrainConfig, "config", "give TrainConfig(epochs=5, batch_size=64)")
    about = record(run, model, data, config) if isinstance(run, Run) else {}
    trainer = Trainer(model, data, config, about=about)
    return fit_trainer(trainer, callbacks, run=run, resume=resume)


def fit_trainer(
    trainer: Trainer,
    callbacks: Sequence[Callback] = (),
    *,
    run: Run | None = None,
    resume: bool = False,
) -> History:
    """`fit` with a trainer; making the trainer has checked model, data and options."""
    expect(callbacks, (list, tuple), "callbacks", "give a list: [callback]")
    for callback in callbacks:
        expect(callback, Callback, "a callback", _CALLBACK)
    if run is not None:
        expect(run, Run, "run", "give Run.create(...), or None")
    trainer.run = run
    if resume and run is None:
        raise UsageError("resume needs the run to continue", fix="give run=Run.open(...)")
    saver = Checkpointer(run, trainer.config.checkpoint_every) if run else None
    stopper = StopOnSignal() if run else None
    chain: list[Callback] = []
    if trainer.config.patience:
        chain.append(EarlyStopping(trainer.config.patience))
    chain += [callback for callback in (saver, stopper) if callback]
    chain += log_callbacks(trainer.config, run) if run else []
    chain += callbacks
    with _session(trainer, run, saver, chain):
        if saver and resume:
            saver.resume(trainer)
        for callback in chain:
            callback.on_train_begin(trainer)
        while len(trainer.records) < trainer.config.epochs and trainer.stop is None:
            # A checkpoint that was saved during a validation has all steps of its epoch.
            start = trainer.steps_per_epoch if trainer.record_due else trainer.step_in_epoch
            for _ in range(start, trainer.steps_per_epoch):
                trainer.train_step()
                while trainer.notes:
                    note = trainer.notes.pop(0)
                    for callback in chain:
                        callback.on_note(trainer, note)
                for callback in chain:
                    callback.on_step_end(trainer)
                if trainer.step % trainer.config.log_interval == 0:
                    loss, accuracy = trainer.read()
                    for callback in chain:
                        callback.on_log(trainer, loss, accuracy)
                if trainer.stop and trainer.step_in_epoch:
                    break
            else:
                record = trainer.end_epoch()
                for callback in chain:
                    callback.on_epoch_end(trainer, record)
        if trainer.step_in_epoch and saver:
            saver.save(trainer)
        if trainer.stop == "interrupted":
            raise KeyboardInterrupt
        if stopper:
            stopper.stop_at_once()
        return _finish(trainer, chain)


@contextmanager
def _session(
    trainer: Trainer, run: Run | None, saver: Checkpointer | None, chain: Sequence[Callback]
) -> Iterator[None]:
    """Reserve the run, close the callbacks at the end, and turn Ctrl-C into `Interrupted`."""
    with run.lock() if run else nullcontext():
        try:
            yield
        except KeyboardInterrupt:
            if run is None:
                raise
            if saver and trainer.record_due:  # the epoch is trained, its validation interrupted
                saver.save(trainer)
            raise _interrupted(run, saver) from None
        except DivergedError as error:
            if run is not None:
                with suppress(StorageError):  # the divergence matters more
                    run.end("diverged", trainer.seconds, error)
            raise
        finally:
            for callback in chain:
                callback.close()


def _finish(trainer: Trainer, chain: Sequence[Callback]) -> History:
    test = trainer.evaluate(trainer.test)
    history = History(
        records=trainer.records,
        reason=trainer.stop or "finished",
        test=test,
        seconds=trainer.seconds,
        learned=_has_learned(trainer, test),
        report=trainer.judged and trainer.judged.report(),
    )
    for callback in chain:
        callback.on_train_end(trainer, history)
    return history


def _has_learned(trainer: Trainer, test: Mapping[str, float] | None) -> bool:
    """Whether a result is better than that of a constant answer, by `beats_guessing`.

    The results are those of the validation and of the test, and that of the last epoch, which is
    a mean over the epoch: the first epoch of a good training may be no better than guessing.
    Trainings with `limit_batches` are not judged, nor those whose labels are no class ids.
    """
    if trainer.config.limit_batches is not None or not trainer.records:
        return True
    last = trainer.records[-1]
    results: list[tuple[Loader | None, Any, Any]] = [
        (trainer.loader, last["loss"], last["accuracy"]),
        (trainer.validation, last["val_loss"], last["val_accuracy"]),
        (trainer.test, test and test["loss"], test and test["accuracy"]),
    ]
    outputs = count_outputs(trainer.model, trainer.data.image_shape)
    for loader, loss, accuracy in results:
        if loader is None or loss is None:
            continue
        labels = class_ids(loader.dataset, outputs)
        if labels is None or beats_guessing(trainer.loss, labels, loss, accuracy):
            return True
    return False


def _interrupted(run: Run, saver: Checkpointer | None) -> Interrupted:
    step = saver.saved_step if saver else None
    where = f"the checkpoint of step {step} is saved" if step is not None else "nothing is lost"
    return Interrupted(f"interrupted; {where}", fix=f"go on with: {run.resume_command}")
