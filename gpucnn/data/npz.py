"""NumPy files of images and labels; never unpickled."""

from __future__ import annotations

import errno
import math
import os
import re
import struct
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import files
from gpucnn.backend.cpu.memory import out_of_memory
from gpucnn.data import storage
from gpucnn.data.found import ROLE_OF, Found, Part, words
from gpucnn.data.gzip_files import unreadable
from gpucnn.data.labels import as_labels, listing, one_hot_width
from gpucnn.data.pixels import as_images
from gpucnn.data.reading import Reading
from gpucnn.errors import DataError, OutOfMemoryError, cause_of

_ROLE_OF = {**ROLE_OF, "tr": "train", "te": "test"}
_IMAGES = ("x", "images", "imgs", "image", "data", "features")
_LABELS = ("y", "labels", "label", "target", "targets", "class", "classes")
#: "xtrain" and "trainx" are two words, also with the other words for a part.
_JOINED = re.compile(rf"([xy])({'|'.join(_ROLE_OF)})|({'|'.join(ROLE_OF)})([xy])")
_PAIRED = re.compile(rf"(.*?)[-_]({'|'.join(ROLE_OF)})[-_](?:imgs|images)\.npz", re.IGNORECASE)
_LONE = "arr_0"  # np.savez's name for an array without a name
_HEADER = 2**16  # bytes; NumPy refuses headers above 10,000, but reads them first


def load_numpy(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name, or of an .npy file under the name ``""``.

    A large array is mapped: from the file itself, or from a file that it is unpacked into.

    Raises:
        DataError: the file cannot be read, is damaged, or holds pickled objects, bytes behind an
            array, or a name twice.
        OutOfMemoryError: there is no room for an array.
    """
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            magic = file.read(2)
            file.seek(0)
            if magic != b"PK":
                return {"": _read_array(file, size, file, 0)}
            with zipfile.ZipFile(file) as archive:
                return _read_archive(archive, file)
    except ValueError as error:
        raise DataError(
            f"{path} is not a file of plain NumPy arrays",
            cause=cause_of(error),
            fix="save numbers or text with np.save or np.savez; pickled objects are never loaded:"
            " an array of objects is made one of text by y.astype(str)",
        ) from error
    except OutOfMemoryError:
        raise
    except Exception as error:  # a damaged file makes NumPy and zipfile raise nearly anything
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise unreadable(path, error) from error
        raise DataError(
            f"{path} cannot be read",
            cause=cause_of(error),
            fix="check its name and permissions, or get the file again",
        ) from error


def _read_archive(archive: zipfile.ZipFile, file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name."""
    if sum(member.file_size for member in archive.infolist()) > files.limit():
        raise files.too_large(files.limit())
    arrays: dict[str, NDArray[Any]] = {}
    for member in archive.infolist():
        if not member.filename.endswith(".npy"):
            continue
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise ValueError(f"it holds the array {name} twice")
        with archive.open(member) as stream:
            begin = None if member.compress_type else _begin(file, member)
            arrays[name] = _read_array(stream, member.file_size, file, begin, name)
            while stream.read(storage.CHUNK):
                pass  # to the end, where zipfile compares the CRC
    return arrays


def _begin(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """The place of a member's first byte: behind its header, a name and further fields."""
    file.seek(member.header_offset + 26)
    return member.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))


def _read_array(
    stream: IO[bytes], size: int, file: IO[bytes], begin: int | None, name: str = "in it"
) -> NDArray[Any]:
    """The array in an .npy file, which must have the size that its header says.

    Args:
        stream: the bytes of the .npy file, `size` of them.
        file: the open file that has them, perhaps packed.
        begin: the place where they begin there; None if they are packed.
        name: of the array, for messages.
    """
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read_header = np.lib.format.read_array_header_1_0
    else:
        start = stream.tell()
        length = int.from_bytes(stream.read(4), "little")
        if length > _HEADER:  # before NumPy reads it
            raise ValueError(f"the header of the array {name} claims {length:,} bytes")
        stream.seek(start)
    shape, is_fortran, dtype = read_header(stream)
    header = stream.tell()
    expected = header + math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and expected != size:  # before memory is taken for it
        raise ValueError(f"the array {name} has {size:,} bytes; its header says {expected:,}")
    array: NDArray[Any]
    try:
        if dtype.hasobject or expected - header <= storage.large():
            stream.seek(0)
            array = np.lib.format.read_array(stream, allow_pickle=False)
        else:
            content = _unpacked(stream) if begin is None else storage.map_file(file)
            offset = 0 if begin is None else begin + header
            values = np.frombuffer(content, dtype, math.prod(shape), offset)
            array = values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)
    except MemoryError as error:
        raise out_of_memory(error) from error
    if dtype.kind == "U" and array.size and dtype.itemsize:
        codes = array.reshape(-1).view(np.dtype("u4").newbyteorder(dtype.byteorder))
        if codes.max() > sys.maxunicode:  # Python has no text with it
            raise ValueError(f"a text in it has the character number {codes.max():,}")
    return array


