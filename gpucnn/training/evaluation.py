"""Loss and accuracy of a model on a data set."""

from __future__ import annotations

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import Dataset, Loader
from gpucnn.nn import Module
from gpucnn.training.metrics import Totals, compute_loss

BATCH_SIZE = 256  # images: enough to keep the cores busy, few enough for a small memory


def evaluate(
    model: Module,
    dataset: Dataset,
    *,
    batch_size: int = BATCH_SIZE,
    loss: str = "softmax_cross_entropy",
    scale: float = 1.0 / 255.0,
    offset: float = 0.0,
) -> dict[str, float]:
    """{"loss", "accuracy"} of a built model on a data set with labels, in evaluation mode.

    Args:
        batch_size: images at a time; of no influence on the accuracy.
        loss: name of a loss of `TrainConfig`.
        scale, offset: a pixel x is given to the model as x * scale + offset.
    """
    backend = backends.get(model.device)
    loader = Loader(dataset, batch_size, backend, shuffle=False, scale=scale, offset=offset)
    return evaluate_batches(model, loader, loss)


def evaluate_batches(model: Module, loader: Loader, loss: str) -> dict[str, float]:
    """`evaluate` on the batches of a loader. The model's mode is afterwards what it was before."""
    totals = Totals(loader.backend)
    training = model.training
    model.eval()
    try:
        with no_grad(), loader.backend.computing():
            for images, labels in loader:
                output = model(Tensor(images))
                totals.add(compute_loss(loss, output, labels).data, output.data, labels)
    finally:
        model.train(training)
    mean_loss, accuracy = totals.read()
    return {"loss": mean_loss, "accuracy": accuracy}
