"""Lessons: small computations, forward and backward, with the actual numbers.

`explain("conv")` gives a `Lesson`, which `gpucnn explain conv` prints. A topic is a module here
with `INPUTS`, its inputs and their defaults, and `lesson`, which computes.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from gpucnn.errors import choose
from gpucnn.explain.inputs import read
from gpucnn.explain.lesson import Lesson

__all__ = ["TOPICS", "Lesson", "explain", "topic_module"]

TOPICS = {
    "chain-rule": "how gradients go back through a sum and a product",
    "dense": "a dense layer: weighted sums of all inputs",
    "conv": "a convolution: a small filter moves over an image",
    "pool": "max pooling and average pooling",
    "softmax": "softmax and cross-entropy: from scores to a loss",
    "step": "a whole training step: forward, backward, update",
}


def explain(topic: str, /, **inputs: Any) -> Lesson:
    """The lesson of a topic of `TOPICS`, computed in float64 on the CPU.

    Args:
        inputs: by name, numbers, lists, arrays, or text as `gpucnn explain --input` takes it;
            those of a topic are the `INPUTS` of its module.

    Raises:
        UsageError: the topic or an input is not known, or an input is no array of finite numbers,
            has a wrong size or a number out of its limits, or inputs do not fit together.
    """
    module = topic_module(topic)
    found: Lesson = module.lesson(read(module.INPUTS, inputs))
    return found


def topic_module(topic: str) -> ModuleType:
    """The module of a topic; raises `UsageError`."""
    choose(TOPICS, topic, "topic")
    return importlib.import_module(f"gpucnn.explain.{topic.replace('-', '_')}")
