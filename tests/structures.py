"""Structures of networks, as weights files hold them."""

from __future__ import annotations

from typing import Any

RELU = {"class": "ReLU", "arguments": {}}


def sequential(*layers: Any, name: str | None = None) -> dict[str, Any]:
    return {"class": "Sequential", "name": name, "input_shape": None, "layers": [*layers]}


def residual(body: Any, shortcut: Any = None) -> dict[str, Any]:
    return {"class": "Residual", "name": None, "body": body, "shortcut": shortcut}


def graph(layers: dict[str, Any], *steps: Any, **constants: Any) -> dict[str, Any]:
    return {
        "class": "LayerGraph", "name": None, "layers": layers, "steps": [*steps],
        "constants": constants,
    }  # fmt: skip


def doubling(times: int) -> dict[str, Any]:
    """Layers of which each calls the one before it twice."""
    layers: list[Any] = [sequential(RELU)]  # which has the number 1, and its ReLU 2
    for number in (1, *range(3, times + 2)):
        layers.append(sequential({"again": number}, {"again": number}))
    return sequential(*layers)


def doubling_residuals(times: int) -> dict[str, Any]:
    """Residuals around each other: the body calls the one inside, and so does the shortcut."""
    inside: Any = RELU  # it has the number 2 * times: a container comes before its layers
    for number in range(2 * times, 0, -2):
        inside = residual(sequential(inside), {"again": number})
    return inside


def doubling_steps(times: int) -> dict[str, Any]:
    inside = graph({"a": RELU}, ["y", "a", ["input"]])
    for _ in range(times):
        inside = graph({"a": inside}, ["x", "a", ["input"]], ["y", "a", ["x"]])
    return inside
