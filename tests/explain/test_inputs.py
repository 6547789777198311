"""Inputs of lessons: the forms that they take, and errors for all that is no input."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError
from gpucnn.explain import TOPICS, explain, topic_module
from gpucnn.explain.inputs import Input, read

INPUTS = [(topic, name) for topic in TOPICS for name in topic_module(topic).INPUTS]
NO_NUMBERS = [
    "many", "1 + 1", "nan", "-inf", "1e400", "1 2; 3", "1 2;; 3 4", [[1, 2], [3]], None, {"a": 1},
    object(), 1j, np.array([[1j]]), 10**400, ["one", "two"], "1|2",
]  # fmt: skip
WRONG_SIZES = [
    "", "  ", ";;", [], np.zeros((0, 3)), np.ones((2, 2, 2)), "1 " * 7, "1 2; " * 7, "1000001", -2e6
]  # fmt: skip


@pytest.mark.parametrize(("topic", "name"), INPUTS)
def test_what_is_no_number_is_refused(topic: str, name: str) -> None:
    for bad in NO_NUMBERS:
        with pytest.raises(UsageError, match=rf"input {name} ") as error:
            explain(topic, **{name: bad})
        assert error.value.cause
        assert error.value.fix


@pytest.mark.parametrize(("topic", "name"), INPUTS)
def test_what_has_a_wrong_size_is_refused(topic: str, name: str) -> None:
    for bad in WRONG_SIZES:
        with pytest.raises(UsageError, match=rf"input {name} ") as error:
            explain(topic, **{name: bad})
        assert error.value.cause
        assert error.value.fix


@pytest.mark.parametrize(("topic", "name"), INPUTS)
def test_whole_numbers_have_limits(topic: str, name: str) -> None:
    known: Input = topic_module(topic).INPUTS[name]
    bad = [known.least - 1, known.most + 1, *([0.5, 1.5] if known.whole else [])]
    for number in bad:
        with pytest.raises(UsageError, match=f"input {name} has the number"):
            explain(topic, **{name: number})


@pytest.mark.parametrize("topic", TOPICS)
def test_unknown_names_are_refused(topic: str) -> None:
    names = topic_module(topic).INPUTS
    for name in ("", "X", "weights", "self", "topic", "L"):
        with pytest.raises(UsageError, match="unknown input") as error:
            explain(topic, **{name: 1})
        assert str(error.value.fix).endswith(f"choose one of {', '.join(names)}")


@pytest.mark.parametrize("topic", ["", "cov", "chain_rule", "explain", None, 3])
def test_unknown_topics_are_refused(topic: Any) -> None:
    with pytest.raises(UsageError, match="unknown topic"):
        explain(topic)


@pytest.mark.parametrize(
    ("topic", "inputs", "message"),
    [
        ("conv", {"w": np.ones((4, 1))}, "the filter has 4 x 1 pixels, the image 3 x 3"),
        ("conv", {"w": np.ones((1, 6)), "padding": 1}, "the image 5 x 5 with its padding"),
        ("conv", {"padding": 3}, "the output would have 8 x 8 pixels"),
        ("conv", {"dy": [[1, 2]]}, "dy has 1 x 2 numbers"),
        ("pool", {"kernel": 5}, "the window has 5 x 5 pixels, the image 4 x 4"),
        ("pool", {"dy": 1}, "dy has 1 x 1 numbers"),
        ("dense", {"x": "1 2"}, "w has 3 rows, and x has 2 columns"),
        ("dense", {"w": "1; 2; 3"}, "b has 2 numbers, and w has 1 column"),
        ("dense", {"b": "1 2 3"}, "b has 3 numbers, and w has 2 columns"),
        ("dense", {"dy": "1 2; 3 4; 5 6"}, "dy has 3 x 2 numbers"),
        ("softmax", {"label": 3}, "the input label is 3, and there are 3 logits"),
        ("softmax", {"z": 1, "label": 1}, "the input label is 1, and there are 1 logit"),
        ("step", {"label": [0, 2]}, "the input label is 2, and there are 2 logits"),
        ("step", {"label": 0}, "label has 1 number, and x has 2 rows"),
        ("step", {"x": "1 2 3; 4 5 6"}, "w1 has 2 rows, and x has 3 columns"),
        ("step", {"b1": "1"}, "b1 has 1 number, and w1 has 2 columns"),
        ("step", {"w1": "1 2 3; 4 5 6"}, "b1 has 2 numbers, and w1 has 3 columns"),
        ("step", {"w2": "1 2"}, "w2 has 1 row, and w1 has 2 columns"),
        ("step", {"b2": "1 2 3"}, "b2 has 3 numbers, and w2 has 2 columns"),
    ],
)
def test_inputs_that_do_not_fit_together(topic: str, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        explain(topic, **inputs)
    assert message in error.value.message
    assert error.value.cause
    assert error.value.fix


@pytest.mark.parametrize(("topic", "name"), INPUTS)
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("abc", "'abc' is not a number"),
        ("1 2; 3 4x", "'4x' is not a number"),
        ("[[1, 2], [3, 4]]", "'[[1' is not a number"),
        ("1 2; 3", "row 0 has 2 numbers, and row 1 has 1"),
        ("1; 2; 3 4; 5", "row 0 has 1 number, and row 2 has 2"),
        ("1 2;; 3 4", "row 0 has 2 numbers, and row 1 has 0"),
    ],
)
def test_an_error_names_the_word_or_the_row(topic: str, name: str, text: str, cause: str) -> None:
    with pytest.raises(UsageError) as error:
        explain(topic, **{name: text})
    assert error.value.cause == cause


@pytest.mark.parametrize(
    ("topic", "inputs"),
    [
        ("softmax", {"label": 5}),
        ("softmax", {"z": "1", "label": 1}),
        ("step", {"label": "0 5"}),
        ("step", {"x": "1 2; 3 4; 5 6", "label": "2 3 4", "w2": "1; 2", "b2": "1"}),
    ],
)
def test_the_fix_of_a_label_gives_a_lesson(topic: str, inputs: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="input label") as error:
        explain(topic, **inputs)
    (label,) = re.findall(r'label="([^"]*)"', str(error.value.fix))
    assert explain(topic, **(inputs | {"label": label})).arrays["t"].array.sum() == len(
        label.split()
    )


@pytest.mark.parametrize(("topic", "name"), INPUTS)
def test_the_form_in_a_fix_is_taken(topic: str, name: str) -> None:
    """It may not fit to the other inputs, but it is an input of this name."""
    known: Input = topic_module(topic).INPUTS[name]
    with pytest.raises(UsageError) as error:
        read({name: known}, {name: "abc"})
    form = str(error.value.fix).partition(", as in ")[2].strip('"')
    assert read({name: known}, {name: form})[name].ndim == known.axes


def test_forms_of_an_array() -> None:
    known = {"x": Input("1", "numbers", axes=2)}
    for form in (
        "1 2; 3 4", "1,2;3,4", " 1, 2 ; 3, 4; ", "1e0 2.0;+3 4.", [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], np.uint8), np.array([[1, 2], [3, 4]], np.float32),
        Tensor([[1.0, 2.0], [3.0, 4.0]]),
    ):  # fmt: skip
        array = read(known, {"x": form})["x"]
        assert array.dtype == np.float64
        assert array.tolist() == [[1, 2], [3, 4]]
    assert read(known, {"x": "1 2"})["x"].tolist() == [[1, 2]]
    assert read(known, {"x": 5})["x"].tolist() == [[5]]
    assert read(known, {})["x"].tolist() == [[1]]


@pytest.mark.parametrize("form", ["2", 2, 2.0, [2], [[2.0]], np.float32(2), np.array(2)])
def test_forms_of_a_number(form: Any) -> None:
    array = read({"x": Input("1", "a number")}, {"x": form})["x"]
    assert array.shape == ()
    assert array == 2


def test_an_input_is_not_changed() -> None:
    weights = {name: np.ones(shape) for name, shape in (("w1", (2, 2)), ("b1", (2,)))}
    explain("step", **weights)
    assert all((array == 1).all() for array in weights.values())
