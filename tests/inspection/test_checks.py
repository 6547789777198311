"""The checks on evidence that is written by hand: at their thresholds, and just beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from findings import find_kinds

from gpucnn.inspection import checks
from gpucnn.inspection.activations import Activation, Activations
from gpucnn.inspection.evidence import Evidence, Result
from gpucnn.inspection.finding import Context
from gpucnn.inspection.updates import LayerStep
from gpucnn.nn import Dense
from gpucnn.training import TrainConfig

LABELS = np.arange(1000) % 10
NAMES = list("0123456789")


def context(rate: float = 0.001, **given: Any) -> Context:
    return Context(TrainConfig(**given), None, rate)


def of_ten(*given: Any, **more: Any) -> Evidence:
    """Evidence of a training on ten classes."""
    return Evidence(*given, **{"labels": LABELS, "class_names": NAMES, **more})


def of_one(activation: Activation) -> Activations:
    activations = Activations(Dense(3).build((4,)))
    activations.found = [activation]
    return activations


def kinds_of(evidence: Evidence) -> set[str]:
    return {kind for kind, _ in find_kinds(checks.run(evidence).findings)}


def records(losses: Sequence[float], accuracies: Sequence[float]) -> list[dict[str, Any]]:
    pairs = enumerate(zip(losses, accuracies, strict=True), 1)
    return [{"epoch": n, "loss": loss, "accuracy": accuracy} for n, (loss, accuracy) in pairs]


def step(*updates: float, gradients: Sequence[float] | None = None) -> dict[str, LayerStep]:
    gradients = gradients or [1.0] * len(updates)
    pairs = zip(gradients, updates, strict=True)
    return {f"dense{k}": LayerStep(*pair) for k, pair in enumerate(pairs)}


@pytest.mark.parametrize(("dead", "found"), [(79, set()), (80, {"dead-relu"})])
def test_dead_relus(dead: int, found: set[str]) -> None:
    activations = of_one(Activation("dense1", "relu", False, np.arange(100) >= dead))
    assert kinds_of(Evidence(activations=activations)) == found


@pytest.mark.parametrize("is_output", [False, True])
@pytest.mark.parametrize(("share", "found"), [(0.49, set()), (0.5, {"saturated"})])
def test_saturation(share: float, found: set[str], is_output: bool) -> None:
    each = Activation("dense1", "tanh", is_output, np.ones(9, bool), int(100 * share), 100)
    activations = of_one(each)
    assert kinds_of(Evidence(activations=activations)) == (set() if is_output else found)


@pytest.mark.parametrize(
    ("gradients", "found"),
    [
        ((1e-3, 2.0), {"vanishing-gradient"}),
        ((3e-3, 2.0), set()),
        ((0.0, 2.0), {"vanishing-gradient"}),
        ((0.0, 0.0), set()),
        ((101.0, 2.0), {"exploding-gradient"}),
        ((99.0, 2.0), set()),
        ((math.inf, 1.0), {"exploding-gradient"}),
        ((math.nan, 1.0), {"exploding-gradient"}),
        ((1e-9, 1e-6), {"vanishing-gradient"}),  # of a training that is almost done
        ((1e-7, 1e-6), set()),
    ],
)
def test_gradients(gradients: tuple[float, float], found: set[str]) -> None:
    layers = step(1e-3, 1e-3, gradients=gradients)
    result = checks.run(of_ten(layers=layers))
    assert {finding.kind for finding in result.findings} == found
    for finding in result.findings:
        value = finding.as_dict()["value"]
        assert value is None or math.isfinite(value)


def test_frozen_layers_have_no_gradient_that_vanishes() -> None:
    layers = {"dense0": LayerStep(None, 0.0), **step(1e-3)}
    assert kinds_of(Evidence(layers=layers)) == set()


@pytest.mark.parametrize(
    ("update", "share", "steps", "found"),
    [
        (0.31, 1.0, 99, {"learning-rate-high"}),
        (0.31, 1.0, 10, set()),  # weights that begin at 0 change fast
        (0.29, 1.0, 99, set()),
        (0.031, 0.1, 99, {"learning-rate-high"}),  # with a tenth of the highest rate
        (0.9e-5, 1.0, 99, {"learning-rate-low"}),
        (1e-6, 0.05, 99, set()),  # at the end of a cosine
        (1e-9, 1e-3, 99, set()),  # rounding
        (0.0, 1.0, 99, set()),
    ],
)
def test_updates(update: float, share: float, steps: int, found: set[str]) -> None:
    evidence = of_ten(
        context(1e-4), steps=steps, layers=step(update / 2, update), rate_share=share,
        records=records([2.0], [0.3]),
    )  # fmt: skip
    assert kinds_of(evidence) == found


def test_small_updates_are_right_near_a_minimum() -> None:
    evidence = of_ten(steps=99, layers=step(1e-6), records=records([0.01], [1.0]))
    assert kinds_of(evidence) == set()


@pytest.mark.parametrize(
    ("losses", "accuracies", "found"),
    [
        ([9.5], [0.3], {"learning-rate-high"}),
        ([9.0], [0.3], set()),  # the first epoch begins with random weights
        ([3.5, 3.5], [0.3, 0.3], {"learning-rate-high"}),
        ([3.4, 3.4], [0.3, 0.3], set()),
        ([9.0, 0.5], [0.1, 0.9], set()),  # it recovered
        ([0.2, 0.1, 0.9], [0.94, 0.97, 0.8], {"learning-rate-high"}),
        ([0.2, 0.1, 0.9], [0.94, 0.97, 0.9], set()),
        ([0.002, 0.001, 0.004], [1.0, 1.0, 0.999], set()),
        ([2.2, 2.1, 2.0], [0.2, 0.3, 0.4], {"learning-rate-low"}),
        ([2.2, 2.1], [0.2, 0.3], set()),  # too early
        ([2.2, 2.3, 2.0], [0.2, 0.3, 0.4], set()),  # it does not fall steadily
        ([2.31, 2.3, 2.29], [0.1, 0.1, 0.1], {"no-better-than-guessing"}),
        ([2.31], [0.14], set()),  # more than chance
        ([math.inf], [0.1], {"learning-rate-high", "no-better-than-guessing"}),
    ],
)
def test_the_course_of_the_loss(losses: Any, accuracies: Any, found: set[str]) -> None:
    evidence = of_ten(
        context(1e-4, epochs=len(losses)), steps=100, records=records(losses, accuracies)
    )
    assert kinds_of(evidence) == found


@pytest.mark.parametrize(
    ("trained", "other", "count", "found"),
    [
        (1.0, 0.94, 1000, set()),  # 5 points, and two standard errors of 0.75
        (1.0, 0.92, 10_000, {"overfitting"}),
        (1.0, 0.92, 100, set()),  # it may be by chance
        (1.0, 0.8, 100, {"overfitting"}),
        (0.8, 0.9, 1000, set()),
        (0.99, 0.11, 1000, {"labels-do-not-fit"}),
        (0.3, 0.11, 1000, {"overfitting"}),
    ],
)
def test_overfitting(trained: float, other: float, count: int, found: set[str]) -> None:
    evidence = Evidence(
        steps=99,
        trained=Result("training", 0.1, trained, LABELS),
        held_out=Result("test", 0.1, other, np.arange(count) % 10),
    )
    kinds = {finding.kind for finding in checks.overfitting.find(evidence)}
    assert kinds == found


@pytest.mark.parametrize("given", [{"overfit_batches": 2}, {"limit_batches": 2}])
def test_what_was_asked_for_is_no_finding(given: dict[str, int]) -> None:
    evidence = Evidence(
        Context(TrainConfig(**given)),
        steps=99,
        trained=Result("training", 0.1, 1.0, LABELS),
        held_out=Result("test", 0.1, 0.5, LABELS),
    )
    result = checks.run(evidence)
    assert result.findings == []
    assert next(iter(given)) in result.unchecked["overfitting"]


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([100, 100, 10], set()),
        ([101, 100, 10], {"class-imbalance"}),
        ([100, 0, 100], {"class-without-images"}),
        ([500, 0, 1], {"class-without-images", "class-imbalance"}),
    ],
)
def test_balance(counts: list[int], found: set[str]) -> None:
    labels = np.repeat(np.arange(3), counts)
    evidence = Evidence(labels=labels, class_names=["a", "b\nc", "d"])
    assert kinds_of(evidence) == found
    for finding in checks.run(evidence).findings:
        assert "\n" not in finding.message


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([0, 1, 2], set()),
        ([0, 0, 1], {"class-never-answered"}),
        ([1, 1, 1], {"one-class-answered"}),
    ],
)
@pytest.mark.parametrize("images", [9, 10])
def test_answers(answers: list[int], found: set[str], images: int) -> None:
    labels, given = np.repeat(np.arange(3), images), np.repeat(answers, images)
    held_out = Result("test", 1, 1, labels, given)
    evidence = Evidence(class_names=["a", "b", "c"], held_out=held_out, steps=1)
    few = {"class-never-answered"} if images < 10 else set()
    assert kinds_of(evidence) == found - few


def test_evidence_says_what_is_missing() -> None:
    result = checks.run(Evidence(missing={"layers": "why"}))
    assert result.made == []
    assert set(result.unchecked) == {check.name for check in checks.CHECKS}
    assert result.unchecked["vanishing and exploding gradients"] == "why"


@pytest.mark.parametrize(
    ("rate", "epochs", "steps", "accuracy", "found"),
    [
        (1e-4, 3, 100, 0.4, {"learning-rate-low"}),
        (1e-4, 3, 99, 0.4, set()),  # too few steps, as with large batches
        (1e-4, 9, 100, 0.4, set()),  # the epochs that are left will do
        (1e-3, 3, 100, 0.4, set()),  # a default: there is no better one to advise
        (0.5, 3, 100, 0.4, set()),
        (1e-4, 3, 100, 0.9, set()),  # the loss is high, but the answers are right
    ],
)
def test_a_loss_falls_too_slowly_only_if_the_rate_is_low(
    rate: float, epochs: int, steps: int, accuracy: float, found: set[str]
) -> None:
    course = records([2.2, 2.1, 2.0], [0.2, 0.3, accuracy])
    evidence = of_ten(context(rate, epochs=epochs), steps=steps, records=course)
    assert kinds_of(evidence) == found


@pytest.mark.parametrize(("planned", "found"), [(1_000, {"learning-rate-low"}), (10**5, set())])
def test_small_updates_may_be_many(planned: int, found: set[str]) -> None:
    evidence = of_ten(
        context(1e-4), steps=99, planned=planned, layers=step(0.9e-5),
        records=records([2.0], [0.3]),
    )  # fmt: skip
    assert kinds_of(evidence) == found


def test_no_rate_is_said_to_be_low_after_a_finding_that_explains_the_loss() -> None:
    evidence = of_ten(context(1e-4), steps=99, layers=step(0.9e-5), records=records([2.0], [0.3]))
    for kind in ("learning-rate-high", "no-better-than-guessing"):
        assert checks.run(evidence, {kind}).findings == []


def test_guessing_one_class_of_most_images_has_a_low_loss() -> None:
    labels = (np.arange(1000) >= 10).astype(int)
    for losses in ([0.2, 0.1, 0.055], [0.3], [0.2, 0.09]):
        accuracies = [0.99] * len(losses)
        evidence = Evidence(
            context(1e-4, epochs=3), steps=999, labels=labels, class_names=["a", "b"],
            records=records(losses, accuracies),
        )  # fmt: skip
        assert not {kind for kind in kinds_of(evidence) if "learning-rate" in kind}


def test_a_training_that_diverged() -> None:
    evidence = Evidence(context(1e9), diverged=("the loss is not finite", "dense1 gives NaN"))
    (finding,) = checks.run(evidence).findings
    assert finding.kind == "learning-rate-high"
    assert "dense1 gives NaN" in finding.message
    assert finding.cure == "learning_rate=0.003"


@pytest.mark.parametrize("count", [1, 2, 19])
@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_a_few_images_show_no_overfitting(count: int, accuracy: float) -> None:
    evidence = Evidence(
        steps=99, loss="mean_squared_error", trained=Result("training", 0.1, 1.0, LABELS),
        held_out=Result("validation", 0.1, accuracy, LABELS[:count]),
    )  # fmt: skip
    result = checks.run(evidence)
    assert result.findings == []
    assert result.unchecked["overfitting"] == "fewer than 20 images are held out"


@pytest.mark.parametrize("held_out", [0.95, 0.5])
def test_labels_of_the_test_images_that_do_not_fit(held_out: float) -> None:
    evidence = Evidence(
        steps=99, trained=Result("training", 0.1, 0.99, LABELS),
        held_out=Result("validation", 0.1, held_out, LABELS),
        tested=Result("test", 9.0, 0.1, LABELS),
    )  # fmt: skip
    found = {finding.kind: finding for finding in checks.run(evidence).findings}
    assert found.keys() == {"labels-do-not-fit"} | ({"overfitting"} if held_out < 0.9 else set())
    assert "1,000 test images" in found["labels-do-not-fit"].message
    assert ".test.show(" in found["labels-do-not-fit"].cure


def test_the_first_epoch_is_no_better_than_guessing_and_the_model_is() -> None:
    evidence = of_ten(context(), steps=9, records=records([2.4], [0.1]))
    assert kinds_of(evidence) == {"no-better-than-guessing"}
    evidence.tested = Result("test", 1.5, 0.6, LABELS)
    assert kinds_of(evidence) == set()


@pytest.mark.parametrize(("steps", "first"), [(9, "epochs="), (999, "look whether the labels")])
def test_the_first_cure_of_a_training_that_does_not_learn(steps: int, first: str) -> None:
    evidence = of_ten(context(), steps=steps, records=records([2.4], [0.1]))
    (finding,) = checks.run(evidence).findings
    assert finding.cure.startswith(first)


def test_labels_that_are_not_known_are_not_needed_for_the_course_of_the_loss() -> None:
    for losses, found in (([2.0], set()), ([2.4], {"no-better-than-guessing"})):
        evidence = Evidence(context(), steps=99, class_names=NAMES, records=records(losses, [0.1]))
        assert kinds_of(evidence) == found
    result = checks.run(evidence)
    assert {"learning rate", "learning at all"} <= set(result.made)
    assert "class balance" in result.lacking


@pytest.mark.parametrize("images", [np.zeros((300, 1, 2, 2)), np.full((300, 5), 0.5, np.float32)])
def test_images_that_are_equal_are_the_only_cause(images: Any) -> None:
    activations = of_one(Activation("dense1", "relu", False, np.zeros(9, bool)))
    evidence = of_ten(
        context(), steps=999, images=images, activations=activations,
        records=records([2.4], [0.1]),
    )  # fmt: skip
    assert kinds_of(evidence) == {"images-equal"}
    images = images.copy()
    images[299].flat[0] = 7
    evidence.images = images
    assert kinds_of(evidence) == {"dead-relu", "no-better-than-guessing"}


def test_labels_that_are_all_equal() -> None:
    course = records([9.0, 9.0], [0.1, 0.1])
    evidence = of_ten(context(), steps=999, labels=np.full(50, 3), records=course)
    (finding,) = checks.run(evidence).findings
    assert finding.kind == "one-class-only"
    assert finding.message == "all 50 training images have the label 3"


def test_inputs_that_are_not_scaled_are_the_first_cause() -> None:
    evidence = of_ten(context(), layers=step(1e-3, gradients=[200.0]))
    for largest, cause in ((1.0, "the learning rate"), (255.0, "the inputs are not scaled")):
        evidence.largest = largest
        (finding,) = checks.run(evidence).findings
        assert finding.kind == "exploding-gradient"
        assert finding.cause.startswith(cause)
    assert finding.cure.startswith("give inputs from 0 to 1, as in images / 255; or ")


@pytest.mark.parametrize(
    ("loss", "found"),
    [("softmax_cross_entropy", {"relu-on-output"}), ("mean_squared_error", set())],
)
def test_a_relu_on_the_outputs(loss: str, found: set[str]) -> None:
    activations = of_one(Activation("dense1", "relu", True, np.ones(9, bool)))
    assert kinds_of(Evidence(activations=activations, loss=loss)) == found


@pytest.mark.parametrize(("accuracy", "found"), [(0.99, set()), (1.0, {"overfitting"})])
def test_a_model_that_guesses_does_not_overfit(accuracy: float, found: set[str]) -> None:
    """Its accuracy is the share of the largest class, which may differ between the parts."""
    labels = (np.arange(1000) >= 10).astype(int)
    others = (np.arange(500) >= 50).astype(int)
    evidence = Evidence(
        steps=99, trained=Result("training", 0.1, accuracy, labels),
        held_out=Result("test", 0.1, 0.9, others),
    )  # fmt: skip
    assert kinds_of(evidence) == found


def test_few_training_images_show_no_overfitting() -> None:
    for count, found in ((18, set()), (1000, {"overfitting"})):
        evidence = Evidence(
            steps=99, trained=Result("training", 0.1, 0.4, LABELS[:count]),
            held_out=Result("test", 0.1, 0.2, LABELS),
        )  # fmt: skip
        assert kinds_of(evidence) == found
