"""Checkpoints: weights and optimizer state in safetensors files that carry their own digest.

A checkpoint is a pair of files. `last.safetensors` holds the weights and their description;
`state-STEP.safetensors` beside it holds what only resuming needs: the optimizer's arrays, the steps
of dropout, the sums of the current epoch, and the records of the epochs. The state is written
first, and `last.safetensors` is copied to `previous.safetensors`. The new checkpoint replaces the
old one at the moment when the new `last.safetensors` is renamed into place. The previous one, a
pair too, can be put in its place if it is damaged.

Nothing in the weights file depends on time, threads or folders: equal runs give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from gpucnn import files, tensor_files
from gpucnn.errors import DataError, GpucnnError, cause_of
from gpucnn.quoting import quoted, quoted_path
from gpucnn.writing import matching, storage_errors, write_atomic

FORMAT = 1  # raised when a reader of the older format could misread a file
LAST = "last.safetensors"
PREVIOUS = "previous.safetensors"
BEST = "best.safetensors"
_STATE = re.compile(r"state-[0-9]+\.safetensors")
_BELONGS_TO = "weights_sha256"  # in a file of state: the digest of its weights
_KEY = "gpucnn"  # safetensors' metadata are a string by key, in no fixed order: so one key

Arrays = Mapping[str, NDArray[Any]]

#: Errors for a file that is damaged, or of types that NumPy does not have; also those of JSON.
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class DamagedError(DataError):
    """A file of weights or of state is missing, cut short or altered."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run.

    Args:
        weights: the model's `state_dict`.
        description: of the weights: model, classes, scaling of pixels, step, epoch.
        state: the optimizer's arrays, the model's counters and the sums of the current epoch.
        progress: JSON values: the records of the epochs, times, and the inputs that decide the
            result of the run: its options, and a digest of its data.
    """

    weights: Arrays = field(repr=False)
    description: dict[str, Any]
    state: Arrays = field(repr=False)
    progress: dict[str, Any]


def save_weights(
    path: Path, weights: Arrays, description: Mapping[str, Any], option: str = "--runs-dir DIR"
) -> str:
    """Write a weights file atomically; returns its digest. `option` is that of `write_atomic`.

    Raises:
        StorageError: it cannot be written; the previous file is intact.
    """
    data, digest = _pack(weights, description)
    write_atomic(path, data, option)
    return digest


def load_weights(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """(weights, description) of a file of `save_weights`.

    Raises:
        DataError: there is no such file, it is cut short or altered, or not one of gpucnn's.
    """
    weights, description, _ = _unpack(path)
    if _BELONGS_TO in description:
        raise DataError(
            f"{path} holds the state of an optimizer, no weights",
            fix=f"give the weights beside it: {path.with_name(LAST)}",
        )
    return weights, description


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a file, by its header alone, which fits the length of an intact file.

    The digest is not compared. A file that is missing, cut short or no such file raises one of
    `UNREADABLE`.
    """
    metadata: dict[str, Any] = json.loads(tensor_files.read_metadata(path)[_KEY])
    return metadata


def require(values: Mapping[str, Any], kinds: Mapping[str, type], what: object) -> None:
    """Check that the metadata of a file, `what`, have values of these types.

    Raises:
        DamagedError: a value is missing, or of another type.
    """
    for key, kind in kinds.items():
        if not isinstance(values.get(key), kind):
            found = quoted(repr(values.get(key)))
            raise DamagedError(
                f"{what} does not describe itself as gpucnn does",
                cause=f"its {key} is {found}, where a {kind.__name__} should be",
                fix="use an intact copy of the run, or train again",
            )


