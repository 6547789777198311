"""Data sets known by name: the place of their files, download and verification.

An explicit directory (``--data-dir`` or ``$GPUCNN_DATA_DIR``) is the only place: DIR or DIR/NAME,
whichever has more of the files. Without one it is the user's cache directory, and missing files are
downloaded.
"""

from __future__ import annotations

import functools
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from gpucnn.data.dataset import Dataset
from gpucnn.data.download import DownloadError, download, mirror
from gpucnn.data.download_folder import OPTION, left_over, temporary_folder
from gpucnn.data.gzip_files import GZIP_MAGIC, Content, decompress, read_raw
from gpucnn.data.idx import (
    IMAGES,
    LABELS,
    TEST,
    TRAIN,
    claimed,
    find_file,
    parse_idx,
    read_whole,
)
from gpucnn.errors import DataError, UsageError

FILES = (*TRAIN, *TEST)

_FASHION_NAMES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A data set of four idx files.

    Args:
        name: as ``--data`` takes it.
        description: one line about it.
        mirrors: URLs of folders with the .gz files, tried in order.
        sizes: bytes of each .gz file of the mirrors, in the order of `FILES`.
        packed: SHA-256 of each .gz file of the mirrors, in this order.
        unpacked: SHA-256 of the uncompressed files; None if only those of the .gz are known.
        class_names: the classes in the order of their labels.
        convert: the conversion that makes a picture like its images, as in `Reading`.
    """

    name: str
    description: str
    mirrors: tuple[str, ...]
    sizes: tuple[int, ...]
    packed: tuple[str, ...]
    unpacked: tuple[str, ...] | None
    class_names: list[str]
    convert: str | None = None

    @property
    def known(self) -> set[str]:
        """All known SHA-256 of its files."""
        return {*self.packed, *(self.unpacked or ())}


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="mnist",
            description="70,000 handwritten digits, 28x28 (LeCun, Cortes and Burges, 1998)",
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            sizes=(9_912_422, 28_881, 1_648_877, 4_542),
            packed=(
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
            unpacked=(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            class_names=[str(digit) for digit in range(10)],
            convert="mnist",
        ),
        Source(
            name="fashion-mnist",
            description="70,000 pieces of clothing, 28x28 (Xiao, Rasul and Vollgraf, 2017)",
            mirrors=("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",),
            sizes=(26_421_880, 29_515, 4_422_102, 5_148),
            packed=(
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
            unpacked=None,
            class_names=_FASHION_NAMES,
        ),
    )
}


@dataclass(frozen=True)
class FileReport:
    """The result of `verify` for a file.

    ``verified`` is False if its hash is not known: for fashion-mnist's uncompressed files.
    """

    path: Path
    size: int
    verified: bool


def get(name: str) -> Source:
    """The source of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in SOURCES:
        raise UsageError(
            f"there is no data set to download that is called {name!r}",
            cause="digits comes with gpucnn" if name == "digits" else None,
            fix=f"give one of: {', '.join(SOURCES)}",
        )
    return SOURCES[name]


def identify(labels: Path) -> Source | None:
    """The data set that a file of labels belongs to by its SHA-256, or None."""
    hashes = _hashes(labels)
    return next((source for source in SOURCES.values() if hashes & source.known), None)


def _hashes(file: Path) -> set[str]:
    """SHA-256 of the bytes of a file, and of its uncompressed content."""
    raw = read_raw(file, claimed)
    forms = (raw, decompress(raw, file, claimed))
    return {hashlib.sha256(form).hexdigest() for form in forms}


