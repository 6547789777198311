"""The lesson of a whole training step of a small network."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gpucnn import functions as F
from gpucnn import optim
from gpucnn.autograd import Tensor
from gpucnn.explain import softmax
from gpucnn.explain.inputs import Input, Numbers, check_fit, written
from gpucnn.explain.lesson import READING, Lesson, shown

INPUTS = {
    "x": Input("1 2", "the example", axes=1),
    "label": Input("0", "the true class", whole=True, least=0, most=5),
    "w1": Input("0.5 -0.5; 0.25 1", "the weights of layer 1", axes=2),
    "b1": Input("0 0.5", "the biases of layer 1", axes=1),
    "w2": Input("1 -1; 0.5 1", "the weights of layer 2", axes=2),
    "b2": Input("0 0", "the biases of layer 2", axes=1),
    "rate": Input("0.5", "the learning rate", least=0),
}
_PARAMETERS = ("w1", "b1", "w2", "b2")
_INTRODUCTION = (
    "This network has two dense layers. A dense layer multiplies each of its inputs by a number, "
    "a weight, adds the products, and adds a further number, a bias. The sigmoid stands between "
    "the layers. The second layer gives a score for each class, the logits, and softmax turns "
    "them into probabilities. Weights and biases are the parameters of the network.",
    "The true class of an example is known, its label. The loss L is one number that says how bad "
    "the result is for the label: the smaller, the better. Training changes the parameters so that "
    "L gets smaller. It repeats one step many times; this is one of them.",
    "Forward: compute the loss. Backward: ask for each parameter how much L changes if the "
    "parameter grows by a little. The change of L, divided by that little, is the gradient of the "
    "parameter; the gradient of w1 is written dL/dw1, in short dw1. Update: change each parameter "
    "a little against its gradient. Then forward again shows whether L got smaller.",
    READING,
)


class _Network(NamedTuple):
    """The numbers of a forward pass; each retains its gradient."""

    a: Tensor
    h: Tensor
    z: Tensor
    made: softmax.Forward


def lesson(numbers: Numbers) -> Lesson:
    """One step of SGD on an example.

    x is (inputs,), w1 (inputs, hidden), b1 (hidden,), w2 (hidden, classes), b2 (classes,).
    """
    _check(numbers)
    weights = {n: Tensor(numbers[n].copy(), requires_grad=True, name=n) for n in _PARAMETERS}
    optimizer = optim.SGD(weights, learning_rate=float(numbers["rate"]))
    found = Lesson(
        "step",
        "A whole training step: forward, backward, update",
        _INTRODUCTION,
        written(INPUTS, numbers),
    )
    found.add("x", numbers["x"], "the example, the input of the network")
    label = softmax.add_label(found, numbers, numbers["b2"].size)
    for name in _PARAMETERS:
        found.add(name, numbers[name], INPUTS[name].about)
    found.add("rate", optimizer.learning_rate[0], INPUTS["rate"].about)

    before = _forward(found, numbers, weights, label)
    before.made.L.backward()
    found.part = "backward"
    _backward(found, before, weights)
    optimizer.step()
    found.part = "update"
    _update(found, weights)
    found.part = "forward again"
    first = len(found.steps)
    after = _forward(found, numbers, weights, label, "_new")
    found.steps[first:] = [
        replace(step, text=f"As in step {number}, with the new parameters.")
        for number, step in enumerate(found.steps[first:], 1)
    ]
    old, new = float(before.made.L.numpy()), float(after.made.L.numpy())
    found.step("the loss before and after", "", _comparison(old, new))
    return found


def _forward(
    found: Lesson, numbers: Numbers, weights: dict[str, Tensor], label: int, new: str = ""
) -> _Network:
    """Add the steps from x to the loss; `new` is the end of the names of what changed."""
    w1, b1, w2, b2 = (weights[name] for name in _PARAMETERS)
    w1_, b1_, w2_, b2_, a_, h_, z_ = (n + new for n in (*_PARAMETERS, "a", "h", "z"))
    a = Tensor(numbers["x"]) @ w1 + b1
    h = F.sigmoid(a)
    z = h @ w2 + b2
    for tensor in (a, h, z):
        tensor.retain_grad()
    (inputs, hidden), classes = w1.shape, w2.shape[1]
    found.step(
        "layer 1: weighted sum",
        f"{a_}[j] = sum over i of x[i] * {w1_}[i,j], plus {b1_}[j]",
        "a[j] is output j of the layer: each input times its weight for this output, added, plus "
        "the bias.",
        name=a_,
        array=a.numpy(),
        about="the weighted sums of layer 1",
        terms={
            (j,): [
                *(found.product(("x", (i,)), (w1_, (i, j))) for i in range(inputs)),
                found.product((b1_, (j,))),
            ]
            for j in range(hidden)
        },
    )
    found.step(
        "sigmoid",
        f"{h_}[j] = 1 / (1 + exp(-{a_}[j]))",
        "The sigmoid turns any number into one between 0 and 1; exp(-a) is 2.718... to the power "
        "of -a. Its curve is not straight: without it, two layers could compute no more than one.",
        name=h_,
        array=h.numpy(),
        about="the output of layer 1",
        terms={(j,): [found.product((a_, (j,)))] for j in range(hidden)},
        opening="1 / (1 + exp(-",
        closing="))",
    )
    found.step(
        "layer 2: weighted sum",
        f"{z_}[k] = sum over j of {h_}[j] * {w2_}[j,k], plus {b2_}[k]",
        "The second layer computes with h, the output of the first. It gives a logit for each "
        "class.",
        name=z_,
        array=z.numpy(),
        about="the logits",
        terms={
            (k,): [
                *(found.product((h_, (j,)), (w2_, (j, k))) for j in range(hidden)),
                found.product((b2_, (k,))),
            ]
            for k in range(classes)
        },
    )
    return _Network(a, h, z, softmax.forward(found, z, label, new))


def _backward(found: Lesson, before: _Network, weights: dict[str, Tensor]) -> None:
    """Add the steps from the loss to the gradients of the parameters."""
    w1, b1, w2, b2 = (weights[name] for name in _PARAMETERS)
    (inputs, hidden), classes = w1.shape, w2.shape[1]
    found.step(
        "softmax and cross-entropy: probability minus one-hot",
        "dz[k] = p[k] - t[k]",
        "The way back begins at the loss. Through cross-entropy and softmax it is one formula: the "
        "probabilities minus t, the label as one-hot. gpucnn explain softmax shows why.",
        name="dz",
        array=before.z.grad,
        about="the gradient of z, dL/dz",
        terms={
            (k,): [found.product(("p", (k,))), found.product(("t", (k,)))] for k in range(classes)
        },
        joiner=" - ",
        gradient_of="z",
    )
    found.step(
        "layer 2, bias: gradient of a sum, pass it on",
        "db2[k] = dz[k] * 1",
        "The bias was added: if it grows by a little, z grows by as much.",
        name="db2",
        array=b2.grad,
        about="the gradient of b2",
        terms={(k,): [found.product(("dz", (k,)))] for k in range(classes)},
        closing=" * 1",
        gradient_of="b2",
    )
    found.step(
        "layer 2, weights: gradient of a product, times the other factor",
        "dw2[j,k] = h[j] * dz[k]",
        "The weight w2[j,k] was multiplied by h[j]. If the weight grows by a little, z[k] grows "
        "by that little times h[j].",
        name="dw2",
        array=w2.grad,
        about="the gradient of w2",
        terms={
            (j, k): [found.product(("h", (j,)), ("dz", (k,)))]
            for j, k in np.ndindex(hidden, classes)
        },
        gradient_of="w2",
    )
    found.step(
        "layer 2, input: gradient of a product, the ways add up",
        "dh[j] = sum over k of dz[k] * w2[j,k]",
        "h[j] went into every logit, each time with another weight. Each logit gives its gradient "
        "times the weight, and all are added. So the gradient goes on to layer 1.",
        name="dh",
        array=before.h.grad,
        about="the gradient of h",
        terms={
            (j,): [found.product(("dz", (k,)), ("w2", (j, k))) for k in range(classes)]
            for j in range(hidden)
        },
        gradient_of="h",
    )
    slope = Tensor(before.a.numpy().copy(), requires_grad=True)
    F.sigmoid(slope).backward(np.ones(hidden))
    found.step(
        "local derivative of the sigmoid",
        "slope[j] = h[j] * (1 - h[j])",
        "If a[j] grows by a little, its sigmoid h[j] grows by that little times slope[j].",
        name="slope",
        array=slope.grad,
        about="the local derivatives",
        terms={(j,): [found.product(("h", (j,)))] * 2 for j in range(hidden)},
        joiner=" * (1 - ",
        closing=")",
    )
    found.step(
        "chain rule through the sigmoid: times the local derivative",
        "da[j] = dh[j] * slope[j]",
        "The gradient that arrives, times the local derivative.",
        name="da",
        array=before.a.grad,
        about="the gradient of a",
        terms={(j,): [found.product(("dh", (j,)), ("slope", (j,)))] for j in range(hidden)},
        gradient_of="a",
    )
    found.step(
        "layer 1, bias: gradient of a sum, pass it on",
        "db1[j] = da[j] * 1",
        "It is the same as in layer 2.",
        name="db1",
        array=b1.grad,
        about="the gradient of b1",
        terms={(j,): [found.product(("da", (j,)))] for j in range(hidden)},
        closing=" * 1",
        gradient_of="b1",
    )
    found.step(
        "layer 1, weights: gradient of a product, times the other factor",
        "dw1[i,j] = x[i] * da[j]",
        "The other factor is the input x[i]. x itself is no parameter, so the way back ends here.",
        name="dw1",
        array=w1.grad,
        about="the gradient of w1",
        terms={
            (i, j): [found.product(("x", (i,)), ("da", (j,)))]
            for i, j in np.ndindex(inputs, hidden)
        },
        gradient_of="w1",
    )


def _update(found: Lesson, weights: dict[str, Tensor]) -> None:
    """Add the steps that change the parameters."""
    for name, tensor in weights.items():
        found.step(
            "update: against the gradient",
            f"{name}_new = {name} - rate * d{name}",
            "If a gradient is positive, L grows with the parameter, so make the parameter smaller. "
            "If it is negative, make the parameter larger. The learning rate says how far to go. "
            "This is gradient descent; the library calls it optim.SGD."
            if name == _PARAMETERS[0]
            else f"It is the same for {INPUTS[name].about}.",
            name=f"{name}_new",
            array=tensor.numpy(),
            about=f"{INPUTS[name].about}, changed",
            terms={
                index: [
                    found.product((name, index)),
                    found.product(("rate", ()), (f"d{name}", index)),
                ]
                for index in np.ndindex(tensor.shape)
            },
            joiner=" - ",
        )


def _comparison(old: float, new: float) -> str:
    """What became of the loss."""
    change = f"The loss was {shown(old)} and is now {shown(new)}: "
    if new < old:
        return (
            f"{change}it is smaller, so the network got better on this example. Training repeats "
            "this step for many examples."
        )
    if new > old:
        return (
            f"{change}it is larger, so the step made the network worse. A gradient holds only near "
            "the numbers that it was computed for: this step went too far. Try a smaller rate."
        )
    return f"{change}it did not change. Either the rate or every gradient is 0, or nearly so."


def _check(numbers: Numbers) -> None:
    """`UsageError` if the sizes of the layers do not fit together."""
    for layer, inputs in (("1", "x number"), ("2", "w1 column")):
        w, b = numbers[f"w{layer}"], numbers[f"b{layer}"]
        size = numbers[inputs.split()[0]].shape[-1]
        check_fit(
            f"w{layer} row", w.shape[0], inputs, size, "each input of a layer has a row of weights"
        )
        check_fit(
            f"b{layer} number", b.shape[0], f"w{layer} column", w.shape[1],
            "each output of a layer has a bias and a column of weights",
        )  # fmt: skip
