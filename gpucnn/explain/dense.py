"""The lesson of a dense layer: y = x @ w + b."""

from __future__ import annotations

import numpy as np

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.explain.inputs import Input, Numbers, check_fit, gradient, written
from gpucnn.explain.lesson import READING, Lesson

INPUTS = {
    "x": Input("1 2 -1; 0 1 3", "the batch, an example a row", axes=2),
    "w": Input("1 -1; 0.5 2; -2 0", "the weights", axes=2),
    "b": Input("0.5 -1", "the biases", axes=1),
    "dy": Input("", "the gradient of y", axes=2),
}
_INTRODUCTION = (
    "A dense layer computes numbers from numbers: each output is a weighted sum of all inputs. A "
    "weight says how much an input counts for an output. A bias is added to the sum. Weights and "
    "biases are the parameters of the layer: training changes them.",
    "A batch is a number of examples that are computed together. Here each row of x is an example, "
    "each column of w belongs to an output, and each row of y is the output for an example.",
    "Training needs the way back. The loss L is one number that says how bad the result of the "
    "network is. The rest of the network tells how much L would change if a number of y changed: "
    "this is dL/dy, the gradient of y. The layer computes from it the gradients of b, w and x.",
)


def lesson(numbers: Numbers) -> Lesson:
    """y = x @ w + b of x (N, inputs), w (inputs, outputs), b (outputs,), and three gradients."""
    x, w, b = (Tensor(numbers[name].copy(), requires_grad=True) for name in ("x", "w", "b"))
    (N, inputs), outputs = x.shape, w.shape[1]
    check_fit("w row", w.shape[0], "x column", inputs, "each input has a row of weights")
    check_fit("b number", b.shape[0], "w column", outputs, "each output has a bias and weights")
    y = F.linear(x, w, b)
    dy = gradient(numbers, "dy", y.shape)
    y.backward(dy)
    found = Lesson(
        "dense",
        "A dense layer, forward and backward",
        (*_INTRODUCTION, READING),
        written(INPUTS, numbers),
    )
    found.add("x", numbers["x"], f"the batch: {N} examples of {inputs} numbers")
    found.add("w", numbers["w"], f"the weights: {inputs} inputs, {outputs} outputs")
    found.add("b", numbers["b"], "the biases, one an output")
    found.step(
        "weighted sum of the inputs",
        "y[n,o] = sum over i of x[n,i] * w[i,o], plus b[o]",
        "Each output of an example: its inputs times the weights of the output, added, plus the "
        "bias. In Python it is y = x @ w + b, a product of matrices.",
        name="y",
        array=y.numpy(),
        about=f"the output: {outputs} numbers for each example",
        terms={
            (n, o): [
                *(found.product(("x", (n, i)), ("w", (i, o))) for i in range(inputs)),
                found.product(("b", (o,))),
            ]
            for n, o in np.ndindex(N, outputs)
        },
    )
    found.part = "backward"
    found.given_gradient(dy)
    found.step(
        "gradient of a sum: pass it on",
        "dL/db[o] = sum over n of dy[n,o]",
        "The bias of an output was added for each example. A little more bias adds as much to "
        "each, so their gradients add up.",
        name="db",
        array=b.grad,
        about="the gradient of b, dL/db",
        terms={(o,): [found.product(("dy", (n, o))) for n in range(N)] for o in range(outputs)},
        gradient_of="b",
    )
    found.step(
        "gradient of a product: times the other factor",
        "dL/dw[i,o] = sum over n of x[n,i] * dy[n,o]",
        "A weight met one number of each example. If the weight grows, the output of the example "
        "grows by that number times as much: each example gives that number times the gradient of "
        "its output, and the examples add up. In Python it is dw = x.T @ dy.",
        name="dw",
        array=w.grad,
        about="the gradient of w, dL/dw",
        terms={
            (i, o): [found.product(("x", (n, i)), ("dy", (n, o))) for n in range(N)]
            for i, o in np.ndindex(inputs, outputs)
        },
        gradient_of="w",
    )
    found.step(
        "gradient of a product: times the other factor",
        "dL/dx[n,i] = sum over o of dy[n,o] * w[i,o]",
        "An input went into every output of its example, each time with another weight. Each of "
        "these paths gives the gradient of the output times the weight, and the paths add up. In "
        "Python it is dx = dy @ w.T. If a layer stands before this one, dx is what it gets as its "
        "dy: so the gradient goes back through the whole network.",
        name="dx",
        array=x.grad,
        about="the gradient of x, dL/dx",
        terms={
            (n, i): [found.product(("dy", (n, o)), ("w", (i, o))) for o in range(outputs)]
            for n, i in np.ndindex(N, inputs)
        },
        gradient_of="x",
    )
    return found
