"""Every number of every lesson: the terms give it, and each gradient is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calculations import element_value, run, term_value
from hypothesis import given, settings
from hypothesis import strategies as st
from selection import slow_except

from gpucnn.explain import TOPICS, Lesson, explain
from gpucnn.explain.lesson import PARTS

SIZES = st.integers(1, 4)


@st.composite
def inputs(draw: Any, topic: str) -> dict[str, Any]:
    """Random inputs that fit together; the numbers of an array are different."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.1, 1.0, 3.0]))

    def array(*shape: int) -> np.ndarray[Any, Any]:
        return scale * rng.standard_normal(shape)

    if topic == "chain-rule":
        return {name: array() for name in "xyz"}
    if topic == "conv":
        kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        padding = draw(st.integers(0, 1))
        size = [draw(st.integers(max(k - 2 * padding, 1), 5 - padding)) for k in kernel]
        stride = draw(st.integers(1, 3))
        return {
            "x": array(*size), "w": array(*kernel), "b": array(), "stride": stride,
            "padding": padding,
        }  # fmt: skip
    if topic == "dense":
        n, i, o = draw(st.tuples(SIZES, SIZES, SIZES))
        return {"x": array(n, i), "w": array(i, o), "b": array(o), "dy": array(n, o)}
    if topic == "pool":
        kernel = draw(st.integers(1, 3))
        size = draw(st.tuples(st.integers(kernel, 5), st.integers(kernel, 5)))
        return {"x": array(*size), "kernel": kernel, "stride": draw(st.integers(1, 3))}
    if topic == "softmax":
        classes = draw(st.integers(1, 6))
        return {"z": array(classes), "label": draw(st.integers(0, classes - 1))}
    n, i, j, k = draw(st.tuples(SIZES, SIZES, SIZES, SIZES))
    return {
        "x": array(n, i), "label": rng.integers(0, k, n), "w1": array(i, j), "b1": array(j),
        "w2": array(j, k), "b2": array(k), "rate": draw(st.sampled_from([0, 0.1, 0.3, 100])),
    }  # fmt: skip


def close(got: float, want: float) -> bool:
    return abs(got - want) <= 1e-12 * abs(want) + 1e-300


def check_terms(lesson: Lesson) -> None:
    arrays = {name: values.array for name, values in lesson.arrays.items()}
    computed = set()
    for step in lesson.steps:
        assert step.rule
        assert step.text
        if step.result is None:
            assert not step.elements
            continue
        array = arrays[step.result]
        if not step.elements:
            continue
        computed.add(step.result)
        assert [element.index for element in step.elements] == list(np.ndindex(array.shape))
        for element in step.elements:
            assert element.value == array[element.index]
            for term in element.terms:
                assert term.cells
                assert close(term_value(term, arrays, arrays), term.value), (step, term)
            values = [term.value for term in element.terms]
            # Terms may cancel: rounding is relative to the largest of them.
            scale = max([1e-300, *map(abs, values)]) if element.joiner in (" + ", " - ") else 0
            error = abs(element_value(element, values) - element.value)
            assert error <= 1e-12 * max(scale, abs(element.value)), (step.result, element)
    given = [step.result for step in lesson.steps if step.result not in (computed | {None})]
    # Only the gradient that arrives is given; a training step begins with a formula of its own.
    assert len(given) == (lesson.topic != "step")
    assert [PARTS.index(step.part) for step in lesson.steps] == sorted(
        PARTS.index(step.part) for step in lesson.steps
    )


def end_of(lesson: Lesson, gradient: str) -> tuple[str, np.ndarray[Any, Any]]:
    """The array that a gradient goes back from, and the gradient that arrives there."""
    if lesson.topic == "pool":
        return "yavg" if gradient == "dxavg" else "ymax", lesson.arrays["dy"].array
    result = {"chain-rule": "f", "conv": "y", "dense": "y"}.get(lesson.topic, "L")
    given = lesson.arrays.get("dy") if result == "y" else None
    return result, given.array if given else np.array(1.0)


def check_gradients(lesson: Lesson) -> None:
    """Every gradient against central differences of the forward part."""
    seen = 0
    for name, values in lesson.arrays.items():
        if values.gradient_of is None:
            continue
        seen += 1
        result, arrives = end_of(lesson, name)
        of = lesson.arrays[values.gradient_of].array
        assert values.array.shape == of.shape
        for index in np.ndindex(of.shape):
            step = np.zeros(of.shape)
            step[index] = h = 1e-5 * max(1.0, abs(of[index]))
            up, down = (run(lesson, values.gradient_of, s)[result] for s in (step, -step))
            slope = float((arrives * (up - down)).sum()) / (2 * h)
            assert values.array[index] == pytest.approx(slope, rel=1e-5, abs=1e-7), (name, index)
    assert seen


@pytest.mark.parametrize("topic", TOPICS)
def test_the_terms_give_every_number(topic: str) -> None:
    lesson = explain(topic)
    check_terms(lesson)
    check_gradients(lesson)


@pytest.mark.parametrize("topic", slow_except(TOPICS, "conv"))
def test_the_terms_give_every_number_of_other_inputs(topic: str) -> None:
    @settings(max_examples=20)
    @given(inputs(topic))
    def check(given_inputs: dict[str, Any]) -> None:
        lesson = explain(topic, **given_inputs)
        check_terms(lesson)
        check_gradients(lesson)

    check()
