"""Comparing an ONNX file, as onnxruntime computes it, with the network that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.errors import DataError, VerificationError
from gpucnn.nn import Module
from gpucnn.onnx.exporting import PROBABILITIES, Exported
from gpucnn.onnx.extra import require
from gpucnn.training import SavedModel
from gpucnn.training.metrics import LOSSES

BATCHES = (1, 3, 64)
_BOUND = 1e-4  # of the largest output: the runtime sums in another order


@dataclass(frozen=True)
class Checked:
    """The result of a comparison.

    Attributes:
        runtime: the version of onnxruntime.
        samples: how many were compared.
        difference: the largest, of any output.
        largest: the largest absolute value of an output.
    """

    runtime: str
    samples: int
    difference: float
    largest: float


def check(model: Module | SavedModel, exported: Exported) -> Checked:
    """Run a file in onnxruntime on random pixels, in batches of 1, 3 and 64, and compare.

    Args:
        model: the one that `export` was given.
        exported: the result of `export`.

    Raises:
        VerificationError: an output differs by more than 1e-4 of the largest output.
        DataError: onnxruntime cannot read or run the file.
        MissingExtraError: onnxruntime is not installed.
    """
    require("the check of an ONNX file", "onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors, which it raises
    difference = largest = 0.0
    try:
        session = onnxruntime.InferenceSession(
            str(exported.path), options, providers=["CPUExecutionProvider"]
        )
        for batch in BATCHES:
            given = _samples(exported, batch)
            (found,) = session.run(None, given)
            expected = _reference(model, exported, list(given.values()))
            difference = max(difference, float(np.abs(found - expected).max(initial=0)))
            largest = max(largest, float(np.abs(expected).max(initial=0)))
    except Exception as error:  # of onnxruntime, which has no base class for them
        if type(error).__module__.partition(".")[0] != "onnxruntime":
            raise
        raise DataError(
            f"onnxruntime {onnxruntime.__version__} cannot run {exported.path}",
            cause=str(error).partition("\n")[0],
            fix="use another version of onnxruntime",
        ) from error
    network = model.model if isinstance(model, SavedModel) else model
    if not difference <= _BOUND * max(largest, 1.0):
        raise VerificationError(
            f"onnxruntime gives other outputs than the network: they differ by {difference:.3g}",
            cause=f"the largest output is {largest:.3g}",
            fix="compute with Tensors in forward: it may decide by the images or by their number"
            if _has_own_code(network)
            else "report this as a bug of gpucnn, with the network",
        )
    return Checked(onnxruntime.__version__, sum(BATCHES), difference, largest)


def _has_own_code(network: Module) -> bool:
    """Whether the code of a layer is not of gpucnn."""
    return any(not type(each).__module__.startswith("gpucnn.") for each in network.modules())


def _samples(exported: Exported, batch: int) -> dict[str, NDArray[Any]]:
    """Random inputs by name: pixels where the file scales them, else numbers from 0 to 1."""
    rng = np.random.default_rng(batch)
    return {
        port.name: rng.integers(0, 256, (batch, *port.shape), np.uint8)
        if port.dtype == "uint8"
        else rng.random((batch, *port.shape), np.float32)
        for port in exported.inputs
    }


def _reference(
    model: Module | SavedModel, exported: Exported, inputs: list[NDArray[Any]]
) -> NDArray[np.float32]:
    """The outputs that the network itself gives."""
    network: Module = model.model if isinstance(model, SavedModel) else model
    if isinstance(model, SavedModel) and exported.inputs[0].dtype == "uint8":
        about = model.description
        inputs = [x * np.float32(about.scale) + np.float32(about.offset) for x in inputs]
    target = backends.get(network.device)
    with network.evaluating(), no_grad():
        output = network(*(Tensor(target.asarray(x)) for x in inputs))
        if isinstance(model, SavedModel) and exported.output.name == PROBABILITIES:
            output = LOSSES[model.config.loss].predictions(output)
    found: NDArray[np.float32] = output.numpy()
    return found
