"""Parameters: the Tensors that an optimizer changes."""

from __future__ import annotations

from typing import Any

from gpucnn.autograd import Tensor


class Parameter(Tensor):
    """A Tensor that an optimizer changes: `requires_grad` is true until it is frozen."""

    def __init__(self, array: Any, requires_grad: bool = True, name: str | None = None) -> None:
        super().__init__(array, requires_grad, name)

    @property
    def is_parameter(self) -> bool:
        """Whether it is changed in place: a parameter is, also while it is frozen."""
        return self.creator is None
