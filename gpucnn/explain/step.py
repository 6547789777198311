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
from gpucnn.explain.introduction import READING
from gpucnn.explain.lesson import Lesson, shown

INPUTS = {
    "x": Input("1 2; 2 -1", "the batch: each row is an example", axes=2),
    "label": Input("0 1", "the true class of each example", axes=1, whole=True, least=0, most=5),
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
    "An example is one set of inputs, such as the pixels of one image. Some examples are computed "
    "together: they are a batch. The true class of each is known, its label. The loss L is one "
    "number that says how bad the results are for these labels: the smaller, the better. Training "
    "changes the parameters so that L gets smaller. It repeats one step many times; this is one of "
    "them.",
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
    p: Tensor
    L: Tensor


def lesson(numbers: Numbers) -> Lesson:
    """One step of SGD on a batch.

    x is (N, inputs), w1 (inputs, hidden), b1 (hidden,), w2 (hidden, classes), b2 (classes,).
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
    found.add("x", numbers["x"], "the batch: each row is an example")
    t = softmax.add_one_hot(found, numbers["label"], numbers["b2"].size)
    for name in _PARAMETERS:
        found.add(name, numbers[name], INPUTS[name].about)
    found.add("rate", optimizer.learning_rate[0], INPUTS["rate"].about)

    before = _forward(found, weights, t)
    before.L.backward()
    found.part = "backward"
    _backward(found, before, weights)
    optimizer.step()
    found.part = "update"
    _update(found, weights)
    found.part = "forward again"
    first = len(found.steps)
    after = _forward(found, weights, t, "_new")
    found.steps[first:] = [
        replace(step, text=f"As in step {number}, with the new parameters.")
        for number, step in enumerate(found.steps[first:], 1)
    ]
    old, new = float(before.L.numpy()), float(after.L.numpy())
    found.step("the loss before and after", "", _comparison(old, new))
    return found


def _forward(
    found: Lesson, weights: dict[str, Tensor], t: softmax.Array, new: str = ""
) -> _Network:
    """Add the steps from x to the loss; `new` is the end of the names of what changed."""
    w1, b1, w2, b2 = (weights[name] for name in _PARAMETERS)
    w1_, b1_, w2_, b2_, a_, h_, z_ = (n + new for n in (*_PARAMETERS, "a", "h", "z"))
    x = found.arrays["x"].array
    a = Tensor(x) @ w1 + b1
    h = F.sigmoid(a)
    z = h @ w2 + b2
    for tensor in (a, h, z):
        tensor.retain_grad()
    N = len(x)
    found.step(
        "layer 1: weighted sum",
        f"{a_}[n,j] = sum over i of x[n,i] * {w1_}[i,j], plus {b1_}[j]",
        "a[n,j] is output j of the layer for example n: each input times its weight for this "
        "output, added, plus the bias.",
        name=a_,
        array=a.numpy(),
        about="the weighted sums of layer 1",
        terms=found.dense("x", w1_, b1_),
    )
    found.step(
        "sigmoid",
        f"{h_}[n,j] = 1 / (1 + exp(-{a_}[n,j]))",
        "The sigmoid turns any number into one between 0 and 1; exp(-a) is 2.718... to the power "
        "of -a. Its curve is not straight: without it, two layers could compute no more than one.",
        name=h_,
        array=h.numpy(),
        about="the output of layer 1",
        terms=found.pairs(a_),
        opening="1 / (1 + exp(-",
        closing="))",
    )
    found.step(
        "layer 2: weighted sum",
        f"{z_}[n,k] = sum over j of {h_}[n,j] * {w2_}[j,k], plus {b2_}[k]",
        "The second layer computes with h, the output of the first. It gives a logit for each "
        "class.",
        name=z_,
        array=z.numpy(),
        about="the logits: each row is for an example",
        terms=found.dense(h_, w2_, b2_),
    )
    made = softmax.forward(found, z, t, "losses", new)
    loss = made.losses.mean()
    found.step(
        "mean",
        f"L{new} = sum over n of losses{new}[n], divided by {N}",
        "The loss of the batch is the mean of the losses of its examples.",
        name=f"L{new}",
        array=loss.numpy(),
        about="the loss",
        terms=found.sums("n->", f"losses{new}"),
        opening="(",
        closing=f") / {N}",
    )
    return _Network(a, h, z, made.p, loss)


def _backward(found: Lesson, before: _Network, weights: dict[str, Tensor]) -> None:
    """Add the steps from the loss to the gradients of the parameters."""
    w1, b1, w2, b2 = (weights[name] for name in _PARAMETERS)
    N = len(before.h)
    found.step(
        "softmax and cross-entropy: probability minus one-hot",
        f"dz[n,k] = (p[n,k] - t[n,k]) / {N}",
        "The way back begins at the loss. Through cross-entropy and softmax it is one formula: the "
        "probabilities minus t, the labels as one-hot. gpucnn explain softmax shows why. The mean "
        f"gives 1/{N} of it to each example.",
        name="dz",
        array=before.z.grad,
        about="the gradient of z, dL/dz",
        terms=found.pairs("p", "t"),
        opening="(",
        joiner=" - ",
        closing=f") / {N}",
        gradient_of="z",
    )
    found.step(
        "layer 2, bias: gradient of a sum, pass it on",
        "db2[k] = sum over n of dz[n,k]",
        "The bias was added for each example. If it grows by a little, the logit of each example "
        "grows by as much. So the gradients of all examples are added.",
        name="db2",
        array=b2.grad,
        about="the gradient of b2",
        terms=found.sums("nk->k", "dz"),
        gradient_of="b2",
    )
    found.step(
        "layer 2, weights: gradient of a product, times the other factor",
        "dw2[j,k] = sum over n of h[n,j] * dz[n,k]",
        "The weight w2[j,k] was multiplied by h[n,j] for example n. If the weight grows by a "
        "little, the logit grows by that little times h[n,j]. All examples are added.",
        name="dw2",
        array=w2.grad,
        about="the gradient of w2",
        terms=found.sums("nj,nk->jk", "h", "dz"),
        gradient_of="w2",
    )
    found.step(
        "layer 2, input: gradient of a product, times the other factor",
        "dh[n,j] = sum over k of dz[n,k] * w2[j,k]",
        "h[n,j] went into every logit of its example, each time with another weight. Each logit "
        "gives its gradient times the weight, and all are added. So the gradient goes on to "
        "layer 1.",
        name="dh",
        array=before.h.grad,
        about="the gradient of h",
        terms=found.sums("nk,jk->nj", "dz", "w2"),
        gradient_of="h",
    )
    slope = Tensor(before.a.numpy().copy(), requires_grad=True)
    F.sigmoid(slope).backward(np.ones(slope.shape))
    found.step(
        "local derivative of the sigmoid",
        "slope[n,j] = h[n,j] * (1 - h[n,j])",
        "If a[n,j] grows by a little, its sigmoid h[n,j] grows by that little times slope[n,j].",
        name="slope",
        array=slope.grad,
        about="the local derivatives",
        terms=found.pairs("h", "h"),
        joiner=" * (1 - ",
        closing=")",
    )
    found.step(
        "chain rule through the sigmoid: times the local derivative",
        "da[n,j] = dh[n,j] * slope[n,j]",
        "The gradient that arrives is multiplied by the local derivative.",
        name="da",
        array=before.a.grad,
        about="the gradient of a",
        terms=found.sums("nj,nj->nj", "dh", "slope"),
        gradient_of="a",
    )
    found.step(
        "layer 1, bias: gradient of a sum, pass it on",
        "db1[j] = sum over n of da[n,j]",
        "It is the same as in layer 2.",
        name="db1",
        array=b1.grad,
        about="the gradient of b1",
        terms=found.sums("nj->j", "da"),
        gradient_of="b1",
    )
    found.step(
        "layer 1, weights: gradient of a product, times the other factor",
        "dw1[i,j] = sum over n of x[n,i] * da[n,j]",
        "The other factor is the input x[n,i]. x itself is no parameter, so the way back ends "
        "here.",
        name="dw1",
        array=w1.grad,
        about="the gradient of w1",
        terms=found.sums("ni,nj->ij", "x", "da"),
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
            f"{change}it is smaller by {shown(old - new)}, so the network got better on these "
            "examples. Training repeats this step with other examples."
        )
    if new > old:
        return (
            f"{change}it is larger by {shown(new - old)}, so the step made the network worse. A "
            "gradient holds only near the numbers that it was computed for, and this step went too "
            "far. Try a smaller rate."
        )
    return f"{change}it did not change. Either the rate or every gradient is 0, or nearly so."


def _check(numbers: Numbers) -> None:
    """`UsageError` if the sizes of the layers do not fit together."""
    labels, rows = numbers["label"].size, numbers["x"].shape[0]
    check_fit("label number", labels, "x row", rows, "each example is a row, and has a label")
    for layer, inputs in (("1", "x column"), ("2", "w1 column")):
        w, b = numbers[f"w{layer}"], numbers[f"b{layer}"]
        size = numbers[inputs.split()[0]].shape[-1]
        check_fit(
            f"w{layer} row", w.shape[0], inputs, size, "each input of a layer has a row of weights"
        )
        check_fit(
            f"b{layer} number", b.shape[0], f"w{layer} column", w.shape[1],
            "each output of a layer has a bias and a column of weights",
        )  # fmt: skip
