"""A folder of pictures, one subfolder a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gpucnn.data.folder_parts import entered, find_parts
from gpucnn.data.found import Found
from gpucnn.data.image import is_picture
from gpucnn.data.labels import composed, in_order, is_text, listing
from gpucnn.data.pictures import Listed, read_listed
from gpucnn.data.reading import Reading
from gpucnn.data.walk import JUNK, Entered, has_pictures
from gpucnn.errors import DataError
from gpucnn.quoting import LONGEST

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
_CLASS_FIX = "put the images of each class in a folder of its own: CLASS/IMAGE.png"

Classes = dict[str, list[Path]]  # the name of a class, and its pictures


def read_folder(path: Path, reading: Reading | None = None) -> Found:
    """The pictures in a folder.

    Its subfolders may be the classes. They may be parts, as ``train`` and perhaps ``val`` and
    ``test``, with the classes as subfolders (see `gpucnn.data.folder_parts`). Or the folder has
    pictures only, without labels. Classes are sorted by name, as numbers if all names are numbers.
    The pictures of a class may be in folders below its own, up to 100 deep; a folder to which
    several links lead is read once. Files of operating systems and folders without pictures are
    skipped, with a note.
    `gpucnn.data.pictures.read_pictures` turns the pictures into images.

    Raises:
        DataError: a part has no pictures or no classes, a folder beside the parts is none of them,
            a file is no picture, folders are too deep, or as `read_pictures`.
        MissingExtraError: Pillow is not installed.
    """
    scan = _Scan()
    folders, files = scan.entries(path)
    parts, said = find_parts(path, folders)
    if parts:
        classes = {role: scan.classes(*scan.entries(folder)) for role, folder in parts.items()}
        read = {place for folder in parts.values() for place in (folder, folder.parent)}
        scan.empty += [str(each) for each in folders.values() if each not in read]
        scan.unread += map(str, files)
    elif (inner := entered(path)) != path:
        found = read_folder(inner, reading)
        return replace(found, said=[f"classes of {path.name}/{inner.name}", *found.said])
    else:
        pictures = [file for file in files if is_picture(file.name)]
        if pictures and not any(map(has_pictures, folders.values())):
            listed: Listed = [(file, None) for file in pictures]
            scan.unread += [str(file) for file in files if file not in pictures]
            return read_listed(path, {"all": listed}, {"all": path}, reading, None, scan.notes())
        parts, classes = {"all": path}, {"all": scan.classes(folders, files)}
    names = _class_names(classes, parts, scan)
    by_role: dict[str, Listed] = {
        role: [(file, name) for name in names for file in each.get(name, ())]
        for role, each in classes.items()
    }
    found = read_listed(path, by_role, parts, reading, names, scan.notes())
    return replace(found, said=[said, *found.said]) if said else found


class _Scan:
    """A walk through folders that records what it skips.

    Attributes:
        junk: name -> number of files or folders.
        empty: folders without pictures.
        unread: files beside folders of classes.
    """

    def __init__(self) -> None:
        self.junk: Counter[str] = Counter()
        self.empty: list[str] = []
        self.unread: list[str] = []

    def entries(self, folder: Path) -> tuple[dict[str, Path], list[Path]]:
        """The folders in a folder by name, and the files; sorted, numbers as numbers."""
        folders, files = {}, []
        for item in sorted(folder.iterdir()):
            if JUNK.fullmatch(item.name):
                self.junk["._*" if item.name.startswith("._") else item.name] += 1
            elif item.is_dir():
                folders[composed(item.name)] = item
            else:
                files.append(item)
        if all(map(str.isdecimal, folders)):
            folders = dict(sorted(folders.items(), key=lambda pair: in_order(pair[0])))
        return folders, files

    def classes(self, folders: Mapping[str, Path], files: Sequence[Path]) -> Classes:
        """The folders as classes, also those without pictures; files are no classes."""
        self.unread += map(str, files)
        return {name: self.pictures(each) for name, each in folders.items()}

    def pictures(
        self, folder: Path, others: bool = False, entered: Entered | None = None
    ) -> list[Path]:
        """The pictures in a folder and in those below it, each of which is read once.

        Args:
            others: whether other files are skipped, with a note.
            entered: the folders that were read before.

        Raises:
            DataError: there is a file that is no picture by its name, or folders are too deep.
        """
        entered = entered or Entered(folder)
        if not entered.add(folder):
            return []
        folders, found = self.entries(folder)
        files = [file for file in found if is_picture(file.name)]
        strange = [file for file in found if not is_picture(file.name)]
        if others:
            self.unread += map(str, strange)
        elif strange:
            raise DataError(
                f"{strange[0]} is no image by its name",
                cause=f"there are {len(strange)} such files in {folder}" if strange[1:] else None,
                fix="take it out of the folder, or save it as PNG or JPEG",
            )
        for each in folders.values():
            files += self.pictures(each, others, entered)
        return files

    def notes(self) -> list[str]:
        """A sentence for each kind of file that was skipped."""
        notes = []
        if self.junk:
            names = [name if n == 1 else f"{n:,} {name}" for name, n in self.junk.items()]
            notes.append(f"passed over files that are no data: {listing(names)}")
        if self.empty:
            notes.append(f"passed over folders without pictures: {listing(self.empty)}")
        if self.unread:
            notes.append(f"files not read: {listing(self.unread)}")
        return notes


def read_pictures_in(path: Path, reading: Reading) -> Found:
    """All pictures in a folder and in those below it, without labels.

    Raises:
        DataError: there are none, or as `read_pictures`.
    """
    scan = _Scan()
    files = scan.pictures(path, others=True)
    if not files:
        tables = [
            file for file in scan.unread if file.lower().endswith((".csv", ".csv.gz", ".tsv"))
        ]
        raise DataError(
            f"{path} holds no pictures",
            cause=f"it holds {listing(tables)}" if tables else None,
            fix=f"give the table itself: {tables[0]}" if tables else "give a folder of pictures",
        )
    listed: Listed = [(file, None) for file in files]
    return read_listed(path, {"all": listed}, {"all": path}, reading, None, scan.notes())


def _class_names(
    classes: Mapping[str, Classes], parts: Mapping[str, Path], scan: _Scan
) -> list[str]:
    """The classes with pictures in some part; the training part has a folder for each.

    Raises:
        DataError: a part has no pictures, or a class that the training part has not; the name of
            a class is no text, or longer than a label can be.
    """
    for role, found in classes.items():
        if not any(found.values()):
            packed = [file for file in scan.unread if file.lower().endswith(_ARCHIVES)]
            raise DataError(
                f"{parts[role]} holds no images in subfolders, nor idx files, nor train.csv",
                cause=f"it holds {listing(packed)}, which is not unpacked" if packed else None,
                fix="unpack it" if packed else _CLASS_FIX,
            )
    first = classes.get("train", {name: [] for found in classes.values() for name in found})
    for role, found in classes.items():
        for name, files in found.items():
            if files and name not in first:
                raise DataError(
                    f"{parts[role] / name} is a class that the training images do not have",
                    cause=f"the training images have {listing(list(first))}",
                    fix="name the folders alike in every part, or take this one out",
                )
    names = [name for name in first if any(found.get(name) for found in classes.values())]
    for name in names:
        problem = None if is_text(name) else "is no text in UTF-8"
        if len(name) > LONGEST:
            problem = f"has {len(name)} characters, where {LONGEST} are read at most"
        if problem is not None:
            places = [str(place) for role, place in parts.items() if classes[role].get(name)]
            raise DataError(
                f"the name of the class {name} in {listing(places)} {problem}",
                fix="rename the folder",
            )
    scan.empty += [
        str(parts[role] / name)
        for role, found in classes.items()
        for name, files in found.items()
        if not files
    ]
    return names
