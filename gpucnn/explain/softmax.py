"""The lesson of softmax and cross-entropy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError
from gpucnn.explain.inputs import Input, Numbers, counted, written
from gpucnn.explain.introduction import DIGITS
from gpucnn.explain.lesson import Lesson

Array = NDArray[np.float64]

INPUTS = {
    "z": Input("2.0 1.0 0.1", "the logits, one for each class", axes=1),
    "label": Input("0", "the true class", whole=True, least=0, most=5),
}
_INTRODUCTION = (
    "A network that sorts images into classes ends in one number for each class, its score. The "
    "scores are called logits; they may be any numbers. Softmax turns them into probabilities: "
    "numbers from 0 to 1 whose sum is 1. The largest logit gets the largest probability.",
    "The loss L is one number that says how bad the result is: the smaller, the better. The true "
    "class of the image is its label, and p is the probability that softmax gives to this class. "
    "The cross-entropy loss is -log(p). It is 0 for p = 1, and grows as p comes to 0. exp(s) is "
    "2.718... to the power of s, and log undoes exp: log(exp(s)) is s.",
    "Training asks for each logit: if it grows by a little, how much does L change? The change of "
    "L, divided by that little, is the gradient of the logit. The gradient of z is written dL/dz, "
    "in short dz. The chain rule finds it: go back from the loss, one operation at a time, and "
    "multiply the gradient that arrives by the local derivative, which is the gradient of this "
    "operation alone. If a number went two ways, both change L, and the changes add up: add what "
    "comes back on both.",
    "How to read the numbers: z[0] is the first number of z; they are counted from 0, as in "
    f"Python. {DIGITS}",
)


class Forward(NamedTuple):
    """Softmax and cross-entropy in small operations; each retains its gradient."""

    s: Tensor
    e: Tensor
    total: Tensor
    p: Tensor
    losses: Tensor


def lesson(numbers: Numbers) -> Lesson:
    """Softmax of z (K,), its cross-entropy with the label, and the gradients of every number."""
    z = Tensor(numbers["z"].copy(), requires_grad=True)
    found = Lesson(
        "softmax",
        "Softmax and cross-entropy, forward and backward",
        _INTRODUCTION,
        written(INPUTS, numbers),
    )
    found.add("z", numbers["z"], "the logits, one for each class")
    t = add_one_hot(found, numbers["label"], z.size)
    made = forward(found, z, t, "L")
    made.losses.backward()
    fused = Tensor(numbers["z"].copy(), requires_grad=True)
    F.softmax_cross_entropy(fused, t).backward()

    each = range(z.size)
    found.part = "backward"
    found.step(
        "the gradient of the result by itself is 1",
        "dL/dL = 1",
        "The way back begins at the loss. If L grows by a little, L grows by just as much.",
        name="dL",
        array=made.losses.grad,
        about="the gradient of L by L",
        gradient_of="L",
    )
    found.step(
        "chain rule through log: divide by the number",
        "dtotal = dL / total",
        "L is log(total) minus a shifted logit. The local derivative of log(total) is 1 / total.",
        name="dtotal",
        array=made.total.grad,
        about="the gradient of total",
        terms={(): [found.product(("dL", ())), found.product(("total", ()))]},
        joiner=" / ",
        gradient_of="total",
    )
    found.step(
        "chain rule through a sum: times 1, pass it on",
        "de[k] = dtotal * 1",
        "Each e[k] was added to the total. The local derivative of a sum is 1.",
        name="de",
        array=made.e.grad,
        about="the gradient of e",
        terms={(k,): [found.product(("dtotal", ()))] for k in each},
        closing=" * 1",
        gradient_of="e",
    )
    found.step(
        "chain rule through exp: times exp itself; two ways add up",
        "ds[k] = de[k] * e[k] - dL * t[k]",
        "s[k] went two ways. One went through exp: the local derivative of exp(s[k]) is exp(s[k]) "
        "itself, which is e[k]. The other way leads to L at once, as L is log(total) - s[label]: "
        "its local derivative is -1 for the label, and 0 for the other classes. That is minus "
        "t[k], because t is the label as one-hot: 1 for the label, and 0 for the other classes.",
        name="ds",
        array=made.s.grad,
        about="the gradient of s",
        terms={
            (k,): [found.product(("de", (k,)), ("e", (k,))), found.product(("dL", ()), ("t", (k,)))]
            for k in each
        },
        joiner=" - ",
        gradient_of="s",
    )
    found.step(
        "chain rule through a shift: times 1, pass it on",
        "dz[k] = ds[k] * 1",
        "s[k] is z[k] minus the largest logit. The shift changes neither the probabilities nor the "
        "loss, so nothing more comes back for the largest logit.",
        name="dz",
        array=z.grad,
        about="the gradient of z, dL/dz",
        terms=found.pairs("ds"),
        closing=" * 1",
        gradient_of="z",
    )
    found.step(
        "all of it at once: probability minus one-hot",
        "dz_short[k] = p[k] - t[k]",
        "Put the steps together: de[k] * e[k] is e[k] / total, and this is p[k]. So the gradient "
        "of the logits is the probabilities minus the one-hot label. The library's function "
        "softmax_cross_entropy computes it at once; here are its numbers. They say to training: "
        "raise the logit of the label, whose gradient is negative, and lower the others.",
        name="dz_short",
        array=fused.grad,
        about="the gradient of z, by the short form",
        terms=found.pairs("p", "t"),
        joiner=" - ",
        gradient_of="z",
    )
    return found


def add_one_hot(found: Lesson, labels: Array, classes: int) -> Array:
    """Add the labels as one-hot rows t, and return these; raises `UsageError`."""
    if labels.max() >= classes:
        first = " ".join("0" * labels.size)
        raise UsageError(
            f"the input label is {labels.max():g}, and there are {counted(classes, 'logit')}",
            cause="each class has a logit, and the classes are counted from 0",
            fix=f'give label="{first}", or other classes below {classes}',
        )
    t: Array = np.eye(classes)[labels.astype(int)]
    found.add("t", t, "the label as one-hot: 1 for the true class, else 0")
    return t


def forward(found: Lesson, z: Tensor, t: Array, loss: str, new: str = "") -> Forward:
    """Add the steps from the logits z, (K,) or (N, K), to the loss of each example.

    Args:
        t: the one-hot labels, of the shape of z.
        loss: the name of the losses.
        new: the end of the names of all arrays but t.
    """
    rows = list(np.ndindex(z.shape[:-1]))  # [()] for the logits of one example
    logits = list(np.ndindex(z.shape))
    largest = {row: int(np.argmax(z.numpy()[row])) for row in rows}
    s = z - z.numpy().max(axis=-1, keepdims=True)
    e = F.exp(s)
    total = e.sum(axis=-1)
    p = e / total.reshape(*total.shape, 1)
    losses = F.log(total) - (s * t).sum(axis=-1)
    made = Forward(s, e, total, p, losses)
    for tensor in made:
        tensor.retain_grad()
    z_, s_, e_, total_, p_, loss_ = (name + new for name in ("z", "s", "e", "total", "p", loss))
    n, k, label = ("[n]", "[n,k]", "[n,label]") if z.ndim > 1 else ("", "[k]", "[label]")
    each = " of its example" if z.ndim > 1 else ""
    found.step(
        "shift by the maximum",
        f"{s_}{k} = {z_}{k} - the largest logit{each}",
        "exp grows so fast that exp(1000) is beyond the numbers of a computer. So the largest "
        f"logit{each} is subtracted from each first; then the largest number is 0. The "
        "probabilities stay the same.",
        name=s_,
        array=s.numpy(),
        about="the shifted logits",
        terms={
            at: [found.product((z_, at)), found.product((z_, (*at[:-1], largest[at[:-1]])))]
            for at in logits
        },
        joiner=" - ",
    )
    found.step(
        "exponential",
        f"{e_}{k} = exp({s_}{k})",
        "exp makes each number positive, and a larger one stays larger. exp(0) is 1.",
        name=e_,
        array=e.numpy(),
        about="the exponentials",
        terms={at: [found.number(s_, at)] for at in logits},
        opening="exp(",
        closing=")",
    )
    found.step(
        "sum",
        f"{total_}{n} = sum over k of {e_}{k}",
        f"Add the exponentials{each and ' of each example'}.",
        name=total_,
        array=total.numpy(),
        about="their sum",
        terms={row: [found.product((e_, (*row, i))) for i in range(z.shape[-1])] for row in rows},
    )
    found.step(
        "divide by the sum",
        f"{p_}{k} = {e_}{k} / {total_}{n}",
        f"Each exponential, divided by the sum{each}, is a probability. The probabilities"
        f"{each and ' of an example'} add up to 1.",
        name=p_,
        array=p.numpy(),
        about="the probabilities",
        terms={at: [found.product((e_, at)), found.product((total_, at[:-1]))] for at in logits},
        joiner=" / ",
    )
    found.step(
        "cross-entropy",
        f"{loss_}{n} = -log({p_}{label}) = log({total_}{n}) - {s_}{label}",
        f"The probability of the true class is {e_}{label} / {total_}{n}. The logarithm of a "
        f"quotient is a difference, and log undoes exp, so log({e_}{label}) is {s_}{label} again. "
        "This form never needs the logarithm of 0, even where a probability is too small for a "
        "computer.",
        name=loss_,
        array=losses.numpy(),
        about="the loss" + (each and " of each example"),
        terms={
            row: [found.number(total_, row), found.product((s_, (*row, int(np.argmax(t[row])))))]
            for row in rows
        },
        opening="log(",
        joiner=") - ",
    )
    return made
