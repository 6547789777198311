"""Members of a network by their paths: dicts whose iteration is that of PyTorch.

Everything else is that of a dict: `found[path]`, `keys()`, `values()`, `items()`, `dict(found)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, TypeVar

from gpucnn.errors import NoLayerError

Member = TypeVar("Member")


class _ByPath(dict[str, Member]):
    """Path -> member; the error for another key says what to write."""

    def __missing__(self, key: object) -> NoReturn:
        raise NoLayerError(
            f"there is nothing at {key!r}",
            cause=f"the paths are {', '.join(map(repr, self.keys())) or 'none'}",
            fix="give one of the paths; by position take list(found)[0]",
        )


class Named(_ByPath[Member]):
    """Path -> member; a loop, and what loops over it such as `list`, gets (path, member)."""

    def __iter__(self) -> Iterator[tuple[str, Member]]:  # type: ignore[override]
        return iter(self.items())

    def __reversed__(self) -> Iterator[tuple[str, Member]]:  # type: ignore[override]
        return reversed(self.items())


class Members(_ByPath[Member]):
    """Path -> member; a loop, and what loops over it such as `list`, gets the members.

    `in` takes a path or a member.
    """

    def __iter__(self) -> Iterator[Member]:  # type: ignore[override]
        return iter(self.values())

    def __reversed__(self) -> Iterator[Member]:  # type: ignore[override]
        return reversed(self.values())

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str):
            return super().__contains__(key)
        return any(member is key for member in self.values())
