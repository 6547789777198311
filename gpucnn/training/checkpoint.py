"""Checkpoints: weights and optimizer state in safetensors files that carry their own digest.

A checkpoint is a pair of files. `last.safetensors` holds the weights and their description;
`state-STEP.safetensors` beside it holds what only resuming needs: the optimizer's arrays, the steps
of dropout, the sums of the current epoch, and the records of the epochs. The state is written
first. The new checkpoint replaces the old one at the moment when `last.safetensors` is renamed into
place.

Nothing in the weights file depends on time, threads or folders: equal runs give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from gpucnn import files
from gpucnn.errors import DataError
from gpucnn.training.files import storage_errors, write_atomic

FORMAT = 1  # raised when a reader of the older format could misread a file
LAST = "last.safetensors"
BEST = "best.safetensors"
_BELONGS_TO = "weights_sha256"  # in a file of state: the digest of its weights
_KEY = "gpucnn"  # safetensors' metadata are a string by key, in no fixed order: so one key

Arrays = Mapping[str, NDArray[Any]]


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


def require(values: Mapping[str, Any], kinds: Mapping[str, type], what: object) -> None:
    """Check that the metadata of a file, `what`, have values of these types.

    Raises:
        DataError: a value is missing, or of another type.
    """
    for key, kind in kinds.items():
        if not isinstance(values.get(key), kind):
            raise DataError(
                f"{what} does not describe itself as gpucnn does",
                cause=f"its {key} is {values.get(key)!r}, where a {kind.__name__} should be",
                fix="use an intact copy of the run, or train again",
            )


def save(directory: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in `directory`; at any moment either the old or the new one is there.

    Raises:
        StorageError: it cannot be written; the previous checkpoint is intact.
    """
    state_name = f"state-{checkpoint.description['step']}.safetensors"
    weights, digest = _pack(checkpoint.weights, {**checkpoint.description, "state": state_name})
    # The state names its weights by their digest. The weights do not: the state contains times.
    state, _ = _pack(checkpoint.state, {**checkpoint.progress, _BELONGS_TO: digest})
    write_atomic(directory / state_name, state)
    write_atomic(directory / LAST, weights)
    _remove_states(directory, keep=state_name)


def load(directory: Path) -> Checkpoint:
    """`read`; state files of others, left by a killed `save`, are deleted.

    Raises:
        DataError: as `read`.
        StorageError: a file cannot be deleted.
    """
    checkpoint, state_name = _read(directory)
    _remove_states(directory, keep=state_name)
    return checkpoint


def read(directory: Path) -> Checkpoint:
    """The checkpoint in `directory`, in which another process may be training; nothing is changed.

    Raises:
        DataError: there is none, a file is cut short or altered, or the two do not belong together.
    """
    return _read(directory)[0]


def _read(directory: Path) -> tuple[Checkpoint, str]:
    """The checkpoint in `directory`, and the name of its file of state."""
    weights, description, digest = _unpack(directory / LAST)
    name = description.pop("state", None)
    if not isinstance(name, str) or Path(name).name != name:
        raise DataError(
            f"{directory / LAST} cannot be resumed", cause="it names no file of optimizer state"
        )
    state, progress, _ = _unpack(directory / name)
    if progress.pop(_BELONGS_TO, None) != digest:
        raise DataError(
            f"{directory / LAST} cannot be resumed",
            cause=f"{name} beside it belongs to other weights",
            fix="restore both files from the same copy",
        )
    return Checkpoint(weights, description, state, progress), name


def _remove_states(directory: Path, keep: str) -> None:
    for other in directory.glob("state-*.safetensors"):
        if other.name != keep:
            with storage_errors(other):
                other.unlink()


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
    again = "use an intact copy of the file, or train again"
    if not path.is_file():
        raise DataError(f"there is no weights file {path}", fix="check the path of the run")
    try:
        files.check_regular(path)
        with safetensors.safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = json.loads(text) if text else None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read", cause=error.strerror or str(error), fix=again
        ) from error
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{path} is cut short or altered, or is no weights file", cause=str(error), fix=again
        ) from error
    if not isinstance(metadata, dict) or "format" not in metadata:
        raise DataError(
            f"{path} was not written by gpucnn",
            cause="it holds no description of its weights",
            fix="give a weights file of a run, as in runs/train-1/weights/last.safetensors",
        )
    if metadata["format"] != FORMAT:
        raise DataError(
            f"{path} is of format {metadata['format']}, this version reads {FORMAT}",
            fix="pip install --upgrade gpucnn",
        )
    digest = metadata.pop("sha256", None)
    if digest != _digest(tensors, metadata):
        raise DataError(f"{path} was altered", cause="its digest does not match", fix=again)
    del metadata["format"]
    return tensors, metadata, digest


def _digest(tensors: Arrays, metadata: Mapping[str, Any]) -> str:
    """SHA-256 over the metadata and over name, type, shape and bytes of every array."""
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
