"""What each lesson shows: values of the usual texts, and what it says of special inputs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gpucnn import functions as F
from gpucnn.explain import TOPICS, Lesson, explain, topic_module


def values(lesson: Lesson) -> dict[str, Any]:
    return {name: each.array for name, each in lesson.arrays.items()}


def texts(lesson: Lesson) -> str:
    return " ".join(step.text for step in lesson.steps)


@pytest.mark.parametrize("topic", TOPICS)
def test_the_inputs_give_the_lesson_again(topic: str) -> None:
    lesson = explain(topic)
    assert list(lesson.inputs) == list(topic_module(topic).INPUTS)
    assert explain(topic, **lesson.inputs).as_dict() == lesson.as_dict()
    rng = np.random.default_rng(0)
    name = next(iter(lesson.inputs))
    other = explain(topic, **{name: rng.random(lesson.arrays[name].array.shape) / 3})
    assert explain(topic, **other.inputs).as_dict() == other.as_dict()
    assert other.as_dict() != lesson.as_dict()


@pytest.mark.parametrize("topic", TOPICS)
def test_a_lesson_is_json(topic: str) -> None:
    found = explain(topic).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    names = {array["name"] for array in found["arrays"]}
    for array in found["arrays"]:
        assert len(array["shown"]) == np.prod(array["shape"], initial=1)
        assert array["gradient_of"] in names | {None}
        assert (array["column"] is None) == (array["gradient_of"] is not None)
    columns = {array["name"]: array["column"] for array in found["arrays"]}
    for step in found["steps"]:
        assert step["result"] in names | {None}
        for element in step["elements"]:
            for term in element["terms"]:
                for name, _ in term["cells"]:
                    if columns[step["result"]] is not None and columns[name] is not None:
                        assert columns[name] < columns[step["result"]]


@pytest.mark.parametrize("topic", TOPICS)
def test_the_repr_of_a_lesson_is_one_line(topic: str) -> None:
    lesson = explain(topic)
    text = repr(lesson)
    assert "\n" not in text
    assert text.startswith(f"<Lesson {topic}: {len(lesson.steps)} steps, arrays ")
    assert all(name in text for name in lesson.arrays)


@pytest.mark.parametrize("topic", TOPICS)
def test_inputs_stay_as_they_are_given(topic: str) -> None:
    given = {name: each.array.copy() for name, each in explain(topic).arrays.items()}
    given = {name: given[name] for name in topic_module(topic).INPUTS if name in given}
    before = {name: array.copy() for name, array in given.items()}
    explain(topic, **given)
    assert all((given[name] == before[name]).all() for name in given)


@pytest.mark.parametrize(
    ("z", "expected"), [(-4, (-12, -4, -4, -4, 3)), (4, (12, 4, 4, 4, 3)), (0, (0, 0, 0, 0, 3))]
)
def test_chain_rule(z: float, expected: tuple[float, ...]) -> None:
    found = values(explain("chain-rule", z=z))
    assert tuple(float(found[name]) for name in ("f", "dq", "dx", "dy", "dz")) == expected


def test_conv_with_padding_and_a_stride() -> None:
    """Against loops."""
    rng = np.random.default_rng(1)
    x, w = rng.random((5, 4)), rng.random((3, 2))
    found = values(explain("conv", x=x, w=w, b=0.5, stride=2, padding=1))
    padded = np.pad(x, 1)
    y = np.array(
        [[(padded[i : i + 3, j : j + 2] * w).sum() + 0.5 for j in (0, 2, 4)] for i in (0, 2, 4)]
    )
    assert np.allclose(found["y"], y, rtol=1e-12)
    assert "is again a convolution" not in texts(explain("conv", stride=2, w="1"))
    assert "turned by 180 degrees" not in texts(explain("conv", stride=2, w="1"))


@pytest.mark.parametrize(
    ("inputs", "down", "across", "all_count"),
    [
        ({}, "2 places, (3 - 2) / 1 + 1.", "2 places, (3 - 2) / 1 + 1.", True),
        ({"padding": 1}, "4 places, (3 + 2*1 - 2) / 1 + 1.", "4 places, (3 + 2*1", True),
        ({"stride": 2}, "1 place, (3 - 2) / 2 + 1 = 1.5 rounded down.", "1 place, (3 - 2)", False),
        (
            {"x": np.ones((3, 5)), "w": "1 1", "stride": 3},
            "1 place, (3 - 1) / 3 + 1 = 1.667 rounded down.",
            "2 places, (5 - 2) / 3 + 1.",
            False,
        ),
        ({"stride": 2, "padding": 1}, "2 places, (3 + 2*1 - 2) / 2 + 1 = 2.5", "2 places,", True),
    ],
)
def test_the_places_of_a_filter(
    inputs: dict[str, Any], down: str, across: str, all_count: bool
) -> None:
    """A pixel that no place covers is said to have no effect, and its gradient is 0."""
    lesson = explain("conv", **inputs)
    assert f"From top to bottom the filter has {down}" in lesson.steps[0].text
    assert f"From left to right it has {across}" in lesson.steps[0].text
    without = [element for element in lesson.steps[-1].elements if not element.terms]
    assert all_count == (not without)
    assert ("they do not count" in lesson.steps[0].text) == (not all_count)
    assert ("under no place of the filter gets 0" in lesson.steps[-1].text) == (not all_count)


def test_dense_is_a_product_of_matrices() -> None:
    found = values(explain("dense"))
    x, w, dy = found["x"], found["w"], found["dy"]
    assert np.allclose(found["y"], x @ w + found["b"], rtol=1e-12)
    assert np.allclose(found["dw"], x.T @ dy, rtol=1e-12)
    assert np.allclose(found["dx"], dy @ w.T, rtol=1e-12)
    assert np.allclose(found["db"], dy.sum(axis=0), rtol=1e-12)


def test_of_equal_pixels_the_first_is_the_maximum() -> None:
    lesson = explain("pool", x="1 2 2; 2 0 1; 0 1 0", kernel=2, stride=1, dy="1 10; 100 1000")
    assert values(lesson)["ymax"].tolist() == [[2, 2], [2, 1]]
    assert values(lesson)["dxmax"].tolist() == [[0, 11, 0], [100, 0, 1000], [0, 0, 0]]
    assert "in the window of ymax[0,0], ymax[0,1], ymax[1,1]: the first one" in texts(lesson)
    assert "The windows overlap" in texts(lesson)
    plain = texts(explain("pool"))
    assert "More than one pixel" not in plain
    assert "overlap" not in plain


def test_pixels_in_no_window_get_nothing() -> None:
    found = values(explain("pool", x=np.arange(25).reshape(5, 5), kernel=2, stride=3))
    assert found["dxavg"][2].tolist() == [0, 0, 0, 0, 0]
    assert (found["dxavg"].sum(), found["dxmax"].sum()) == (found["dy"].sum(),) * 2
    words = texts(explain("pool", x=np.arange(25).reshape(5, 5), kernel=2, stride=3))
    assert "they do not count" in words
    assert "in no window gets 0" in words
    assert "they do not count" not in texts(explain("pool"))
    assert "in no window" not in texts(explain("pool"))


def test_an_equation_names_the_place_of_a_number_that_is_passed_on() -> None:
    lesson = explain("pool")
    elements = {(step.result, e.index): e for step in lesson.steps for e in step.elements}
    equations = {of: "".join(element.equation) for of, element in elements.items()}
    assert equations["dxmax", (0, 0)] == "0"  # which no window chose
    assert equations["dxmax", (1, 0)] == "dy[0,0] = 1"
    assert equations["ymax", (0, 0)] == "max(1, 3, 5, 4) = 5"
    assert equations["dxavg", (2, 2)] == "(-1) / 4 = -0.25"


def test_softmax() -> None:
    found = values(explain("softmax"))
    assert found["p"] == pytest.approx([0.6590, 0.2424, 0.0986], abs=5e-5)
    assert found["L"] == pytest.approx(0.4170, abs=5e-5)
    assert found["dz"] == pytest.approx(found["dz_short"], rel=1e-12)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_softmax_of_large_logits(label: int) -> None:
    lesson = explain("softmax", z="1e6 0 -1e6", label=label)
    found = values(lesson)
    assert found["L"] == 1e6 * label
    assert found["p"].tolist() == [1, 0, 0]
    assert (found["dz"] == found["dz_short"]).all()
    assert F.softmax_cross_entropy(found["z"][None], np.array([label])).item() == found["L"]


@pytest.mark.parametrize(
    ("rate", "says"), [(0.5, "is smaller"), (100, "is larger"), (0, "did not change")]
)
def test_step_says_what_became_of_the_loss(rate: float, says: str) -> None:
    lesson = explain("step", rate=rate)
    found = values(lesson)
    assert says in lesson.steps[-1].text
    change = np.sign(found["L_new"] - found["L"])
    assert change == {"is smaller": -1, "is larger": 1, "did not change": 0}[says]
    for name in ("w1", "b1", "w2", "b2"):
        assert found[f"{name}_new"] == pytest.approx(found[name] - rate * found[f"d{name}"], 1e-12)


@pytest.mark.parametrize(
    "inputs",
    [{}, {"x": "3 -1", "label": 1}, {"w2": "1 0 -1; 2 1 0", "b2": "0 0 0", "label": "2 0"}],
)
def test_step_computes_the_loss_of_the_library(inputs: dict[str, Any]) -> None:
    found = values(explain("step", **inputs))
    for new in ("", "_new"):
        a = found["x"] @ found[f"w1{new}"] + found[f"b1{new}"]
        z = (1 / (1 + np.exp(-a))) @ found[f"w2{new}"] + found[f"b2{new}"]
        loss = F.softmax_cross_entropy(z, found["t"]).item()
        assert loss == pytest.approx(float(found[f"L{new}"]), rel=1e-12)


def test_step_repeats_the_forward_part() -> None:
    steps = explain("step").steps
    first = [step for step in steps if step.part == "forward"]
    again = [step for step in steps if step.part == "forward again"]
    assert [step.rule for step in again[:-1]] == [step.rule for step in first]
    assert [f"{step.result}_new" for step in first] == [step.result for step in again[:-1]]
