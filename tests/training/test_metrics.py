"""Losses by name, and sums of loss and accuracy."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.errors import DataError, ShapeError, UsageError
from gpucnn.keras import losses as keras_losses
from gpucnn.nn import Flatten
from gpucnn.training import SavedModel, TrainConfig, config
from gpucnn.training.description import Description
from gpucnn.training.metrics import LOSSES, Totals, compute_loss, compute_losses, guessing

OUTPUT = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]], np.float32)
LABELS = np.array([0, 2], np.int32)
ONE_HOT = np.array([[1, 0, 0], [0, 0, 1]], np.float32)


def _expected(loss: str, output: np.ndarray, targets: np.ndarray) -> float:
    x, t = output.astype(float), targets.astype(float)
    if loss == "softmax_cross_entropy":
        return float(-(t * np.log(np.exp(x) / np.exp(x).sum(1, keepdims=True))).sum(1).mean())
    if loss == "binary_cross_entropy":
        p = 1 / (1 + np.exp(-x))
        return float(-(t * np.log(p) + (1 - t) * np.log(1 - p)).mean())
    return float(((x - t) ** 2).mean())


@pytest.mark.parametrize(
    "loss", ["softmax_cross_entropy", "binary_cross_entropy", "mean_squared_error"]
)
def test_class_ids_and_one_hot_targets_give_the_formula(loss: str) -> None:
    want = _expected(loss, OUTPUT, ONE_HOT)
    for labels in (LABELS, ONE_HOT):
        got = compute_loss(loss, Tensor(OUTPUT), labels).item()
        assert got == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("labels", [LABELS, ONE_HOT])
def test_weights_count_in_the_sum_and_not_in_the_number(loss: str, labels: np.ndarray) -> None:
    """As in Keras: sum of weight times loss, over the number of images."""
    one, two = (_expected(loss, OUTPUT[i : i + 1], ONE_HOT[i : i + 1]) for i in range(2))
    weights = np.array([3.0, 0.5], np.float32)
    output = Tensor(OUTPUT, requires_grad=True)
    value = compute_loss(loss, output, labels, weights)
    assert value.item() == pytest.approx((3 * one + 0.5 * two) / 2, rel=1e-6)
    value.backward()
    plain = Tensor(OUTPUT, requires_grad=True)
    compute_loss(loss, plain, labels).backward()
    np.testing.assert_allclose(output.grad, plain.grad * weights[:, None], rtol=1e-6)


def test_a_single_output_takes_labels_of_either_shape() -> None:
    output, labels = np.array([[0.5], [-1.0]], np.float32), np.array([1, 0], np.int32)
    want = _expected("binary_cross_entropy", output, labels[:, None])
    for given in (labels, labels[:, None].astype(np.float32)):
        got = compute_loss("binary_cross_entropy", Tensor(output), given).item()
        assert got == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "prediction"),
    [
        ("softmax_cross_entropy", np.exp(OUTPUT) / np.exp(OUTPUT).sum(1, keepdims=True)),
        ("binary_cross_entropy", 1 / (1 + np.exp(-OUTPUT))),
        ("mean_squared_error", OUTPUT),
    ],
)
def test_a_saved_model_predicts_as_its_loss_has_it(loss: str, prediction: np.ndarray) -> None:
    identity, options = Flatten().build((3,)), TrainConfig(loss=loss)
    described = {"image_shape": [3], "class_names": ["a", "b", "c"], "scale": 1.0, "offset": 0.0}
    saved = SavedModel(identity, Path("w"), options, Description.of(described, Path("w")))
    images = OUTPUT.astype(np.uint8)
    np.testing.assert_allclose(saved.predict(images), prediction, rtol=1e-6)
    (first, second) = saved.classify(images, 2)
    assert [each["label"] for each in first] == ["a", "b"]
    assert [each["label"] for each in second] == ["b", "c"]
    assert second[1]["probability"] == pytest.approx(prediction[1, 2], rel=1e-6)


def test_an_unknown_loss() -> None:
    with pytest.raises(UsageError, match="unknown loss 'mse'") as caught:
        compute_loss("mse", Tensor(OUTPUT), LABELS)
    assert all(name in str(caught.value.fix) for name in LOSSES)
    assert tuple(LOSSES) == config.LOSSES


def test_sums_lie_where_the_backend_puts_them() -> None:
    class Elsewhere(np.ndarray):
        pass

    there: Any = SimpleNamespace(asarray=lambda array: array.view(Elsewhere), xp=np)
    assert type(Totals(there, "mean_squared_error").sums) is Elsewhere


@pytest.mark.parametrize(
    ("loss", "right"), [("binary_cross_entropy", 3), ("mean_squared_error", 2)]
)
def test_a_single_output_says_yes_from_half_on(loss: str, right: int) -> None:
    """0.5 is the logit 0."""
    output = np.array([[0.4], [-1.0], [0.7], [2.0]], np.float32)
    totals = Totals(backends.get("cpu"), loss)
    totals.add(np.float32(1.0), output, np.array([1, 0, 1, 0]))
    assert totals.read() == (1.0, right / 4)


def test_totals_weigh_batches_by_their_size() -> None:
    totals = Totals(backends.get("cpu"), "softmax_cross_entropy")
    assert all(math.isnan(value) for value in totals.read())
    totals.add(np.float32(1.0), OUTPUT, LABELS)
    totals.add(np.float32(4.0), OUTPUT[:1], LABELS[:1])
    assert totals.read() == (pytest.approx(2.0), pytest.approx(2 / 3))
    totals.restart()
    totals.add(np.float32(4.0), OUTPUT[:1], LABELS[:1])
    assert totals.read() == (4.0, 1.0)


def test_losses_are_pickled_by_name() -> None:
    for loss in LOSSES.values():
        assert pickle.loads(pickle.dumps(loss)) is loss
        assert copy.deepcopy(loss) is loss
        changed = loss._replace(threshold=0.25)
        assert copy.deepcopy(changed) == changed


@pytest.mark.parametrize("loss", LOSSES)
def test_what_guessing_gives(loss: str) -> None:
    """No constant answer is better than the shares of the classes, for any of the losses."""
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 500, p=[0.5, 0.3, 0.2, 0.0]).astype(np.int32)
    labels[0] = 3
    shares = np.bincount(labels) / 500
    best, accuracy = guessing(loss, labels)
    assert accuracy == shares.max()

    def constant(answer: Any) -> float:
        logits = {
            "softmax_cross_entropy": np.log(answer),
            "binary_cross_entropy": np.log(answer / (1 - answer)),
            "mean_squared_error": answer,
        }[loss]
        rows = np.repeat(logits[np.newaxis], 500, axis=0)
        return compute_loss(loss, Tensor(rows), labels).item()

    assert best == pytest.approx(constant(shares), rel=1e-9)
    for _ in range(20):
        other = np.abs(shares + rng.normal(0, 0.05, 4)) + 1e-3
        assert constant(other / other.sum()) > best


_LOSSES = {**{loss.name: loss.function for loss in keras_losses.LOSSES.values()}, **LOSSES}


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("wrong", [-1, 3, 255, -100])
@pytest.mark.parametrize("loss", _LOSSES)
def test_a_class_id_out_of_range(backend: Any, loss: str, wrong: int, dtype: Any) -> None:
    """It is named on the CPU; on a device, which nobody waits for, its loss alone is NaN."""
    if wrong < 0 and dtype == np.uint8:
        return
    probabilities = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]], np.float32)
    output = Tensor(backend.asarray(probabilities), requires_grad=True)
    labels = backend.asarray(np.array([0, wrong, 2], dtype))
    if backend.name == "cpu":
        with pytest.raises(DataError, match=f"label {wrong} is out of range") as caught:
            compute_losses(_LOSSES[loss], output, labels)
        assert "0 to 2" in str(caught.value.cause)
        return
    losses = compute_losses(_LOSSES[loss], output, labels)
    losses.sum().backward()
    for values in (losses.numpy(), backend.to_numpy(output.grad)):
        rows = values.reshape(3, -1)
        assert np.isnan(rows[1]).all()
        assert np.isfinite(rows[[0, 2]]).all()


@pytest.mark.parametrize("wrong", [-1, 2, 5])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_class_id_of_a_yes_or_no_out_of_range(
    backend: Any, wrong: int, shape: tuple[int, ...]
) -> None:
    output = Tensor(backend.asarray(np.array([[0.5], [-1.0], [2.0]], np.float32)))
    labels = backend.asarray(np.array([0, wrong, 1], np.int32).reshape(shape))
    if backend.name == "cpu":
        with pytest.raises(DataError, match=f"label {wrong} is out of range"):
            compute_losses("binary_cross_entropy", output, labels)
        return
    losses = compute_losses("binary_cross_entropy", output, labels).numpy()
    assert np.isnan(losses[:, 0]).tolist() == [False, True, False]


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "mean_squared_error"])
@pytest.mark.parametrize(
    "labels",
    [np.array([0.0, 2.0], np.float32), np.zeros((2, 2), np.float32), np.zeros(3, np.int32)],
    ids=["floats", "columns", "rows"],
)
def test_labels_that_do_not_fit_the_outputs(loss: str, labels: Any) -> None:
    with pytest.raises(ShapeError, match=r"the outputs \(2, 3\)"):
        compute_loss(loss, Tensor(OUTPUT), labels)
