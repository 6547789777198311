"""Networks as JSON: the bounds on what a file may describe. Each is refused in little time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from structures import (
    RELU,
    doubling,
    doubling_residuals,
    doubling_steps,
    graph,
    sequential,
)

from gpucnn.errors import UsageError
from gpucnn.nn import Dense, Flatten, ReLU, Residual, Sequential
from gpucnn.nn.structure import MOST_CALLS, from_structure, structure

ADD = ["F.add", ["input", "input"]]

HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "again": (doubling(40), "calls of layers"),
    "again-little": (doubling(13), "calls of layers"),
    "residuals-again": (doubling_residuals(40), "calls of layers"),
    "steps-again": (doubling_steps(40), "calls of layers"),
    "layers": (sequential(*[RELU] * 100_000), "100,000 layers"),
    "layers-inside": (sequential(*[sequential(*[RELU] * 5000)] * 3), "layers"),
    "references": (sequential(RELU, *[{"again": 1}] * 200_000), "200,001 layers"),
    "steps": (graph({}, *[[f"y{k}", *ADD] for k in range(20_000)]), "20,000 steps"),
    "constants": (graph({}, ["y", *ADD], **{f"c{k}": [] for k in range(20_000)}), "constants"),
    "name": (sequential({"class": "ReLU", "arguments": {"name": "n" * 10**6}}), "path"),
    "name-of-many": (sequential(*[RELU] * 9000, name="n" * 10**6), "path"),
    "key": (graph({"k" * 10**6: RELU}, ["y", "k" * 10**6, ["input"]]), "path"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_structure_is_refused_in_little_time(name: str) -> None:
    described, says = HOSTILE[name]
    begun = time.process_time()
    with pytest.raises(UsageError, match=says) as caught:
        from_structure(described)
    assert "at most" in str(caught.value)
    assert len(str(caught.value)) < 300
    assert time.process_time() - begun < 1


def test_the_path_of_a_deep_layer_is_bounded() -> None:
    inside = sequential(RELU, name="n" * 150)
    for _ in range(10):
        inside = sequential(inside, name="n" * 150)
    with pytest.raises(UsageError, match="path"):
        from_structure(inside)


@pytest.mark.parametrize(("count", "fits"), [(MOST_CALLS - 1, True), (MOST_CALLS, False)])
def test_the_bound_counts_every_layer_once(count: int, fits: bool) -> None:
    described = sequential(*[RELU] * count)
    if fits:
        assert len(from_structure(described)) == count
    else:
        with pytest.raises(UsageError, match="10,001 layers"):
            from_structure(described)


def test_a_layer_that_is_called_again_counts_its_calls() -> None:
    shared = Sequential([Dense(3), ReLU()])
    net = Sequential([Flatten(), Residual(Sequential([shared, shared])), shared])
    made = from_structure(structure(net))
    assert made.build((3,)).num_parameters == net.build((3,)).num_parameters == 12
    assert [path for path, _ in made.named_modules()] == [path for path, _ in net.named_modules()]


def test_many_layers_are_made_in_linear_time() -> None:
    """Each layer that is added costs the same: 8 times as many take no more than 24 times."""

    def seconds(count: int) -> float:
        begun = time.process_time()
        Sequential([ReLU() for _ in range(count)]).build((3,))
        return time.process_time() - begun

    seconds(100)
    assert seconds(8000) < 24 * max(seconds(1000), 0.02)
