"""Members of a network by their paths: dicts over which a loop goes as in PyTorch.

All else is that of a dict: `found[path]`, `keys()`, `values()`, `items()`, `dict(found)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

Member = TypeVar("Member")


class Named(dict[str, Member]):
    """Path -> member; a loop, and what loops over it such as `list`, gets (path, member)."""

    def __iter__(self) -> Iterator[tuple[str, Member]]:  # type: ignore[override]
        return iter(self.items())

    def __reversed__(self) -> Iterator[tuple[str, Member]]:  # type: ignore[override]
        return reversed(self.items())


class Members(dict[str, Member]):
    """Path -> member; a loop, and what loops over it such as `list`, gets the members.

    `in` takes a path or a member.
    """

    def __iter__(self) -> Iterator[Member]:  # type: ignore[override]
        return iter(self.values())

    def __reversed__(self) -> Iterator[Member]:  # type: ignore[override]
        return reversed(self.values())

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or any(member is key for member in self.values())
