"""Paragraphs that the introductions of lessons share."""

from __future__ import annotations

#: Why a layer has a backward pass.
TRAINING = (
    "Training changes the numbers of a network until its results are good. The loss L is one "
    "number that says how bad a result is: the smaller, the better. For each number, training "
    "asks: if this number grows by a little, how much does L change? The change of L, divided by "
    "that little, is the gradient of the number. The gradient of x is written dL/dx, in short dx.",
    "A network is a chain of layers: each computes with the output of the layer before it. The "
    "gradients are computed backward, from the loss to the first layer. Each layer receives dy, "
    "the gradient of its output y. From dy it computes the gradients of its inputs and of its "
    "weights.",
    "Two rules give these gradients. Along a path, multiply: if y grows 2 times as fast as x, and "
    "L grows 3 times as fast as y, then L grows 2 * 3 times as fast as x. Where several paths lead "
    "from x to L, through several numbers of y, add: each path changes L, and the changes add up.",
)

DIGITS = "A number is shown with four digits; the library computes with all of them."

#: How to read the numbers of arrays.
READING = (
    "How to read the numbers: x[0,1] is the number of x in row 0, column 1. Rows and columns are "
    f"counted from 0, as in Python. {DIGITS}"
)
