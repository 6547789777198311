"""Names and calls of other libraries: errors show the equivalent in this library.

Nothing here runs unless Python does not find a name, or refuses a call. The call is then read as a
call of another library, and its arguments are translated by name. A call whose arguments only have
older names, or values that change nothing, is made.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import opcode
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

from gpucnn.errors import GpucnnError, SignatureError, UnknownImportError, UnknownNameError
from gpucnn.printing import short

Called = TypeVar("Called", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Spellings:
    """Calls of our functions as other libraries write them.

    Args:
        renamed: their parameter -> ours; the first that the function has.
        instead: their parameter -> an explanation, for those without a counterpart.
        signatures: our function -> its counterpart -> the parameters of that, in their order.
        converted: (the counterpart, their parameter) -> function from their value to ours.
        older: an older name of a parameter -> ours: a call with it is made with ours.
        defaults: their parameter -> the values that change nothing: a call with one of them is made
            without it.
    """

    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    signatures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    converted: Mapping[tuple[str, str], Callable[[Any], Any]] = field(default_factory=dict)
    older: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


class _Call(NamedTuple):
    """A call in our spelling, and the arguments that it leaves out, with reasons."""

    text: str
    without: list[str]


def explain_names(module: str, table: Mapping[str, str], modules: Iterable[str] = ()) -> None:
    """Give a module a `__getattr__` that answers names of other libraries with ours.

    The names do not exist for `hasattr`, `getattr` with a default and `dir`, nor for type checkers,
    which would accept every name if they saw a `__getattr__`.

    Args:
        module: the name of the module that calls this.
        table: name in another library -> what to write here.
        modules: the names in the table of modules, whose own names are explained alike.
    """

    def __getattr__(name: str) -> NoReturn:
        raise missing_name(module, name, table)

    sys.modules[module].__getattr__ = __getattr__  # type: ignore[method-assign]
    for name in modules:
        explain_module(f"{module}.{name}", table[name])


def missing_name(
    module: str, name: str, table: Mapping[str, str], cause: str | None = None
) -> AttributeError | ImportError:
    """The error that the `__getattr__` of a module raises, which calls this.

    Args:
        table: as in `explain_names`; for a name that is not in it the error is Python's.
        cause: why the names of the table are missing.
    """
    if name not in table:
        return AttributeError(
            f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules[module]
        )
    # `hasattr` needs an AttributeError, whose text an import does not show.
    imported = _imports_a_name(sys._getframe(2))
    error = UnknownImportError if imported else UnknownNameError
    return error(f"{module} has no {name}", cause=cause, fix=table[name])


def explain_module(name: str, fix: str) -> None:
    """Make `from module import name` an error that says what to write, for any name.

    Args:
        name: the full name of a module of another library that is not there.
        fix: what to write in place of its names.
    """
    module = sys.modules[name] = ModuleType(name)

    def __getattr__(attribute: str) -> NoReturn:
        table = {} if attribute.startswith("__") else {attribute: fix}
        raise missing_name(name, attribute, table)

    module.__getattr__ = __getattr__  # type: ignore[method-assign]


def explain_attribute(owner: object, name: str, table: Mapping[str, str]) -> Any:
    """The body of a class's `__getattr__`: raises, with our name for one of another library.

    Args:
        table: as in `explain_names`.
    """
    if name in table and not hasattr(type(owner), name):
        kind = type(owner).__name__
        article = "an" if kind[0] in "AEIOU" else "a"
        raise UnknownNameError(f"{article} {kind} has no {name}", fix=table[name])
    return object.__getattribute__(owner, name)  # again, to raise Python's error


def explained(spellings: Spellings) -> Callable[[Called], Called]:
    """A decorator: a call that does not match the signature raises a `SignatureError` with it.

    Before that it is made with our names for older ones, and without defaults that change nothing.
    It is for functions and methods of this library, and for the `__init__` of its classes.
    """

    def decorate(function: Called) -> Called:
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
                        called = _own_class(type(args[0]), function)
                signature = inspect.Signature(parameters)
                if _binds(signature, given, kwargs):
                    raise  # the error comes from inside
            ours = _taken(called.__name__, signature, given, kwargs, spellings)
            if _binds(signature, given, ours):
                return function(*args, **ours)
            raise _explanation(called, signature, given, ours, spellings)

        return cast(Called, checked)

    return decorate


def _imports_a_name(frame: FrameType) -> bool:
    """Whether a frame is at the part of `from module import name` that looks up the name."""
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM"


def _own_class(cls: type, init: Callable[..., Any]) -> type:
    """The class itself, or its nearest base, that belongs to the library of `init`."""
    library = init.__module__.partition(".")[0]
    return next(c for c in cls.__mro__ if c.__module__.partition(".")[0] == library)


def _binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _taken(
    name: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    spellings: Spellings,
) -> dict[str, Any]:
    """The arguments by name, with our names for older ones, and without defaults."""
    ours = dict(kwargs)
    by_position = list(signature.parameters)[: len(args)]
    for key, value in kwargs.items():
        target = spellings.older.get(key, key)
        if key in signature.parameters:
            continue
        if target in signature.parameters:
            if target in kwargs or target in by_position:
                raise SignatureError(
                    f"{name} is given {target} and {key}",
                    cause=f"{key} is the older name of {target}",
                    fix=f"leave {key} out",
                )
            ours[target] = ours.pop(key)
        elif any(_is_same(value, default) for default in spellings.defaults.get(key, ())):
            del ours[key]
    return ours


def _is_same(value: Any, default: Any) -> bool:
    """Whether they are equal, and both or none a flag: 1 == True, but 1 is no flag."""
    plain = isinstance(value, (str, int, float, type(None)))
    return plain and isinstance(value, bool) == isinstance(default, bool) and value == default


def _explanation(
    called: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    spellings: Spellings,
) -> SignatureError:
    name = called.__name__
    found: dict[str, str] = {}  # our call -> the sentence about theirs, the first that gives it
    for theirs, ours in _translations(called, signature, args, kwargs, spellings):
        without = f", without {', '.join(ours.without)}" if ours.without else ""
        sentence = f"{_spelled(theirs, args, kwargs)} is {ours.text} here{without}"
        found.setdefault(ours.text, sentence)
    shown = ", ".join(_listed(signature))
    return SignatureError(
        f"{_spelled(name, args, kwargs)} does not match {name}({shown})",
        cause="; ".join(found.values() or _faults(signature, args, kwargs, spellings)) or None,
        fix=f"write {' or '.join(found)}" if found else f"give {name} the arguments shown",
    )


def _translations(
    called: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    spellings: Spellings,
) -> Iterator[tuple[str, _Call]]:
    """The call as one of another library, and in our spelling, for each library that it fits."""
    for theirs, listed in spellings.signatures.get(called.__name__, {}).items():
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
            names = (key, *spellings.renamed.get(key, ()))
            target = next((name for name in names if name in signature.parameters), None)
            if target is None:
                reason = spellings.instead.get(key, "there is no such thing here")
                without.append(f"{key}={short(value)} ({reason})")
            else:
                ours[target] = spellings.converted.get((theirs, key), lambda v: v)(value)
        if not _binds(signature, (), ours):
            continue
        try:
            called(**ours)  # several libraries may have these names: the values decide
        except GpucnnError:
            continue
        yield theirs, _Call(_written(called.__name__, signature, ours), without)


def _faults(
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    spellings: Spellings,
) -> Iterator[str]:
    """The faults of a call that matches no other library either."""
    parameters = signature.parameters
    by_position = [k for k, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for key in kwargs:
        if key in parameters:
            continue
        names = [name for name in spellings.renamed.get(key, ()) if name in parameters]
        hint = f": {spellings.instead[key]}" if key in spellings.instead else ""
        if not names and not hint:
            names = difflib.get_close_matches(key, parameters, n=1)
        yield f"there is no {key}" + (f": did you mean {names[0]}?" if names else hint)
    for key in by_position[: len(args)]:
        if key in kwargs:
            yield f"{key} is given twice"
    by_name = [k for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
    for key in (*by_position[len(args) :], *by_name):
        if key not in kwargs and parameters[key].default is inspect.Parameter.empty:
            yield f"{key} is missing"
    if len(args) > len(by_position):
        taken = f"{len(by_position)} argument{'s' * (len(by_position) != 1)}"
        yield f"it takes {taken} by position, the others by name"


def _listed(signature: inspect.Signature) -> Iterator[str]:
    """The parameters as a signature lists them, without their defaults."""
    keyword_only = False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            keyword_only = True
            yield f"*{name}"
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            yield f"**{name}"
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        yield name


def _written(name: str, signature: inspect.Signature, given: Mapping[str, Any]) -> str:
    """A call with these arguments, by position if possible, else by name."""
    args: list[Any] = []
    kwargs = dict(given)
    for key, parameter in signature.parameters.items():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or key not in kwargs:
            break
        args.append(kwargs.pop(key))
    return _spelled(name, tuple(args), kwargs)


def _spelled(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    parts = [short(value) for value in args]
    parts += [f"{key}={short(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"