def save(directory: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in `directory`, and keep it as the previous one.

    At any moment either the old or the new one is there.

    Raises:
        StorageError: it cannot be written; the last checkpoint is intact.
    """
    state_name = f"state-{checkpoint.description['step']}.safetensors"
    weights, digest = _pack(checkpoint.weights, {**checkpoint.description, "state": state_name})
    # The state names its weights by their digest. The weights do not: the state contains times.
    state, _ = _pack(checkpoint.state, {**checkpoint.progress, _BELONGS_TO: digest})
    write_atomic(directory / state_name, state)
    if (directory / LAST).exists():
        with storage_errors(directory / PREVIOUS):
            write_atomic(directory / PREVIOUS, files.read(directory / LAST))
    write_atomic(directory / LAST, weights)
    _remove_states(directory)


def load(directory: Path) -> Checkpoint:
    """`read`; state files of others, left by a killed `save`, are deleted.

    Raises:
        DamagedError: as `read`.
        StorageError: a file cannot be deleted.
    """
    checkpoint = read(directory)
    _remove_states(directory)
    return checkpoint


def resume(
    directory: Path,
    restore: Callable[[Checkpoint], None],
    reader: Callable[[Path], Checkpoint] = load,
) -> None:
    """Give the checkpoint in `directory` to `restore`.

    Args:
        reader: `load`, which needs the lock of the run; or `read`.

    Raises:
        DamagedError: the checkpoint is damaged, for `reader` or for `restore`. Its fix says how to
            go on from the previous one, if that is good.
    """
    try:
        restore(reader(directory))
    except DamagedError as error:
        try:
            previous = read(directory, PREVIOUS)
            restore(previous)
        except GpucnnError:
            raise error from error.__cause__
        places = (shlex.quote(str(directory / name)) for name in (PREVIOUS, LAST))
        error.fix = (
            f"go on from the checkpoint before it, of step {previous.description['step']}:"
            f" mv {' '.join(places)}, and resume again"
        )
        raise


def read(directory: Path, name: str = LAST) -> Checkpoint:
    """The checkpoint in `directory`, in which another process may be training; nothing is changed.

    Args:
        name: of the file of weights: `LAST` or `PREVIOUS`.

    Raises:
        DamagedError: there is none, a file is cut short or altered, or the two do not belong
            together.
    """
    weights, description, digest = _unpack(directory / name)
    state_name = description.pop("state", None)
    if not isinstance(state_name, str) or Path(state_name).name != state_name:
        raise DamagedError(
            f"{directory / name} cannot be resumed",
            cause="it names no file of optimizer state",
            fix="use the last.safetensors of a run, or train again",
        )
    state, progress, _ = _unpack(directory / state_name)
    if progress.pop(_BELONGS_TO, None) != digest:
        raise DamagedError(
            f"{directory / name} cannot be resumed",
            cause=f"{state_name} beside it belongs to other weights",
            fix="restore both files from the same copy",
        )
    return Checkpoint(weights, description, state, progress)


def _remove_states(directory: Path) -> None:
    """Delete the files of state that neither the last nor the previous weights name.

    If either cannot be read, which may be for this moment only, nothing is deleted.
    """
    try:
        kept = {_state_of(directory / name) for name in (LAST, PREVIOUS)}
    except UNREADABLE:
        return
    with storage_errors(directory):
        states = matching(directory, _STATE)
    for other in states:
        if other.name not in kept:
            with storage_errors(other):
                other.unlink()


def _state_of(path: Path) -> str | None:
    """The name of the file of state that belongs to weights; None if there are no weights."""
    if not path.exists():
        return None
    return str(read_metadata(path).get("state"))


def _pack(arrays: Arrays, metadata: Mapping[str, Any]) -> tuple[bytes, str]:
    """A safetensors file with its digest inside, and the digest."""
    tensors = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    described = {"format": FORMAT, **metadata}
    digest = _digest(tensors, described)
    # In the order of the writer, which a resumed run finds again in the records of its epochs.
    text = json.dumps({**described, "sha256": digest})
    return safetensors.numpy.save(tensors, {_KEY: text}), digest


def _unpack(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any], str]:
    """(arrays, metadata, digest) of a file of `_pack`, checked."""
    shown = quoted_path(path)  # another file may have named it
    again = "use an intact copy of the file, or train again"
    try:
        tensors, texts = tensor_files.read(path)
        text = texts.get(_KEY)
        metadata: Any = json.loads(text) if text else None
        stated = metadata.pop("sha256", None) if isinstance(metadata, dict) else None
        digest = _digest(tensors, metadata)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise DamagedError(
            f"there is no weights file {shown}", fix="check the path of the run"
        ) from error
    except OSError as error:
        raise DamagedError(f"{shown} cannot be read", cause=cause_of(error), fix=again) from error
    except UNREADABLE as error:
        raise DamagedError(
            f"{shown} is cut short or altered, or is no weights file",
            cause=quoted(error),
            fix=again,
        ) from error
    if not isinstance(metadata, dict) or "format" not in metadata:
        raise DamagedError(
            f"{shown} was not written by gpucnn",
            cause="it holds no description of its weights",
            fix="give a weights file of a run, as in runs/train-1/weights/last.safetensors",
        )
    if metadata["format"] != FORMAT:
        raise DamagedError(
            f"{shown} is of format {quoted(metadata['format'])}, this version reads {FORMAT}",
            fix="pip install --upgrade gpucnn",
        )
    if stated != digest:
        raise DamagedError(f"{shown} was altered", cause="its digest does not match", fix=again)
    del metadata["format"]
    return tensors, metadata, digest


def _digest(tensors: Arrays, metadata: Mapping[str, Any]) -> str:
    """SHA-256 over the metadata and over name, type, shape and bytes of every array."""
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(array.reshape(-1).data)
    return sha.hexdigest()