def _unpacked(stream: IO[bytes]) -> storage.Content:
    """The bytes of a stream from its place on."""
    content = storage.Spool()
    while piece := stream.read(storage.CHUNK):
        content.add(piece)
    return content.content()


def read_npz(path: Path, reading: Reading | None = None, labeled: bool = True) -> Found:
    """The images and labels of an .npz file, as Keras, MedMNIST, scikit-learn or a user names them.

    The names say images or labels (x, images, data, ...; y, labels, target, ...), and perhaps the
    part by a word of `ROLE_OF`, in any order and case: ``x_train, y_train``; ``train_images,
    train_labels, val_images``; ``X, y``. Images are as in `as_images`, labels as in `as_labels`.
    A file with one nameless array (KMNIST's ``kmnist-train-imgs.npz``) has its labels beside it.

    Args:
        labeled: whether the labels matter.

    Raises:
        DataError: it is no such file.
    """
    arrays = load_numpy(path)
    if set(arrays) == {_LONE}:
        return _read_beside(path, arrays[_LONE], reading or Reading(), labeled)
    names = _by_meaning(path, arrays)
    if not names:
        raise DataError(
            f"{path} holds {_shapes(arrays)}, no images with labels",
            fix="name the arrays x_train and y_train (and x_test, y_test), or x and y",
        )
    parts, said, width = [], [], 0
    for role, (images_name, labels_name) in names.items():
        where = f"{images_name} of {path}"
        images, reading, how = as_images(arrays[images_name], where, reading)
        said += [words for words in how if words not in said]
        labels = None
        if labels_name is not None and labeled:
            labels = as_labels(arrays[labels_name], f"{labels_name} of {path}", images=len(images))
            width = max(width, one_hot_width(arrays[labels_name]))
        parts.append(Part(role, images, labels, where))
    if len(parts) == 1:
        parts[0] = replace(parts[0], where=str(path))
    # One-hot rows have a place for each class, also for one that no image is of.
    numbers = [str(number) for number in range(width)] or None
    return Found(path, parts, reading or Reading(), "images", said, values=numbers)


def read_npy(path: Path, reading: Reading | None = None) -> Found:
    """The images of an .npy file, which has no labels.

    Besides the layouts of `as_images` it may hold one image: (H, W), (H, W, 3), or, where the shape
    of an image is known, that. A single image is called as the file is.

    Raises:
        DataError: it is no such file.
    """
    array = load_numpy(path).get("")
    if array is None:
        raise DataError(f"{path} is an archive of arrays, not one array", fix="call it FILE.npz")
    known = reading.image_shape if reading else None
    if array.ndim == 2:
        single = known is None or array.shape[1] != math.prod(known)  # otherwise it holds rows
    else:
        color = array.ndim == 3 and array.shape[2] == 3 and known != (1, *array.shape[1:])
        single = color or array.shape == known
    images, found, said = as_images(array[np.newaxis] if single else array, str(path), reading)
    items = [str(path)] if len(images) == 1 else None
    return Found(path, [Part("all", images, None, str(path), items)], found, "images", said)


