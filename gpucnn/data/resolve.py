"""The reader for a path, chosen by the name of the file or folder."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpucnn.data import cifar, csv, folder, idx, npz, sources
from gpucnn.data.columns import Known
from gpucnn.data.found import ROLES, Found, Part
from gpucnn.data.image import is_picture
from gpucnn.data.labels import as_labels, listing
from gpucnn.data.pictures import Listed, read_listed
from gpucnn.data.pixels import as_images
from gpucnn.data.published import Published, by_name
from gpucnn.data.reading import Reading
from gpucnn.data.walk import has_pictures
from gpucnn.errors import DataError, similar
from gpucnn.quoting import quoted

_KINDS = (
    "give an .npz, a .csv or .tsv (or .csv.gz), an idx file of images named like"
    " train-images-idx3-ubyte, or a folder"
)
#: Files of other software, and what to do with them.
_OTHERS = {
    **dict.fromkeys(
        (".zip", ".tar", ".tgz", ".7z", ".rar"), "unpack it, and give the file or folder in it"
    ),
    **dict.fromkeys(
        (".pkl", ".pickle"),
        "pickles run code when they are loaded; save the arrays with np.savez",
    ),
    **dict.fromkeys(
        (".pt", ".pth"), "save the arrays with np.savez(FILE, x=images.numpy(), y=labels.numpy())"
    ),
    ".mat": "save the arrays with np.savez; scipy.io.loadmat reads the file",
    **dict.fromkeys((".h5", ".hdf5"), "save the arrays with np.savez; h5py reads the file"),
    ".parquet": "save it as CSV; pandas.read_parquet reads the file",
    ".arff": "save it as CSV; scipy.io.arff reads the file",
    ".xlsx": "save it as CSV",
    ".json": "save it as CSV or .npz",
    **dict.fromkeys((".txt", ".data"), "give it the suffix .csv if it is a table"),
    ".npy": "one array has no labels: save both with np.savez(FILE, x=images, y=labels)",
}


def read(
    path: Path, reading: Reading | None = None, labeled: bool = True, name: str | None = None
) -> Found:
    """Read a file or folder. `gpucnn.data.load` lists the accepted kinds.

    Single pictures and arrays without labels are accepted too.

    Args:
        reading: the options.
        labeled: whether labels are needed. If not, a folder of pictures means all pictures in it
            and below.
        name: the path as the user wrote it, for the message if there is nothing.

    Raises:
        DataError: there is no such file, or it is of no kind that is known.
        MissingExtraError: it is a picture, and Pillow is not installed.
    """
    reading = reading or Reading()
    if os.path.isdir(path):
        return _read_directory(path, reading, labeled)
    if not os.path.exists(path):
        return _read_set(path, reading, labeled, name or str(path))
    lower = path.name.lower()
    plain = lower.removesuffix(".gz")
    if plain.endswith(csv.SUFFIXES):
        return read_csv(path, reading, labeled=labeled)
    if lower.endswith(".npz"):
        return _read_npz(path, reading, labeled)
    if lower.endswith(".npy"):
        return npz.read_npy(path, reading)
    if cifar.is_batch(lower):
        return cifar.read_cifar(path, [path], reading)
    if is_picture(lower):
        return read_listed(path, {"all": [(path, None)]}, {"all": path}, reading, None, [])
    suffix = Path(plain).suffix
    if suffix in _OTHERS:
        raise DataError(
            f"{path} is not a kind of file that is read", fix=f"{_OTHERS[suffix]}; {_KINDS}"
        )
    if "images" in lower or "idx3" in lower or "idx4" in lower:
        return _read_idx(path, {"all": path}, reading, labeled)
    raise DataError(f"{path} is not a kind of file that holds a data set", fix=_KINDS)


def read_csv(path: Path, reading: Reading, role: str = "all", labeled: bool = True) -> Found:
    """Read a table of images or of picture files, with labels if it has them."""
    published = by_name(path.name)
    known = _known(published, reading)
    table = csv.read_table(
        path,
        Known(
            label_column=known.label_column,
            label_was=known.label_was,
            pixels=math.prod(known.image_shape) if known.image_shape else None,
            labeled=labeled,
        ),
    )
    columns = table.columns
    known = known.replace(label_column=None, label_was=columns.label_name or known.label_was)
    notes = [f"columns not read: {listing(list(columns.unread))}"] if columns.unread else []
    if table.no_ids:
        notes.append(
            f"the column {quoted(table.no_ids)} is not read: it is no id by its name, and its"
            " values do not tell the rows apart; the rows are numbered"
        )
    if table.classes:
        notes.append(f"one-hot columns are the label: {listing(table.classes)}")
    label_column = columns.label_name if columns.header else None
    if table.files is not None:
        labels: list[str | None] = [None] * len(table.files)
        if table.labels is not None:
            labels = [str(label) for label in table.labels.tolist()]
        pairs = zip(table.files, labels, strict=True)
        listed: Listed = [(path.parent / file, label) for file, label in pairs]
        notes += _outside(path, table.files)
        found = read_listed(path, {role: listed}, {role: path}, known, None, notes)
        key = columns.file if columns.ids is None else columns.ids
        name = columns.names[key] if columns.header and key is not None else "filename"
        ids = dict(zip((str(file) for file, _ in listed), table.ids or table.files, strict=True))
        if len(ids) == len(listed):  # otherwise a picture is listed twice
            (part,) = found.parts
            part = replace(part, ids=[ids[item] for item in part.items or ()], id_name=name)
            found = replace(found, parts=[part])
        return replace(found, label_column=label_column, values=table.classes)
    assert table.pixels is not None  # a table has either
    images, known, said = as_images(table.pixels, str(path), known)
    if columns.reordered:
        said.append("pixels in the order of their names")
    id_name = None if columns.ids is None else columns.names[columns.ids]
    part = Part(role, images, table.labels, str(path), None, table.ids, id_name)
    found = Found(path, [part], known, "rows", said, notes, None, table.classes, label_column)
    return _published(found, published)


def _outside(table: Path, files: Sequence[str]) -> list[str]:
    """A note on the pictures that a table lists outside of its folder, if there are any.

    A user's own tables do so. But a table from somebody else may name private pictures of the user,
    and a report of the run would show them.
    """
    folder = os.path.join(os.path.abspath(table.parent), "")
    paths = (os.path.normpath(os.path.join(folder, file)) for file in files)
    outside = [file for file, path in zip(files, paths, strict=True) if not path.startswith(folder)]
    if not outside:
        return []
    lie = "picture lies" if len(outside) == 1 else "pictures lie"
    return [
        f"{len(outside):,} {lie} outside of the folder of {table}, such as {quoted(outside[0])}"
    ]


def _known(published: Published | None, reading: Reading) -> Reading:
    """The options of a published data set; those in `reading` have priority."""
    if published is None:
        return reading
    known = Reading(convert=published.convert)
    if published.transpose:
        # Only these files are swapped: `swapped_in` keeps that for other files of a run.
        upright = reading.transpose is False
        known = Reading(
            transpose=not upright,
            swapped_in=None if upright else published.name,
            convert=None if upright else published.convert,
        )
    return reading.replace(swapped_in=None).over(known)


def _published(found: Found, published: Published | None) -> Found:
    if published is None:
        return found
    reading = found.reading
    if reading.swapped_in is not None:
        reading = reading.replace(transpose=None)
    said = [f"known as {published.name} by its name", *found.said]
    return replace(
        found,
        reading=reading,
        said=said,
        classes=published.classes or found.classes,
        values=published.values or found.values,
    )


def _read_set(path: Path, reading: Reading, labeled: bool, name: str) -> Found:
    """The idx files of a data set, given by how their names begin: DIR/emnist-letters."""
    if os.path.isdir(path.parent):
        for prefix, files in idx.find_images(path.parent).items():
            if prefix.rstrip("-_.") == path.name:
                return _read_idx(path, files, reading, labeled)
    names = (*sources.SOURCES, "digits")
    fix = f"give {', '.join(names)}, or a path"
    if not os.path.dirname(name):
        close = similar(names, name)
        fix += f"; did you mean {close}?" if close else ""
    elif path.name in names:
        fix += f"; {path.name} alone, without a folder, is the data set of that name"
    raise DataError(f"{name} is neither a data set nor a file or folder", fix=fix)


def _read_directory(path: Path, reading: Reading, labeled: bool) -> Found:
    if sets := idx.find_images(path):
        if len(sets) > 1:
            names = [
                prefix.rstrip("-_.") or next(iter(files.values())).name
                for prefix, files in sets.items()
            ]
            raise DataError(
                f"{path} holds several data sets: {', '.join(names)}",
                fix=f"give one of them, as in {path / names[0]}",
            )
        (files,) = sets.values()
        return _read_idx(path, files, reading, labeled)
    if pairs := npz.find_pairs(path):
        if len(pairs) > 1:
            images = [str(file) for roles in pairs.values() for file in roles.values()]
            raise DataError(
                f"{path} holds several data sets: {', '.join(pairs)}",
                fix=f"give one of their files, as {images[0]}, or a folder for each",
            )
        (roles,) = pairs.values()
        return _read_pairs(path, roles, reading, labeled)
    if tables := csv.find_tables(path):
        return _read_tables(path, tables, reading, labeled)
    if batches := cifar.find_batches(path):
        return cifar.read_cifar(path, batches, reading)
    if any(path.glob("data_batch_[1-5]")):
        raise DataError(
            f"{path} holds CIFAR-10 as pickles",
            cause="pickles run code when they are loaded",
            fix="get the binary version, cifar-10-binary.tar.gz, which is read",
        )
    if (others := idx.find_others(path)) and not has_pictures(path):
        raise DataError(
            f"{path} holds idx files, and none of images by its name",
            cause=f"it holds {listing(others)}",
            fix=idx.PAIR_FIX,
        )
    if labeled:
        return folder.read_folder(path, reading)
    return folder.read_pictures_in(path, reading)


def _read_npz(path: Path, reading: Reading, labeled: bool) -> Found:
    published = by_name(path.name)
    return _published(npz.read_npz(path, _known(published, reading), labeled), published)


def _read_pairs(path: Path, files: dict[str, Path], reading: Reading, labeled: bool) -> Found:
    """Files of images by their roles, as KMNIST has them; each with a file of labels beside it."""
    parts = []
    for role in ("train", "validation", "test"):
        if role in files:
            found = _read_npz(files[role], reading, labeled)
            reading = found.reading
            role = "all" if len(files) == 1 else role
            parts += [replace(part, role=role) for part in found.parts]
    return replace(found, path=path, parts=parts)


def _read_tables(
    path: Path, sets: dict[str, dict[str, Path]], reading: Reading, labeled: bool
) -> Found:
    """``train.csv``, and ``val.csv`` and ``test.csv`` if they are there, as Kaggle has them."""
    names = [str(files["train"]) for files in sets.values()]
    if len(names) > 1:
        raise DataError(
            f"{path} holds several tables to train on: {', '.join(names)}", fix="give one of them"
        )
    (files,) = sets.values()
    first = read_csv(files["train"], reading, "train" if len(files) > 1 else "all", labeled)
    if first.noun == "rows" and has_pictures(path):
        raise DataError(
            f"{path} holds pictures and {names[0]}, which does not list them",
            fix=f"give one of both: {names[0]}, or a folder of the pictures alone",
        )
    parts, notes = [*first.parts], [*first.notes]
    known = first.reading
    for role in ("validation", "test"):
        if role in files:
            other = read_csv(files[role], known, role, labeled)
            parts += other.parts
            notes += [note for note in other.notes if note not in notes]
    return replace(first, path=path, parts=parts, notes=notes)


def _read_idx(path: Path, files: dict[str, Path], reading: Reading, labeled: bool) -> Found:
    """Files of images by their roles, each with its labels beside it.

    In place of a damaged file, the same in another packing is read, unless `path` names the file.
    """
    first = next(iter(files.values()))
    published = by_name(first.name)
    if len(files) == 1 and path.is_dir():
        files = {"all" if role == "train" else role: file for role, file in files.items()}
    parts, said, notes, source = [], list[str](), list[str](), None
    known = _known(published, reading)
    for role in (role for role in ROLES if role in files):  # train before test
        file = images_path = files[role]
        labels = labels_path = None
        if file == path:
            array = idx.read_images(file)
        else:
            array, images_path = idx.read_whole(file, idx.read_images)
        taken = {file: images_path}
        if labeled or idx.has_labels(file):
            found_labels = idx.find_labels(file)
            content, labels_path = idx.read_whole(found_labels, idx.read_labels)
            taken[found_labels] = labels_path
            source = source or sources.identify(labels_path)
        notes += [f"{a} is damaged: {b.name} was read" for a, b in taken.items() if a != b]
        if source is not None:
            known = known.replace(swapped_in=None).over(Reading(convert=source.convert))
        images, known, how = as_images(array, str(images_path), known)
        if labels_path is not None and labeled:
            labels = as_labels(content, str(labels_path), images=len(images))
        said += [words for words in how if words not in said]
        parts.append(Part(role, images, labels, str(images_path)))
    found = Found(path, parts, known, "images", said, notes)
    if source is not None:
        said.append(f"known as {source.name} by its labels' SHA-256")
        values = [str(number) for number in range(len(source.class_names))]
        return replace(found, classes=source.class_names, values=values)
    return _published(found, published)
