"""Residual: a body with a connection around it."""

from __future__ import annotations

from gpucnn.autograd import Tensor
from gpucnn.errors import ShapeError
from gpucnn.nn.module import Module
from gpucnn.nn.sequential import Sequential


class Residual(Module):
    """y = body(x) + shortcut(x) (K. He et al., "Deep residual learning", CVPR 2016).

    Args:
        layers: the body, one after the other; or one `Sequential`, which is then the body.
        shortcut: a module from x to the shape of the body's output, such as
            Conv2d(filters, 1, stride=2); None for x itself.
    """

    def __init__(
        self, *layers: Module, shortcut: Module | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        whole = len(layers) == 1 and isinstance(layers[0], Sequential)
        self.body = layers[0] if whole else Sequential(layers)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        around = x if self.shortcut is None else self.shortcut(x)
        if y.shape != around.shape:  # without this, broadcasting could hide it
            raise ShapeError(
                f"the body gives {y.shape}, the connection around it {around.shape}",
                cause="they are added, so their shapes must be equal",
                fix='use padding="same" in the body, or a shortcut such as '
                f"Conv2d({y.shape[1]}, 1, stride=...)",
            )
        return y + around