def path(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The directory where the files of a named data set are looked for; it need not exist."""
    source = get(name)
    chosen = data_dir or os.environ.get("GPUCNN_DATA_DIR")
    if not chosen:
        return _cache(name)
    explicit = Path(os.path.expanduser(chosen))  # an unknown ~user stays as it is, as in a shell
    inner = explicit / name
    there, below = _present(source, explicit), _present(source, inner)
    return inner if below and len(below) >= len(there) else explicit


def missing(name: str, data_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """The names of the missing files.

    All files are missing if those in the directory belong to another data set, by the hash of the
    labels.
    """
    present = _present(get(name), path(name, data_dir))
    return [file for file in FILES if file not in present]


def read(name: str, data_dir: str | os.PathLike[str] | None = None) -> tuple[Dataset, Dataset]:
    """(training, test) of a named data set, every file verified as it is read.

    Files that are missing from the cache directory are downloaded first; those missing from an
    explicit directory are not.

    Raises:
        DataError: a file is missing, damaged, or is not the one that is expected.
        StorageError: a download cannot be written.
        UsageError: a file is missing, and ``$GPUCNN_MIRROR`` cannot be used.
    """
    source = get(name)
    complete(name, data_dir)
    directory = path(name, data_dir)
    parts = []
    for images_file, labels_file in (TRAIN, TEST):
        report, content = _read_verified(source, directory, images_file)
        images = parse_idx(content, report.path, IMAGES)
        report, content = _read_verified(source, directory, labels_file)
        labels = parse_idx(content, report.path, LABELS)
        names = source.class_names
        parts.append(Dataset(name, images[:, np.newaxis], labels, len(names), names))
    return parts[0], parts[1]


def complete(name: str, data_dir: str | os.PathLike[str] | None = None) -> None:
    """Download the files that are missing from the cache directory, as `fetch` does.

    An explicit directory stays as it is.
    """
    if path(name, data_dir) == _cache(name) and missing(name, data_dir):
        fetch(name)


def verify(name: str, data_dir: str | os.PathLike[str] | None = None) -> list[FileReport]:
    """Check the files of a named data set against their hashes; nothing is downloaded.

    Raises:
        DataError: a file is missing or is not the one that is expected.
    """
    source, directory = get(name), path(name, data_dir)
    return [_read_verified(source, directory, file)[0] for file in FILES]


def fetch(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """Download the missing or damaged files of a named data set; returns their directory.

    It is the cache directory, or DIR/NAME in an explicit DIR; a DIR that has some of the files
    itself gets the others. Each file gets a temporary name, is checked by its SHA-256, and is then
    renamed. Several processes may do this at once: one downloads, the others wait.

    Raises:
        DataError: no mirror gave a file with the right hash.
        StorageError: the directory cannot be written.
        UsageError: ``$GPUCNN_MIRROR`` cannot be used.
    """
    source = get(name)
    directory = path(name, data_dir)
    unusable = _unusable(source, directory)
    if not unusable and not left_over(directory):
        return directory
    if len(unusable) == len(FILES) and directory.name != name:
        directory = directory / name  # never among files of another data set with the same names
    mirrors = _mirrors(source)
    with temporary_folder(directory) as temporary:
        for file in _unusable(source, directory):  # again: another process may have got them
            whole = _download(source, mirrors, file, temporary)
            old, new = find_file(directory, file), directory / whole.name
            os.replace(whole, new)
            if old is not None and old != new:
                old.unlink(missing_ok=True)
    return directory


def _present(source: Source, directory: Path) -> list[str]:
    """The files that exist by their names; none if the labels belong to another data set."""
    known = set().union(*(other.known for other in SOURCES.values()))
    for file in (TRAIN[1], TEST[1]):
        found = find_file(directory, file)
        if found is None:
            continue
        with suppress(DataError):  # a damaged file exists too
            hashes = _hashes(found)
            if hashes & known and not hashes & source.known:
                return []
    return [file for file in FILES if find_file(directory, file) is not None]


def _cache(name: str) -> Path:
    return Path(platformdirs.user_cache_dir("gpucnn", appauthor=False)) / name


def _fetch_command(name: str, directory: Path) -> str:
    option = "" if directory == _cache(name) else f" --data-dir {directory}"
    return f"gpucnn data fetch {name}{option}"


def _read_verified(source: Source, directory: Path, file: str) -> tuple[FileReport, Content]:
    """A file's report and its uncompressed bytes; DataError if it is missing or its hash wrong.

    If it is there in two packings, and one is damaged, it is the other.
    """
    found = find_file(directory, file)
    if found is None:
        raise DataError(
            f"{source.name} is not in {directory}: there is no {file} (nor {file}.gz)",
            cause=None if os.path.isdir(directory) else f"{directory} is not a directory",
            fix=f"{_fetch_command(source.name, directory)}, or give the directory that has it with"
            f" {OPTION}",
        )
    return read_whole(found, functools.partial(_verified, source, directory, file))[0]


def _verified(
    source: Source, directory: Path, file: str, found: Path
) -> tuple[FileReport, Content]:
    """`_read_verified` of the file that was found."""
    raw = read_raw(found, claimed)
    get_again = f"{_fetch_command(source.name, directory)}, which replaces it"
    try:
        content = decompress(raw, found, claimed)
    except DataError as error:
        error.fix = get_again
        raise
    hashed = raw if source.unpacked is None else content
    actual = hashlib.sha256(hashed).hexdigest()
    if source.unpacked is None and raw[:2] != GZIP_MAGIC:
        # Only the hash of the gzip file is known, but this must not be a file of another set.
        others = {known for other in SOURCES.values() for known in other.unpacked or ()}
        if actual not in others:
            return FileReport(found, len(raw), verified=False), content
    expected = (source.unpacked or source.packed)[FILES.index(file)]
    if actual != expected:
        raise DataError(
            f"{found} is not the {file} of {source.name}",
            cause=f"its SHA-256 is {actual}, not {expected}",
            fix=get_again,
        )
    return FileReport(found, len(raw), verified=True), content


def _unusable(source: Source, directory: Path) -> list[str]:
    """The files that are missing or damaged."""
    names = []
    for file in FILES:
        try:
            _read_verified(source, directory, file)
        except DataError:
            names.append(file)
    return names


def _mirrors(source: Source) -> tuple[str, ...]:
    """The folders to download from: that of ``$GPUCNN_MIRROR`` alone, if it is set."""
    own = mirror()
    return (f"{own}{source.name}/",) if own else source.mirrors


def _download(source: Source, mirrors: tuple[str, ...], file: str, temporary: Path) -> Path:
    """Get FILE.gz into `temporary` from the first mirror that gives it with the right hash."""
    to, number = temporary / f"{file}.gz", FILES.index(file)
    size, sha256 = source.sizes[number], source.packed[number]
    failures = []
    for folder in mirrors:
        try:
            download(f"{folder}{to.name}", to, size=size, sha256=sha256)
            return to
        except DownloadError as error:
            failures.append(f"{folder}: {error}")
    fix = f"give the directory that has the files with {OPTION}"
    if mirrors == source.mirrors:
        fix += f", or, with a network, gpucnn data fetch {source.name}; --data digits needs none"
    else:
        fix = f"check GPUCNN_MIRROR, the only place that is asked, or unset it; or {fix}"
    raise DataError(
        f"{source.name} could not be downloaded: no mirror gave {to.name}",
        cause="; ".join(failures),
        fix=fix,
    )
