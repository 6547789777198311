"""The lesson of the chain rule: f = (x + y) * z."""

from __future__ import annotations

from gpucnn.autograd import Tensor
from gpucnn.explain.inputs import Input, Numbers, written
from gpucnn.explain.introduction import DIGITS
from gpucnn.explain.lesson import Lesson

INPUTS = {
    "x": Input("-2", "the first number"),
    "y": Input("5", "the second number"),
    "z": Input("-4", "the factor"),
}
_INTRODUCTION = (
    "Training changes the numbers of a network until its result is good. For each number it asks: "
    "if this number grows by a little, how much does the result change? The change of the result, "
    "divided by that little, is the gradient of the number, also called its derivative. The "
    "gradient of x is written df/dx if f is the result, in short dx.",
    "A network is a long chain of small operations. The gradient of one operation alone is easy; "
    "it is called the local derivative. The chain rule puts them together: begin at the result "
    "and go back; at each operation, multiply the gradient that arrives by the local derivative. "
    "Here the chain has two operations: q = x + y, then f = q * z. If q grew 2 times as fast as x, "
    "and f 3 times as fast as q, then f would grow 2 * 3 times as fast as x.",
    DIGITS,
)


def lesson(numbers: Numbers) -> Lesson:
    """f = (x + y) * z, and the gradients of f by every number."""
    x, y, z = (Tensor(numbers[name].copy(), requires_grad=True) for name in INPUTS)
    q = x + y
    f = q * z
    q.retain_grad()
    f.retain_grad()
    f.backward()
    found = Lesson(
        "chain-rule",
        "The chain rule: f = (x + y) * z",
        _INTRODUCTION,
        written(INPUTS, numbers),
    )
    for name, known in INPUTS.items():
        found.add(name, numbers[name], known.about)
    found.step(
        "sum",
        "q = x + y",
        "The first operation adds x and y. Its result is called q.",
        name="q",
        array=q.numpy(),
        about="the sum",
        terms={(): [found.product(("x", ())), found.product(("y", ()))]},
    )
    found.step(
        "product",
        "f = q * z",
        "The second operation multiplies q by z. This is the result, f.",
        name="f",
        array=f.numpy(),
        about="the result",
        terms={(): [found.product(("q", ()), ("z", ()))]},
    )
    found.part = "backward"
    found.step(
        "the gradient of the result by itself is 1",
        "df = df/df = 1",
        "The way back begins at the result. If f grows by a little, f grows by just as much.",
        name="df",
        array=f.grad,
        about="the gradient of f by f, df/df",
        gradient_of="f",
    )
    found.step(
        "chain rule through a product: times the other factor",
        "dq = df/dq = df/df * z",
        "If q grows by a little, q * z grows by that little times z: the local derivative by q is "
        "the other factor, z. The gradient that arrives is multiplied by it.",
        name="dq",
        array=q.grad,
        about="the gradient of f by q, df/dq",
        terms={(): [found.product(("df", ()), ("z", ()))]},
        gradient_of="q",
    )
    found.step(
        "chain rule through a product: times the other factor",
        "dz = df/dz = df/df * q",
        "It is the same for z. Its other factor is q.",
        name="dz",
        array=z.grad,
        about="the gradient of f by z, df/dz",
        terms={(): [found.product(("df", ()), ("q", ()))]},
        gradient_of="z",
    )
    for name, tensor, text in (
        (
            "x",
            x,
            "If x grows by a little, x + y grows by just as much: the local derivative of a sum is "
            "1. The gradient that arrives is that of q. Multiplied by 1, it passes on unchanged.",
        ),
        ("y", y, "It is the same for y."),
    ):
        found.step(
            "chain rule through a sum: times 1, pass it on",
            f"d{name} = df/d{name} = df/dq * 1",
            text,
            name=f"d{name}",
            array=tensor.grad,
            about=f"the gradient of f by {name}, df/d{name}",
            terms={(): [found.product(("dq", ()))]},
            closing=" * 1",
            gradient_of=name,
        )
    return found
