"""The text of objects: a call that makes one, with the arguments that differ from the defaults."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Iterator
from typing import Any, ClassVar


class _Short(reprlib.Repr):
    """The form of an argument: of an array its type and shape, of a function its name."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.maxstring = self.maxother = longest

    def repr_instance(self, x: Any, level: int) -> str:
        if getattr(x, "ndim", 0):
            return f"{type(x).__name__}{tuple(x.shape)}"
        if inspect.isroutine(x):
            return x.__name__
        if type(x).__repr__ is object.__repr__:  # it would show an address
            return f"<{type(x).__name__}>"
        return " ".join(super().repr_instance(x, level).split())


#: The text of an argument in an error, on one line.
short = _Short(40).repr

#: The same in the text of an object.
_longer = _Short(160).repr


class Printable:
    """A base class: `repr` is a call of the constructor, as in "Conv2d(16, 3, padding='same')".

    An argument is shown if the object has an attribute of its name that differs from the default.
    A subclass may name arguments that are always shown.
    """

    _always: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._shown_arguments())})"

    def _argument(self, name: str) -> Any:
        """The value of an argument of the constructor, as a user would write it.

        Raises:
            KeyError: it is not kept.
        """
        return vars(self)[name]

    def _shown_arguments(self) -> Iterator[str]:
        by_position = True
        for name, parameter in list(inspect.signature(type(self).__init__).parameters.items())[1:]:
            try:
                text = _longer(self._argument(name))
            except KeyError:
                by_position = False
                continue
            shown = parameter.default is parameter.empty or name in self._always
            if by_position and shown and parameter.kind is not parameter.KEYWORD_ONLY:
                yield text
            elif shown or text != _longer(parameter.default):
                yield f"{name}={text}"
