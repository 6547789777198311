"""The text of a module: of a layer the call that makes it, of a network the tree of its layers."""

from __future__ import annotations

import reprlib
import textwrap
from typing import TYPE_CHECKING, Any

from gpucnn.nn import initializers
from gpucnn.nn.named import Named
from gpucnn.printing import Printable

if TYPE_CHECKING:
    from gpucnn.nn.module import Module


class PrintedAsTree(Printable):
    """The part of `gpucnn.nn.Module` that prints it, in the form of PyTorch."""

    def named_children(self) -> Named[Module]:
        """Name -> module in it; `Module` defines it."""
        raise NotImplementedError

    @reprlib.recursive_repr()
    def __repr__(self) -> str:
        call = super().__repr__()
        parts = [f"({name}): {child!r}" for name, child in self.named_children()]
        if not parts:
            return call
        call = call.removesuffix(")") + ("" if call.endswith("()") else ",")
        tree = textwrap.indent("\n".join(parts), "  ")
        return f"{call}\n{tree}\n)"

    def _argument(self, name: str) -> Any:
        parts = {path.partition(".")[0] for path, _ in self.named_children()}
        if name == "name" or name in parts:
            raise KeyError(name)  # the tree shows them
        return initializers.name_of(super()._argument(name))
