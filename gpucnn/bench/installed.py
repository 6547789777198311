"""How much an installed package takes on the disk, with the packages that it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import gpucnn


class UnknownSizeError(Exception):
    """A package was installed in a way that does not say what its files are."""


def nbytes(name: str, extras: Sequence[str] = ()) -> int:
    """Bytes of the files of a distribution and of all that it requires and that is installed.

    Without bytecode, which Python writes beside them; without Python itself.

    Args:
        extras: of that distribution; their packages count too, those that are there.

    Raises:
        UnknownSizeError: it, or one that it requires, does not say what its files are.
    """
    found: set[str] = set()
    pending = [(name, tuple(extras))]
    total = 0
    while pending:
        current, wanted = pending.pop()
        try:
            distribution = metadata.distribution(current)
        except metadata.PackageNotFoundError:
            if found:  # needed on another system only, or an extra's
                continue
            raise UnknownSizeError(f"{current} is not installed by pip") from None
        key = _normal(distribution.name)
        if key not in found:
            found.add(key)
            total += sum(file.stat().st_size for file in _files(distribution))
            pending += [(needed, ()) for needed in _requirements(distribution, wanted)]
    return total


def _files(distribution: metadata.Distribution) -> Iterator[Path]:
    if _normal(distribution.name) == "gpucnn":
        # In a checkout, which holds much that is not installed, two folders lie beside the package.
        package, *checkout = map(Path, gpucnn.__path__)
        beside = [root / name for root in checkout for name in ("cli", "kernels")]
        paths = {file for folder in (package, *beside) for file in folder.rglob("*")}
    else:
        if distribution.files is None:
            raise UnknownSizeError(f"{distribution.name} does not say what its files are")
        paths = {Path(str(distribution.locate_file(file))) for file in distribution.files}
    for path in paths:
        if path.suffix != ".pyc" and path.is_file():
            yield path


def _requirements(distribution: metadata.Distribution, extras: Sequence[str]) -> Iterator[str]:
    """Names of what it requires, by itself or with one of the extras."""
    for requirement in distribution.requires or ():
        condition = requirement.partition(";")[2]
        extra = re.search(r"""extra == ["']([^"']+)["']""", condition)
        if extra is None or extra[1] in extras:
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            assert match is not None
            yield match[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
