"""Calls in the spelling of PyTorch or Keras: the error shows the same call in ours.

Python checks the arguments of a call; nothing here runs unless it refuses them. Then the call is
read as one of the other library's (`foreign.SIGNATURES`), and its arguments are translated by name.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from gpucnn.errors import GpucnnError, UsageError
from gpucnn.nn.foreign import CONVERTED, INSTEAD, RENAMED, SIGNATURES

Called = TypeVar("Called", bound=Callable[..., Any])

_shown = reprlib.Repr()  # of an argument, in an error
_shown.maxstring = _shown.maxother = 40


class _Call(NamedTuple):
    """A call as it would be written, and the arguments that have no place in it, with reasons."""

    text: str
    without: list[str]


def explained(function: Called, instead: Mapping[str, str] = INSTEAD) -> Called:
    """The same function; a call that does not fit its signature raises a `UsageError`.

    Args:
        function: a function or method of this library, or the `__init__` of a class of it.
        instead: a parameter that others have -> what stands for it here.
    """

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            called: Callable[..., Any] = function
            given = args
            parameters = list(inspect.signature(function).parameters.values())
            if parameters and parameters[0].name == "self":
                parameters, given = parameters[1:], args[1:]
                if function.__name__ == "__init__":
                    called = _own_class(type(args[0]))
            signature = inspect.Signature(parameters)
            if _binds(signature, given, kwargs):
                raise  # the error comes from inside
            raise _explanation(called, signature, given, kwargs, instead) from None

    return cast(Called, checked)


def _own_class(cls: type) -> type:
    """The class of this library that a class is or is made from."""
    return next(c for c in cls.__mro__ if c.__module__.partition(".")[0] == "gpucnn")


def _binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _explanation(
    called: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    instead: Mapping[str, str],
) -> UsageError:
    name = called.__name__
    found: dict[str, str] = {}  # our call -> the sentence about theirs, the first that gives it
    for theirs, ours in _translations(called, signature, args, kwargs, instead):
        without = f", without {', '.join(ours.without)}" if ours.without else ""
        sentence = f"{_spelled(theirs, args, kwargs)} is {ours.text} here{without}"
        found.setdefault(ours.text, sentence)
    shown = ", ".join(_listed(signature))
    return UsageError(
        f"{_spelled(name, args, kwargs)} does not match {name}({shown})",
        cause="; ".join(found.values() or _faults(signature, args, kwargs, instead)) or None,
        fix=f"write {' or '.join(found)}" if found else f"give {name} the arguments shown",
    )


def _translations(
    called: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    instead: Mapping[str, str],
) -> Iterator[tuple[str, _Call]]:
    """The call as one of another library's, and in our spelling, for each that it can be of."""
    for theirs, listed in SIGNATURES.get(called.__name__, {}).items():
        known = listed.split()
        if len(args) > len(known):
            continue
        given = dict(zip(known, args, strict=False))
        if given.keys() & kwargs or kwargs.keys() - set(known) - signature.parameters.keys():
            continue
        every = {**given, **kwargs}
        words = [every[key] for key in ("padding", "data_format") if key in every]
        if theirs.startswith("Keras") and not all(isinstance(word, str) for word in words):
            continue
        ours: dict[str, Any] = {}
        without: list[str] = []
        for key, value in every.items():
            target = next(
                (n for n in (key, *RENAMED.get(key, ())) if n in signature.parameters), None
            )
            if target is None:
                without.append(f"{key}={_shown.repr(value)} ({instead[key]})")
            else:
                ours[target] = CONVERTED.get((theirs, key), lambda v: v)(value)
        if not _binds(signature, (), ours):
            continue
        try:
            called(**ours)  # the values tell apart what the names do not
        except GpucnnError:
            continue
        yield theirs, _Call(_written(called.__name__, signature, ours), without)


def _faults(
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    instead: Mapping[str, str],
) -> Iterator[str]:
    """What is wrong with a call that is of no other library either."""
    parameters = signature.parameters
    by_position = [k for k, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for key in kwargs:
        if key in parameters:
            continue
        names = [n for n in RENAMED.get(key, ()) if n in parameters]
        if not names and key not in instead:
            names = difflib.get_close_matches(key, parameters, n=1)
        yield f"there is no {key}" + (
            f": did you mean {names[0]}?"
            if names
            else f": {instead[key]}"
            if key in instead
            else ""
        )
    for key in by_position[: len(args)]:
        if key in kwargs:
            yield f"{key} is given twice"
    for key in by_position[len(args) :]:
        if key not in kwargs and parameters[key].default is inspect.Parameter.empty:
            yield f"{key} is missing"
    if len(args) > len(by_position):
        yield f"it takes {len(by_position)} arguments by position, the others by name"


def _listed(signature: inspect.Signature) -> Iterator[str]:
    """The parameters as a signature lists them, without their defaults."""
    keyword_only = False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            keyword_only = True
            yield f"*{name}"
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        yield name


def _written(name: str, signature: inspect.Signature, given: Mapping[str, Any]) -> str:
    """A call with these arguments: by position where that can be, and else by name."""
    args: list[Any] = []
    kwargs = dict(given)
    for key, parameter in signature.parameters.items():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or key not in kwargs:
            break
        args.append(kwargs.pop(key))
    return _spelled(name, tuple(args), kwargs)


def _spelled(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    parts = [_shown.repr(value) for value in args]
    parts += [f"{key}={_shown.repr(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"
