"""The lesson of a dense layer: y = x @ w + b."""

from __future__ import annotations

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.explain.inputs import Input, Numbers, check_fit, gradient, written
from gpucnn.explain.introduction import READING, TRAINING
from gpucnn.explain.lesson import Lesson

INPUTS = {
    "x": Input("1 2 -1; 0 1 3", "the batch: each row is an example", axes=2),
    "w": Input("1 -1; 0.5 2; -2 0", "the weights", axes=2),
    "b": Input("0.5 -1", "the biases", axes=1),
    "dy": Input("", "the gradient of y", axes=2),
}
_INTRODUCTION = (
    "A dense layer computes each of its outputs from all of its inputs. Each input is multiplied "
    "by a number of its own, its weight, and the products are added. A weight says how much an "
    "input counts for an output. A further number, the bias of the output, is added to the sum.",
    "An example is one set of inputs, such as the pixels of one image. Some examples are computed "
    "together: they are a batch. Each row of x is an example, each column of w has the weights of "
    "an output, and each row of y is the output for an example.",
    *TRAINING,
    READING,
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
        _INTRODUCTION,
        written(INPUTS, numbers),
    )
    found.add("x", numbers["x"], f"the batch: {N} examples of {inputs} numbers")
    found.add("w", numbers["w"], f"the weights: {inputs} inputs, {outputs} outputs")
    found.add("b", numbers["b"], "the biases, one for each output")
    found.step(
        "weighted sum of the inputs",
        "y[n,o] = sum over i of x[n,i] * w[i,o], plus b[o]",
        "y[n,o] is output o of example n. To compute it, multiply each input of the example by its "
        "weight for this output, add the products, and add the bias. With arrays of NumPy this is "
        "y = x @ w + b.",
        name="y",
        array=y.numpy(),
        about=f"the output: {outputs} numbers for each example",
        terms=found.dense("x", "w", "b"),
    )
    found.part = "backward"
    found.given_gradient(dy)
    found.step(
        "gradient of a sum: pass it on",
        "db[o] = sum over n of dy[n,o]",
        "The bias of an output was added for each example. If it grows by a little, the output of "
        "each example grows by as much. So the gradients of all examples are added.",
        name="db",
        array=b.grad,
        about="the gradient of b, dL/db",
        terms=found.sums("no->o", "dy"),
        gradient_of="b",
    )
    found.step(
        "gradient of a product: times the other factor",
        "dw[i,o] = sum over n of x[n,i] * dy[n,o]",
        "The weight w[i,o] met input i of each example. If the weight grows by a little, output o "
        "of the example grows by that little times the input. So each example gives its input "
        "times the gradient of its output, and all examples are added: dw = x.T @ dy.",
        name="dw",
        array=w.grad,
        about="the gradient of w, dL/dw",
        terms=found.sums("ni,no->io", "x", "dy"),
        gradient_of="w",
    )
    found.step(
        "gradient of a product: times the other factor",
        "dx[n,i] = sum over o of dy[n,o] * w[i,o]",
        "The input x[n,i] went into every output of its example, each time with another weight. If "
        "the input grows by a little, such an output grows by that little times the weight. So "
        "each output gives its gradient times the weight, and all outputs are added: "
        "dx = dy @ w.T. If another layer stands before this one, dx is what it receives as its dy.",
        name="dx",
        array=x.grad,
        about="the gradient of x, dL/dx",
        terms=found.sums("no,io->ni", "dy", "w"),
        gradient_of="x",
    )
    return found
