"""Learning curves: which numbers are drawn where, for one training and for several."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gpucnn import plots
from gpucnn.errors import UsageError
from gpucnn.plots import show_curves

pytest.importorskip("matplotlib")


def record(epoch: int, **values: Any) -> dict[str, Any]:
    found = {"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 0.5 / epoch, "val_loss": None}
    return {**found, "val_accuracy": None, "learning_rate": 0.1 / epoch, **values}


def curves(picture: plots.Picture) -> list[dict[str, list[tuple[float, float]]]]:
    """By panel: label -> the points of its curve."""
    return [
        {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}
        for axes in picture.axes
    ]


VALIDATED = [record(k, val_loss=2 / k, val_accuracy=1 - 0.6 / k) for k in (1, 2, 3)]
VALIDATED[-1] |= {"test_loss": 0.7, "test_accuracy": 0.8}


def test_one_training() -> None:
    loss, accuracy, rate = curves(show_curves(VALIDATED))
    assert loss == {
        "training": [(1, 1), (2, 1 / 2), (3, 1 / 3)],
        "validation": [(1, 2), (2, 1), (3, 2 / 3)],
        "test": [(3, 0.7)],
    }
    assert accuracy["validation"] == [(k, 1 - 0.6 / k) for k in (1, 2, 3)]
    assert accuracy["test"] == [(3, 0.8)]
    assert rate == {"learning rate": [(k, 0.1 / k) for k in (1, 2, 3)]}


def test_a_training_without_validation_and_test() -> None:
    picture = show_curves([record(1)], "$title_ of one^")
    assert [list(panel) for panel in curves(picture)] == [
        ["training"], ["training"], ["learning rate"]
    ]  # fmt: skip
    assert [axes.get_title() for axes in picture.axes] == ["loss", "accuracy", "learning rate"]
    assert {axes.get_xlabel() for axes in picture.axes} == {"epoch"}
    assert picture.png().startswith(b"\x89PNG")


def test_a_history_is_taken_for_its_records() -> None:
    history = SimpleNamespace(records=VALIDATED)
    assert curves(show_curves(history)) == curves(show_curves(VALIDATED))


def test_several_trainings_have_a_color_each() -> None:
    runs = {"a": VALIDATED, "b": [record(1), record(2)], "empty": []}
    picture = show_curves(runs)
    axes = picture.axes[0]
    solid = {line.get_label(): line.get_color() for line in axes.lines if line.get_label() != "_"}
    assert set(solid) >= {"a", "b"}
    assert solid["a"] != solid["b"]
    # The curves of a run share its color: training, validation and test.
    (legend,) = picture.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    colors = [line.get_color() for line in axes.lines]
    assert colors.count(solid["a"]) == 3
    assert colors.count(solid["b"]) == 1


def test_numbers_that_are_missing_or_not_finite_are_left_out() -> None:
    rows = [record(1, loss=float("nan")), record(2, loss=None), {"epoch": 3, "loss": 0.5}]
    loss, accuracy, rate = curves(show_curves(rows))
    assert loss["training"] == [(3, 0.5)]
    assert [x for x, _ in accuracy["training"]] == [1, 2]
    assert [x for x, _ in rate["learning rate"]] == [1, 2]


def test_values_of_many_magnitudes_have_a_logarithmic_scale() -> None:
    picture = show_curves([record(1, loss=100.0), record(2, loss=0.1)])
    assert picture.axes[0].get_yscale() == "log"
    assert show_curves([record(1), record(2)]).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 40])
def test_the_ticks_are_whole_epochs(epochs: int) -> None:
    picture = show_curves([record(k + 1) for k in range(epochs)])
    for axes in picture.axes:
        ticks = axes.get_xticks()
        assert len(ticks)
        assert (ticks == ticks.round()).all()


def test_learning_rates_far_apart_have_a_logarithmic_scale() -> None:
    def scale(*peaks: float) -> str:
        runs = {str(peak): [record(k, learning_rate=peak / k) for k in (1, 99)] for peak in peaks}
        return show_curves(runs).axes[2].get_yscale()

    assert scale(0.003, 30) == scale(30, 1, 0.003) == "log"
    assert scale(0.003) == scale(0.003, 0.02) == "linear"


@pytest.mark.parametrize("wrong", [[], {}, {"a": []}, [3], [{"loss": 1.0}], "runs/train-1", None])
def test_what_is_no_training(wrong: Any) -> None:
    with pytest.raises(UsageError, match="show_curves"):
        show_curves(wrong)


HOSTILE = {
    "loss": [[1e308, -1e308], [10**400, 1], [5e-324, 3e38], [3e38, -3e38], [float("inf"), 1]],
    "learning_rate": [[10**400, 1], [5e-324, 1], [5e-324, 3e38]],
    "epoch": [[1, 10**37], [10**37, 10**38]],
}


@pytest.mark.parametrize(("key", "pair"), [(k, pair) for k in HOSTILE for pair in HOSTILE[k]])
def test_numbers_that_no_training_writes_are_drawn_or_left_out(key: str, pair: list[Any]) -> None:
    records = [{**record(k), key: value} for k, value in enumerate(pair, 1)]
    for found in (records, {"a": records, "b": VALIDATED}):
        picture = show_curves(found)
        picture.draw_without_rendering()
        points = curves(picture)[0].get("training" if found is records else "a", [])
        assert len(points) == sum(abs(r["loss"]) < 1e39 for r in records)


def test_an_epoch_that_no_number_can_hold() -> None:
    with pytest.raises(UsageError, match="no list of records"):
        show_curves([record(1), {**record(2), "epoch": 10**400}])


def test_only_the_last_epoch_has_a_star() -> None:
    tested = [record(k, test_loss=0.5, test_accuracy=0.5) for k in (1, 2, 3)]
    assert curves(show_curves(tested))[0]["test"] == [(3, 0.5)]


def test_the_name_of_a_run_cannot_reorder_the_legend() -> None:
    assert "a\\u202eb" in curves(show_curves({"a\u202eb": VALIDATED}))[0]
