"""From a path to what is in it: the reader is told by the name of the file or folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gpucnn.data import cifar, csv, folder, idx, npz, sources
from gpucnn.data.files import read_bytes
from gpucnn.data.found import Found, Part
from gpucnn.data.image import is_picture
from gpucnn.data.labels import as_labels, listing
from gpucnn.data.pictures import read_listed
from gpucnn.data.pixels import as_images
from gpucnn.data.published import Published, by_name
from gpucnn.data.reading import Reading
from gpucnn.errors import DataError, similar

_KINDS = (
    "give an .npz, a .csv or .tsv (or .csv.gz), an idx file of images named like"
    " train-images-idx3-ubyte, or a folder"
)
#: Files that hold data in other software, and what to do with them.
_OTHERS = {
    ".zip": "unpack it, and give the file or folder in it",
    ".tar": "unpack it, and give the file or folder in it",
    ".tgz": "unpack it, and give the file or folder in it",
    ".7z": "unpack it, and give the file or folder in it",
    ".rar": "unpack it, and give the file or folder in it",
    ".pkl": "pickles run code when they are loaded; save the arrays with np.savez",
    ".pickle": "pickles run code when they are loaded; save the arrays with np.savez",
    ".pt": "save the arrays with np.savez(FILE, x=images.numpy(), y=labels.numpy())",
    ".pth": "save the arrays with np.savez(FILE, x=images.numpy(), y=labels.numpy())",
    ".mat": "save the arrays with np.savez; scipy.io.loadmat reads the file",
    ".h5": "save the arrays with np.savez; h5py reads the file",
    ".hdf5": "save the arrays with np.savez; h5py reads the file",
    ".parquet": "save it as CSV; pandas.read_parquet reads the file",
    ".arff": "save it as CSV; scipy.io.arff reads the file",
    ".xlsx": "save it as CSV",
    ".json": "save it as CSV or .npz",
    ".txt": "give it the suffix .csv if it is a table",
    ".data": "give it the suffix .csv if it is a table",
    ".npy": "one array has no labels: save both with np.savez(FILE, x=images, y=labels)",
}


def read(path: Path, reading: Reading | None = None) -> Found:
    """What is in a file or folder: see `gpucnn.data.load` for what is taken.

    Single pictures and arrays without labels are taken as well.

    Raises:
        DataError: there is no such file, or it is of no kind that is known.
        MissingExtraError: it is a picture, and Pillow is not installed.
    """
    reading = reading or Reading()
    if path.is_dir():
        return _read_directory(path, reading)
    if not path.exists():
        return _read_set(path, reading)
    name = path.name.lower()
    plain = name.removesuffix(".gz")
    if plain.endswith(csv.SUFFIXES):
        return read_csv(path, reading)
    if name.endswith(".npz"):
        return _npz_pair(path, reading)
    if name.endswith(".npy"):
        return npz.read_npy(path, reading)
    if cifar.is_batch(name):
        return cifar.read_cifar(path, [path], reading)
    if is_picture(name):
        return read_listed(path, {"all": [(path, None)]}, {"all": path}, reading, None, [])
    suffix = Path(plain).suffix
    if suffix in _OTHERS:
        raise DataError(
            f"{path} is not a kind of file that is read", fix=f"{_OTHERS[suffix]}; {_KINDS}"
        )
    if "images" in name or "idx3" in name:
        return _read_idx(path, {"all": path}, reading)
    raise DataError(f"{path} is not a kind of file that holds a data set", fix=_KINDS)


def read_csv(path: Path, reading: Reading, role: str = "all") -> Found:
    """A table of images, or of picture files, with labels if it has them."""
    size = reading.image_shape
    table = csv.read_table(path, reading.label_column, int(np.prod(size)) if size else None)
    columns = table.columns
    notes = [f"columns not read: {listing(list(columns.unread))}"] if columns.unread else []
    if table.files is not None:
        labels = [None] * len(table.files) if table.labels is None else table.labels.astype(str)
        listed = [
            (path.parent / file, label) for file, label in zip(table.files, labels, strict=True)
        ]
        found = read_listed(path, {role: listed}, {role: path}, reading, None, notes)
        return replace(found, label_column=columns.label_name)
    assert table.pixels is not None  # a table has either
    published = by_name(path.name)
    images, reading, said = as_images(table.pixels, str(path), _known(published, reading))
    if columns.reordered:
        said.append("pixels in the order of their names")
    id_name = None if columns.ids is None else columns.names[columns.ids]
    part = Part(role, images, table.labels, str(path), None, table.ids, id_name)
    label_column = columns.label_name if columns.header else None
    found = Found(path, [part], reading, "rows", said, notes, label_column=label_column)
    return _published(found, published)


def _known(published: Published | None, reading: Reading) -> Reading:
    """What is known of a published data set, below what was said of it."""
    if published is None:
        return reading
    return reading.over(Reading(transpose=published.transpose or None, convert=published.convert))


def _published(found: Found, published: Published | None) -> Found:
    if published is None:
        return found
    said = [f"known as {published.name} by its name", *found.said]
    return replace(found, said=said, classes=published.classes, values=published.values)


def _read_set(path: Path, reading: Reading) -> Found:
    """The idx files of a data set, given by how their names begin: DIR/emnist-letters."""
    if path.parent.is_dir():
        for prefix, files in idx.find_images(path.parent).items():
            if prefix.rstrip("-_") == path.name:
                return _read_idx(path, files, reading)
    names = (*sources.SOURCES, "digits")
    close = similar(names, str(path))
    raise DataError(
        f"{path} is neither a data set nor a file or folder",
        fix=f"give {', '.join(names)}, or a path" + (f"; did you mean {close}?" if close else ""),
    )


def _read_directory(path: Path, reading: Reading) -> Found:
    if sets := idx.find_images(path):
        if len(sets) > 1:
            names = [prefix.rstrip("-_") or idx.TRAIN[0] for prefix in sets]
            raise DataError(
                f"{path} holds several data sets: {', '.join(names)}",
                fix=f"give one of them, as in {path / names[0]}",
            )
        (files,) = sets.values()
        return _read_idx(path, files, reading)
    if tables := csv.find_tables(path):
        return _read_tables(path, tables, reading)
    if batches := cifar.find_batches(path):
        return cifar.read_cifar(path, batches, reading)
    if any(path.glob("data_batch_[1-5]")):
        raise DataError(
            f"{path} holds CIFAR-10 as pickles",
            cause="pickles run code when they are loaded",
            fix="get the binary version, cifar-10-binary.tar.gz, which is read",
        )
    return folder.read_folder(path, reading)


def _read_tables(path: Path, sets: dict[str, dict[str, Path]], reading: Reading) -> Found:
    """``train.csv``, and ``val.csv`` and ``test.csv`` if they are there, as Kaggle has them."""
    if len(sets) > 1:
        names = [str(files["train"]) for files in sets.values()]
        raise DataError(
            f"{path} holds several tables to train on: {', '.join(names)}", fix="give one of them"
        )
    (files,) = sets.values()
    first = read_csv(files["train"], reading, "train" if len(files) > 1 else "all")
    parts, notes = [*first.parts], [*first.notes]
    known = first.reading.replace(label_column=first.label_column or reading.label_column)
    for role in ("validation", "test"):
        if role in files:
            other = read_csv(files[role], known, role)
            parts += other.parts
            notes += [note for note in other.notes if note not in notes]
    return replace(first, path=path, parts=parts, notes=notes)


def _read_idx(path: Path, files: dict[str, Path], reading: Reading) -> Found:
    """Files of images by their roles, each with its labels beside it."""
    first = next(iter(files.values()))
    published = by_name(first.name)
    if len(files) == 1 and path.is_dir():
        files = {"all" if role == "train" else role: file for role, file in files.items()}
    parts, said, source = [], [], None
    known = _known(published, reading)
    for role, file in sorted(files.items(), reverse=True):  # train before test
        array = idx.read_idx(file, idx.IMAGES)
        labels_path = idx.find_labels(file)
        content = read_bytes(labels_path)
        labels = as_labels(idx.parse_labels(content, labels_path), str(labels_path))
        source = source or sources.identify(labels_path)
        if source is not None:
            known = known.over(Reading(convert=source.convert))
        images, known, how = as_images(array, str(file), known)
        said += [words for words in how if words not in said]
        parts.append(Part(role, images, labels, str(file)))
    found = Found(path, parts, known, "images", said)
    if source is not None:
        said.append(f"known as {source.name} by its labels' SHA-256")
        values = [str(number) for number in range(len(source.class_names))]
        return replace(found, classes=source.class_names, values=values)
    return _published(found, published)


def _npz_pair(path: Path, reading: Reading) -> Found:
    published = by_name(path.name)
    return _published(npz.read_npz(path, _known(published, reading)), published)
