"""The models by name: their size, their cost, and what they give."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import models
from gpucnn.errors import UsageError

IMAGE = (1, 28, 28)
PARAMETERS = {
    "softmax": 784 * 10 + 10,
    "mlp": (784 * 512 + 512) + (512 * 512 + 512) + (512 * 10 + 10),
    "lenet": (25 * 6 + 6) + (150 * 16 + 16) + (400 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10),
    "cnn": 1_199_882,
}


@pytest.mark.parametrize("name", models.NAMES)
def test_parameters_and_logits(name):
    model = models.get(name).build(IMAGE)
    assert model.num_parameters == PARAMETERS[name]
    logits = model.eval()(np.zeros((3, *IMAGE), np.float32))
    assert logits.shape == (3, 10)
    assert models.get(name, classes=4).build(IMAGE)(np.zeros((0, *IMAGE), np.float32)).shape == (
        0,
        4,
    )


def test_every_model_is_listed_here():
    assert list(PARAMETERS) == list(models.NAMES)


def test_operations_of_cnn():
    """A step multiplies each matrix three times, but for the gradient by the image itself."""
    rows = {row.layer: row for row in models.get("cnn").build(IMAGE).summary_rows()}
    forward = sum(row.flops for row in rows.values())
    assert rows["conv1"].flops == 2 * 26 * 26 * 32 * 9
    assert rows["conv2"].flops == 2 * 24 * 24 * 64 * 32 * 9
    training = 3 * forward - rows["conv1"].flops
    assert round(training / 1e6, 2) == 71.57
    assert round(3 * rows["conv2"].flops / training, 2) == 0.89


def test_softmax_starts_from_zero():
    assert not any(
        array.any() for array in models.get("softmax").build(IMAGE).state_dict().values()
    )


def test_default_learning_rates():
    rates = {name: models.default_learning_rate(name) for name in models.NAMES}
    assert rates == {"softmax": 3e-3, "mlp": 3e-3, "lenet": 3e-3, "cnn": 2e-3}


@pytest.mark.parametrize("function", [models.get, models.default_learning_rate])
def test_unknown_name_lists_those_there_are(function):
    with pytest.raises(UsageError, match="softmax, mlp, lenet, cnn") as caught:
        function("resnet")
    assert "'resnet'" in caught.value.message
