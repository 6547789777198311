"""Whether the folders in a folder are the parts of a data set, or its classes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from gpucnn.data.found import ROLE_OF, ROLES, words
from gpucnn.data.image import is_picture
from gpucnn.data.labels import composed, listing
from gpucnn.data.walk import JUNK, has_pictures
from gpucnn.errors import DataError

_FILLERS = re.compile("(data|images)?(set)?")  # training_set, trainset, train images
_PARTS_FIX = "name the parts train, val and test, with a folder for each class in each of them"

Meaning = tuple[str | None, str]  # the role of a folder by its name, and the other words in it


def find_parts(path: Path, folders: Mapping[str, Path]) -> tuple[dict[str, Path], str]:
    """Role -> folder of the classes, if the folders are parts; and how they were found, in words.

    A part has a word for it as its name, such as ``train``, or all of them have it with the same
    other words: ``seg_train`` and ``seg_test``. If a part has only a folder of its own name, the
    classes are in that: ``seg_train/seg_train/CLASS``.

    Args:
        path: the folder.
        folders: those in it by their names.

    Returns:
        Both are empty if the folders are classes.

    Raises:
        DataError: parts have no classes, the role of a folder is not certain, or the classes may
            be one level below.
    """
    filled = {name: folder for name, folder in folders.items() if has_pictures(folder)}
    meanings = {name: _meaning(name) for name in folders}
    sets = _sets(filled, meanings)
    if "" not in sets and len(sets) != 1:
        _refuse_parts(path, filled, meanings)
        _refuse_two_levels(path, filled)
        return {}, ""
    rest = "" if "" in sets else sets[0]
    roles = {name: role if more == rest else None for name, (role, more) in meanings.items()}
    for name in filled:
        if roles[name] is None:
            raise DataError(
                f"{path} has the folder {name} beside"
                f" {', '.join(other for other in filled if roles[other])}",
                cause="it is neither a training, nor a validation, nor a test part by its name",
                fix="name the parts train, val and test, and take other folders out",
            )
    parts: dict[str, Path] = {}
    for role in ROLES:
        names = [name for name in folders if roles[name] == role]
        if len(names) > 1:
            raise DataError(
                f"{path} has several folders that may be its {role} part: {', '.join(names)}",
                fix="rename all but one of them, or take them out",
            )
        if names:
            parts[role] = entered(folders[names[0]])
    is_plain = not rest and all(folder.parent == path for folder in parts.values())
    said = [f"{folder.relative_to(path)} as {role}" for role, folder in parts.items()]
    return parts, "" if is_plain else ", ".join(said)


def _meaning(name: str) -> Meaning:
    """The role of a folder by its name, or None; and the other words of the name."""
    stems = [re.sub("(set|data|images)$", "", word) for word in words(name)]
    roles = [ROLE_OF[word] for word in stems if word in ROLE_OF]
    others = [word for word in stems if word not in ROLE_OF and not _FILLERS.fullmatch(word)]
    return (roles[0] if len(roles) == 1 else None), " ".join(others)


def _sets(filled: Mapping[str, Path], meanings: Mapping[str, Meaning]) -> list[str]:
    """The other words in the names of folders that are parts with classes in them.

    Without other words, one part is enough. With some, as in ``bullet train``, a name may be that
    of a class, so there must be a training part and another one.
    """
    found: dict[str, dict[str, str]] = {}
    for name in filled:
        role, rest = meanings[name]
        if role is not None:
            found.setdefault(rest, {})[name] = role
    return [
        rest
        for rest, roles in found.items()
        if any(map(_has_classes, (filled[name] for name in roles)))
        and (not rest or _divide(roles.values()))
    ]


def _divide(roles: Iterable[str]) -> bool:
    """Whether roles are those of a training part and another part."""
    return {"train"} < set(roles)


def _refuse_parts(path: Path, filled: Mapping[str, Path], meanings: Mapping[str, Meaning]) -> None:
    """Raise a DataError for folders that are all parts by their names, and cannot be read so."""
    named = [meanings[name] for name in filled]
    roles = [role for role, _ in named if role is not None]
    is_plain = not any(rest for _, rest in named)
    if not filled or len(roles) < len(filled) or not (is_plain or _divide(roles)):
        return
    if any(map(_has_classes, filled.values())):
        raise DataError(
            f"{path} has {listing(list(filled))}: parts by their names, and no classes",
            cause="the names differ in more than the word for the part",
            fix=_PARTS_FIX,
        )
    raise DataError(
        f"{path} has {', '.join(filled)}, but no classes to train on",
        cause="the images are not in folders by class, such as train/CLASS",
        fix="put the images of each class in a folder of its own: train/CLASS/IMAGE.png",
    )


def _refuse_two_levels(path: Path, filled: Mapping[str, Path]) -> None:
    """Raise a DataError for folders that hold the same folders, or parts."""
    below = [_filled_folders(folder) for folder in filled.values()]
    if len(below) < 2 or not all(below):
        return
    inner = sorted(set.union(*below))
    roles = [role for role, rest in map(_meaning, inner) if role is not None and not rest]
    are_parts = len(roles) == len(inner) and _divide(roles)
    if not are_parts and (len(inner) < 2 or any(names != set(inner) for names in below)):
        return
    raise DataError(
        f"{path} has the folders {listing(list(filled))}, and in them {listing(inner)}",
        cause="they are parts by their names, and would be read as one"
        if are_parts
        else "either may be the classes",
        fix="put the parts above the classes: train/CLASS/IMAGE.png"
        if are_parts
        else f"if {listing(inner)} are the classes: {_PARTS_FIX}, or give one folder, as"
        f" {next(iter(filled.values()))}. If {listing(list(filled))} are: put the pictures of each"
        " into its folder itself",
    )


def _has_classes(folder: Path) -> bool:
    """Whether folders in it have pictures in them."""
    return any(item.is_dir() and has_pictures(item) for item in folder.iterdir())


def _filled_folders(folder: Path) -> set[str]:
    """The names of the folders with pictures in a folder; none if it has pictures itself."""
    names = []
    with os.scandir(folder) as items:
        for item in items:
            if item.is_dir():
                names.append(item.name)
            elif is_picture(item.name) and not JUNK.fullmatch(item.name):
                return set()
    return {composed(name) for name in names if has_pictures(folder / name)}


def entered(folder: Path) -> Path:
    """The folder, or the only one in it if that has the same name and folders of classes."""
    inner = folder / folder.name
    only = _filled_folders(folder) == {composed(folder.name)}
    return inner if only and _has_classes(inner) else folder
