"""Loss and accuracy of a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import Dataset, Loader
from gpucnn.errors import OutOfMemoryError, UsageError, expect
from gpucnn.nn import Module
from gpucnn.nn.building import dry_run
from gpucnn.training.metrics import Loss, Metric, Totals, compute_losses, get_loss
from gpucnn.training.report import Report

BATCH_SIZE = 256  # images: enough to keep the cores busy, few enough for a small memory


def evaluate(
    model: Module,
    dataset: Dataset,
    *,
    batch_size: int = BATCH_SIZE,
    loss: str = "softmax_cross_entropy",
    scale: float = 1.0 / 255.0,
    offset: float = 0.0,
    outputs: list[Any] | None = None,
) -> dict[str, float]:
    """{"loss", "accuracy"} of a built model on a data set with labels, in evaluation mode.

    The modes of its modules are left as they are.

    Args:
        batch_size: images at a time; it does not change the accuracy.
        loss: name of a loss of `TrainConfig`.
        scale, offset: the model gets a pixel x as x * scale + offset.
        outputs: a list to which the outputs of each batch are added, NumPy arrays (B, K).

    Raises:
        UsageError: the model has fewer outputs than there are classes, it gives no Tensor, or the
            data set has no labels.
        OutOfMemoryError: there is no room for a batch; its `fix` says which would fit.
    """
    expect(model, Module, "the model", "give a gpucnn.nn.Module, such as Sequential([...])")
    expect(dataset, Dataset, "the data set", "give one part, such as splits.test")
    if dataset.labels is None:
        raise UsageError(
            f"{dataset.name} has no labels to compare with",
            fix="give a data set with labels; the model itself gives the outputs: model(images)",
        )
    require_outputs(model, dataset, loss)
    backend = backends.get(model.device)
    loader = Loader(dataset, batch_size, backend, shuffle=False, scale=scale, offset=offset)
    try:
        return evaluate_batches(model, loader, loss, outputs=outputs)
    except OutOfMemoryError as error:
        if (fitting := error.fitting(batch_size)) < batch_size:
            error.fix = f"from Python, evaluate(..., batch_size={fitting}) takes less memory"
        raise


class Judged(NamedTuple):
    """The outputs of an evaluation beside its result.

    Attributes:
        dataset: it was on.
        outputs: of each batch, arrays (B, K).
        loss: that of the training, or its name.
        result: "loss", "accuracy" and perhaps metrics.
    """

    dataset: Dataset
    outputs: list[Any]
    loss: str | Loss
    result: dict[str, float]

    def report(self) -> Report | None:
        """Its confusion matrix; None where not every image has a class id and outputs (K,)."""
        first = self.outputs[0]
        labels = class_ids(self.dataset, first.shape[1]) if first.ndim == 2 else None
        if labels is None or labels.shape != (sum(map(len, self.outputs)),):
            return None
        _, names = answers_of(first, self.dataset, self.loss)
        # A batch at a time: with many classes, the outputs of all images are large.
        answers = [answers_of(batch, self.dataset, self.loss)[0] for batch in self.outputs]
        loss, accuracy = self.result["loss"], self.result["accuracy"]
        return Report.of(labels, np.concatenate(answers), names, loss=loss, accuracy=accuracy)


def class_ids(dataset: Dataset, outputs: int) -> NDArray[Any] | None:
    """The labels, if they are class ids that a model of so many outputs answers.

    None for targets; and for more than two classes if there is a single output, which is then a
    number and no class.
    """
    labels = dataset.labels
    if labels is None or labels.dtype.kind != "i" or not labels.size:
        return None
    return None if outputs == 1 and labels.max() > 1 else labels


def answers_of(
    outputs: NDArray[np.float32], dataset: Dataset, loss: str | Loss
) -> tuple[NDArray[np.int64], list[str]]:
    """The class ids (N,) that outputs (N, K) answer, and the names of all classes.

    A single output means yes, class 1, or no, class 0. A class beyond those of the data set has
    its number as its name.
    """
    classes, K = dataset.classes, outputs.shape[1]
    names = [*dataset.class_names, *map(str, range(classes, max(K, 2)))]
    if K == 1:
        return (outputs[:, 0] > get_loss(loss).threshold).astype(np.int64), names
    return outputs.argmax(axis=1), names


def evaluate_batches(
    model: Module,
    loader: Loader,
    loss: str | Loss,
    forward: Callable[[Tensor], Tensor] | None = None,
    outputs: list[Any] | None = None,
    metrics: Sequence[Metric] = (),
) -> dict[str, float]:
    """`evaluate` on the batches of a loader.

    Args:
        forward: the function from images to the outputs that the loss takes; by default the model.
        outputs: as in `evaluate`.
        metrics: they are in the result, too.
    """
    totals = Totals(loader.backend, loss, metrics)
    with model.evaluating(), no_grad(), loader.backend.quiet_device():
        for images, labels, *weights in loader.epoch(0):
            output = (forward or model)(Tensor(images))
            losses = compute_losses(loss, output, labels, *weights)
            totals.add(losses.data, output.data, labels)
            if outputs is not None:
                outputs.append(output.numpy())
    mean_loss, accuracy = totals.read()
    return {"loss": mean_loss, "accuracy": accuracy, **totals.read_metrics()}


def predict(model: Module, dataset: Dataset, scale: float, offset: float) -> NDArray[np.float32]:
    """The outputs (N, K) of a built model for the images of a data set, in evaluation mode.

    Raises:
        OutOfMemoryError: there is no room for the data set, or for a batch of `BATCH_SIZE` images.
    """
    backend = backends.get(model.device)
    loader = Loader(dataset, BATCH_SIZE, backend, shuffle=False, scale=scale, offset=offset)
    try:
        with model.evaluating(), no_grad(), loader.backend.quiet_device():
            outputs = [model(Tensor(images)).numpy() for images, *_ in loader.epoch(0)]
    except OutOfMemoryError as error:
        error.fix = "let this process have more memory, or use a smaller model"
        error.fix += "" if error.on_host else ", or the device cpu"
        raise
    return np.concatenate(outputs)


def _check_targets(name: str, targets: NDArray[Any], loss: str) -> None:
    """`UsageError` for targets outside [0, 1], for which the cross-entropy has no minimum."""
    if loss != "binary_cross_entropy" or not (targets.min() < 0 or targets.max() > 1):
        return  # the Loader refuses a NaN
    raise UsageError(
        f"{loss} of targets from {targets.min():g} to {targets.max():g} in {name}",
        cause="a target is a probability, from 0 to 1",
        fix='scale the targets, or train with loss="mean_squared_error"',
    )


def require_outputs(model: Module, dataset: Dataset, loss: str) -> None:
    """Check that a built model has an output for each class id in a data set.

    Raises:
        UsageError: it has fewer, it returns no Tensor, or the loss does not take the targets.
    """
    labels = dataset.labels
    if labels is None or not labels.size:
        return
    outputs = count_outputs(model, dataset.image_shape)
    if labels.dtype.kind != "i":  # targets: the losses check their shape
        _check_targets(dataset.name, labels, loss)
        return
    needed = int(labels.max()) + 1
    # Without a softmax, a single output means yes or no, or is a number.
    most = {"binary_cross_entropy": 2, "mean_squared_error": needed}.get(loss, 1)
    if outputs < needed and not (outputs == 1 and needed <= most):
        raise UsageError(
            f"the model has {outputs} output{'s' * (outputs != 1)}, too few for {dataset.name}",
            cause=f"its labels go up to {needed - 1}",
            fix=f"give the last layer {needed} outputs or more",
        )


def count_outputs(model: Module, image_shape: tuple[int, ...]) -> int:
    """The number of outputs of a built model for an image; see `first_outputs`."""
    return _outputs(model, dry_run(model, (image_shape,))).shape[-1]


def first_outputs(model: Module, image_shape: tuple[int, ...]) -> Tensor:
    """The outputs (1, K) of a built model for an image of zeros.

    Raises:
        UsageError: its `forward` returns something else.
    """
    zeros = np.zeros((1, *image_shape), np.float32)
    with model.evaluating(), no_grad():
        return _outputs(model, model(Tensor(backends.get(model.device).asarray(zeros))))


def _outputs(model: Module, outputs: Any) -> Tensor:
    """The result of `model`, if a loss can be computed on it."""
    if isinstance(outputs, Tensor) and outputs.ndim:
        return outputs
    kind = "a single number" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
    raise UsageError(
        f"forward of {type(model).__name__} returned {kind if outputs is not None else 'nothing'}",
        cause="the outputs of a network are a Tensor (N, K)",
        fix="let forward end with return and the outputs",
    )


def are_probabilities(outputs: Tensor) -> bool:
    """Whether outputs (N, K) of K > 1 classes are already probabilities, as after a softmax."""
    values = outputs.numpy()
    sums = values.sum(axis=-1)
    return values.shape[-1] > 1 and bool((values >= 0).all() and np.allclose(sums, 1, atol=1e-4))
