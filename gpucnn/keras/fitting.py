"""What `fit` and `evaluate` do: open what they are given as batches, and compute on them."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import gpucnn.training
from gpucnn import backend as backends
from gpucnn.backend import Backend
from gpucnn.data import Dataset
from gpucnn.errors import DataError, DivergedError, UsageError
from gpucnn.keras import arrays
from gpucnn.keras.batches import Arrays, Stream, is_stream
from gpucnn.keras.callbacks import TerminateOnNaN
from gpucnn.keras.training import Bridge, Compiled, FitHistory, KerasTrainer, split_callbacks
from gpucnn.nn.arguments import flag, is_whole
from gpucnn.training.evaluation import BATCH_SIZE

if TYPE_CHECKING:
    from gpucnn.keras.models import Sequential


def fit(
    model: Sequential,
    compiled: Compiled,
    given: tuple[Any, Any, Any],
    *,
    batch_size: int | None,
    epochs: int,
    verbose: str | int,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    class_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
) -> FitHistory:
    """See `Sequential.fit`; `given` is (x, y, sample_weight)."""
    keras_callbacks, own = split_callbacks(callbacks)
    if verbose not in ("auto", 0, 1, 2):
        raise UsageError(f"verbose is {verbose!r}", fix='give "auto", 0, 1 or 2')
    config = compiled.config(
        batch_size=32 if batch_size is None else batch_size,
        epochs=_epochs(epochs, initial_epoch),
        # The batch of a generator is gone after its step: look at its loss at once.
        log_interval=1 if is_stream(given[0]) else 50,
    )
    backend = backends.get(compiled.device)
    train_options: dict[str, Any] = {
        "batch_size": config.batch_size if batch_size or steps_per_epoch is None else None,
        "steps": steps_per_epoch,
        "seed": compiled.seed,
        "shuffle": flag(shuffle, "shuffle"),
    }
    held_options: dict[str, Any] = {
        "batch_size": _held_size(validation_batch_size, batch_size, validation_steps),
        "steps": validation_steps,
        "option": "validation_steps",
        "repeat": False,
    }
    held: Arrays | Stream | None = None
    if validation_split and validation_data is None:
        dataset, rest = _split(model, given, class_weight, validation_split)
        train: Arrays | Stream = Arrays(
            dataset, backend=backend, first_epoch=initial_epoch, **train_options
        )
        held = Arrays(rest, backend=backend, **held_options)
    else:
        train = open_batches(
            model, *given, class_weight, backend=backend, first_epoch=initial_epoch, **train_options
        )
        if validation_data is not None:
            validation = _unpacked(validation_data)
            held = open_batches(
                model, *validation, part="validation ", backend=backend, **held_options
            )
    trainer = KerasTrainer(model, compiled, config, model.for_loss(), train, held)
    bridge = Bridge(
        model,
        compiled,
        keras_callbacks,
        epochs=epochs,
        initial_epoch=initial_epoch,
        verbose=bool(verbose),
    )
    try:
        gpucnn.training.fit_trainer(trainer, [bridge, *own])
    except DivergedError as error:
        if not any(isinstance(callback, TerminateOnNaN) for callback in keras_callbacks):
            raise
        print(f"{error.message}: the training ends")
        bridge.end_with_nan()
    return bridge.history


def open_batches(
    model: Sequential,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    batch_size: int | None,
    backend: Backend | None = None,
    steps: int | None = None,
    option: str = "steps_per_epoch",
    repeat: bool = True,
    part: str = "",
    seed: int = 0,
    shuffle: bool = False,
    first_epoch: int = 0,
) -> Arrays | Stream:
    """The batches of what a verb was given, for a model that is built for them if it is not yet.

    Args:
        backend: where the batches are made; by default where the model is.
        option: the argument that `steps` was given by.
        repeat: whether the batches begin again where `steps` are more than there are.
        part: what the data are, for errors: "" or "validation ".
    """
    if not is_stream(x):
        dataset = open_dataset(model, x, y, sample_weight, class_weight, part=part)
        return Arrays(
            dataset,
            batch_size,
            backend or backends.get(model.device),
            seed=seed,
            shuffle=shuffle,
            steps=steps,
            option=option,
            repeat=repeat,
            first_epoch=first_epoch,
        )
    if y is not None or sample_weight is not None:
        raise UsageError(
            f"the {part}x gives batches, and y or sample_weight is given beside it",
            cause="a batch is (x, y) or (x, y, sample_weight)",
            fix="leave them out",
        )
    stream = Stream(x, steps, part=part, option=option, repeat=repeat)
    model.prepare((0, *stream.image_shape))
    options = {"seed": seed, "shuffle": shuffle, "class_weight": class_weight}
    return stream.open(model.reader(), backend or backends.get(model.device), **options)


def open_dataset(
    model: Sequential,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    part: str = "",
) -> Dataset:
    """Arrays as a data set, for a model that is built for them if it is not yet."""
    if _is_one_array(x) and _is_one_array(y) and len(x[0]) == len(y[0]) > 1:
        raise DataError(
            f"{part}x and y are lists that hold one array each",
            cause="a model has one input and one output",
            fix="give the arrays themselves",
        )
    images = arrays.images(x, f"{part}x")
    if part and not len(images):
        raise DataError(f"the {part}arrays hold no example", fix="give some, or leave them out")
    model.prepare(images.shape)
    return model.reader().dataset(images, y, sample_weight, class_weight, part=part)


def _is_one_array(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and len(x) == 1 and getattr(x[0], "ndim", 0) > 0


def _epochs(last: Any, first: Any) -> Any:
    """How many epochs are trained; what is not acceptable is left to `TrainConfig`."""
    if not is_whole(first) or first < 0 or (first and is_whole(last) and first >= last):
        raise UsageError(
            f"initial_epoch is {first!r}, epochs is {last!r}",
            cause="they are the numbers of the first epoch, from 0, and of the last, from 1",
            fix="give a larger number of epochs",
        )
    return last - first if first else last


def _held_size(given: int | None, batch_size: int | None, steps: int | None) -> int | None:
    """Images in a batch of the validation; it matters where their number is limited."""
    if given is not None:
        return given
    return BATCH_SIZE if steps is None else batch_size


def _split(
    model: Sequential, given: tuple[Any, Any, Any], class_weight: Any, share: Any
) -> tuple[Dataset, Dataset]:
    """Training and validation: Keras trains on the first int(N * (1 - share)) examples."""
    if is_stream(given[0]):
        raise UsageError(
            "validation_split of batches that come one by one", fix="give validation_data"
        )
    held_share = float(share) if isinstance(share, Real) else 0.0
    if not 0 < held_share < 1:
        raise UsageError(f"validation_split is {share!r}", fix="give a share between 0 and 1")
    dataset = open_dataset(model, *given, class_weight)
    count = int(len(dataset) * (1 - held_share))
    if count in (0, len(dataset)):
        raise DataError(
            f"validation_split={held_share:g} of {len(dataset)} examples leaves "
            + ("none to train on" if count == 0 else "none to validate on"),
            fix="give more examples, another share, or validation_data",
        )
    held = dataset.subset(slice(count, None))
    if class_weight is not None:  # that is of the training alone
        held = replace(held, weights=None)
    return dataset.subset(slice(count)), held


def _unpacked(validation_data: Any) -> tuple[Any, ...]:
    """(x, y), (x, y, sample_weight), or (what gives batches,)."""
    if is_stream(validation_data):
        return (validation_data,)
    if isinstance(validation_data, (tuple, list)) and len(validation_data) in (2, 3):
        return tuple(validation_data)
    raise UsageError(
        f"validation_data is a {type(validation_data).__name__}",
        cause="it must be (x, y) or (x, y, sample_weight), or what gives batches of these",
        fix="write validation_data=(x_test, y_test)",
    )