def _read_beside(path: Path, array: NDArray[Any], reading: Reading, labeled: bool) -> Found:
    """Images whose labels are in a file beside them, by KMNIST's names."""
    stem, suffix = path.name[: -len(path.suffix)], path.suffix
    wanted = re.sub(r"(imgs|images)$", "labels", stem)
    labels_path = path.with_name(f"{wanted}{suffix}")
    if wanted != stem and not labeled:
        images, reading, said = as_images(array, str(path), reading)
        return Found(path, [Part("all", images, None, str(path))], reading, "images", said)
    if wanted == stem or not os.path.isfile(labels_path):
        raise DataError(
            f"{path} holds {_LONE} of shape {array.shape}, an array without a name",
            cause="it may be images or labels, and there is no file of labels beside it",
            fix="save it as np.savez(FILE, x=images, y=labels); a pair of files is named"
            " NAME-imgs.npz and NAME-labels.npz",
        )
    images, reading, said = as_images(array, str(path), reading)
    several = load_numpy(labels_path)
    if len(several) != 1:
        raise DataError(
            f"{labels_path} holds {_shapes(several)}, where the labels are one array",
            fix="save it as np.savez(FILE, labels)",
        )
    (labels,) = several.values()
    ids = as_labels(labels, str(labels_path), images=len(images))
    return Found(path, [Part("all", images, ids, str(path))], reading, "images", said)


def find_pairs(directory: Path) -> dict[str, dict[str, Path]]:
    """The files of images by KMNIST's names in a directory: data set -> role -> file."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(directory.glob("*.npz")):
        if named := _PAIRED.fullmatch(path.name):
            found.setdefault(named[1], {})[ROLE_OF[named[2].lower()]] = path
    return found


def _by_meaning(path: Path, arrays: dict[str, NDArray[Any]]) -> dict[str, tuple[str, str | None]]:
    """Role -> the names of its images and, if it has some, of its labels.

    Raises:
        DataError: several arrays may be the same.
    """
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name in arrays:
        said = [word for joined in words(name) for word in _parted(joined)]
        roles = sorted({_ROLE_OF[word] for word in said if word in _ROLE_OF})
        rest = [word for word in said if word not in _ROLE_OF]
        if len(rest) == 1 and len(roles) <= 1:
            images, labels = found.setdefault(roles[0] if roles else "all", ([], []))
            if rest[0] in _IMAGES:
                images.append(name)
            elif rest[0] in _LABELS:
                labels.append(name)
    chosen = {}
    for role, (images, labels) in found.items():
        if images:
            count = arrays[images[0]].shape[:1]
            labels = [name for name in labels if arrays[name].shape[:1] == count] or labels[:1]
            if _are_equal([arrays[name] for name in images]):
                images = images[:1]  # as scikit-learn has them: images, and as rows
            for several in (images, labels):
                _refuse_several(path, several)
            chosen[role] = images[0], next(iter(labels), None)
    if "all" in chosen and "train" in chosen:
        _refuse_several(path, [chosen["all"][0], chosen["train"][0]])
    if "all" in chosen and len(chosen) > 1:
        chosen["train"] = chosen.pop("all")  # x, y, x_test, y_test
    return {role: chosen[role] for role in ("all", "train", "validation", "test") if role in chosen}


def _parted(word: str) -> list[str]:
    """The words in a word of a name: two in "xtrain" and "trainx"."""
    joined = _JOINED.fullmatch(word)
    return [word for word in joined.groups() if word] if joined else [word]


def _are_equal(arrays: list[NDArray[Any]]) -> bool:
    """Whether they have the same numbers as rows, (N, ...) as (N, numbers)."""
    if not all(array.ndim and array.dtype.kind in "biuf" for array in arrays):
        return len(arrays) == 1
    first, *others = arrays
    sizes = {(len(array), math.prod(array.shape[1:])) for array in arrays}
    return len(sizes) == 1 and all(
        np.array_equal(other[rows].reshape(-1), first[rows].reshape(-1))
        for other in others
        for rows in storage.chunks(first)
    )


def _refuse_several(path: Path, names: list[str]) -> None:
    if len(names) > 1:
        raise DataError(
            f"{path} has several arrays that may be the same: {listing(names)}",
            fix="name the arrays x_train and y_train (and x_test, y_test), or x and y",
        )


def _shapes(arrays: dict[str, NDArray[Any]]) -> str:
    listed = [f"{name} {array.shape}" for name, array in sorted(arrays.items())]
    return listing(listed) or "no arrays"
