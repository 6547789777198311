"""The directory of a run: its options, its results, and its checkpoint.

runs/train-1/
    config.toml         every option: `gpucnn train --config` with it gives the same bits again
    environment.json    what the bits are promised for: versions, device; the digest of model.py
    metrics.jsonl       an object an epoch; the last has the result of the test, too
    outcome.json        why and when the training ended, unless it was interrupted
    model.py            the code of the user's own model
    weights/            last.safetensors and best.safetensors, the optimizer's state beside them
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpucnn import files
from gpucnn.backend import Backend
from gpucnn.errors import DataError, GpucnnError, StorageError, UsageError
from gpucnn.training import checkpoint
from gpucnn.training.code import COPY, Code
from gpucnn.training.config import TrainConfig
from gpucnn.training.environment import describe_environment
from gpucnn.training.recorded import read_object, read_outcome, read_records
from gpucnn.writing import (
    is_locked,
    locked,
    matching,
    remove_folder,
    remove_temporaries,
    storage_errors,
    write_atomic,
)

CONFIG = "config.toml"
_LOCK = ".lock"
_DRAFT = re.compile(r"\.new-[0-9]{19}")  # the run that the process with the lock is making
_DRAFT_LOCK = ".new.lock"
_PATIENCE = 10.0  # seconds to wait for that process; to make a run takes milliseconds


@dataclass(frozen=True)
class Run:
    """A run directory; make one with `create`, `open` or `newest`."""

    path: Path

    @classmethod
    def create(cls, config: TrainConfig, backend: Backend, code: Code | None = None) -> Run:
        """Make a new run directory: `runs_dir/name`, or the first free `runs_dir/train-N`.

        It appears complete or not at all: with its config.toml, and a copy of the code of the
        user's own model, which is by default the file that `config.model` names. A draft that a
        killed process left is deleted.

        Raises:
            UsageError: `config.name` is taken.
            StorageError: the directory cannot be written, or another process has been making a run
                in it for 10 seconds.
        """
        runs_dir, code = Path(config.runs_dir), code or Code.parse(config.model)
        # A name belongs to one run; the configuration is for making others like it.
        written = replace(config.resolved(backend.name), name=None)
        draft = runs_dir / f".new-{time.time_ns():019}"
        busy = StorageError(
            f"{runs_dir} is in use",
            cause="another process is making a run in it",
            fix="end that process, or write to another place with --runs-dir DIR",
        )
        with storage_errors(runs_dir):
            runs_dir.mkdir(parents=True, exist_ok=True)
            with locked(runs_dir / _DRAFT_LOCK, _PATIENCE, busy):
                for left in matching(runs_dir, _DRAFT):  # by a killed process
                    remove_folder(left)  # another user's may stay
                try:
                    (draft / "weights").mkdir(parents=True)
                    write_atomic(draft / CONFIG, written.to_toml().encode())
                    if code is not None:
                        write_atomic(draft / COPY, code.source)
                    environment = describe_environment(backend)
                    if code is not None:
                        environment["code_sha256"] = code.sha256
                    text = f"{json.dumps(environment, indent=2)}\n"
                    write_atomic(draft / "environment.json", text.encode())
                    return cls(_claim(draft, runs_dir, config.name))
                except BaseException:
                    remove_folder(draft)
                    raise

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """The run in a directory.

        Raises:
            DataError: there is no run.
        """
        run = cls(Path(path))
        if not os.path.isfile(run.path / CONFIG):
            configs = run.path.glob(f"[!.]*/{CONFIG}") if os.path.isdir(path) else ()
            inside = sorted(str(config.parent) for config in configs)
            more = f" or {len(inside) - 5:,} more" if len(inside) > 5 else ""
            raise DataError(
                f"there is no run in {path}",
                cause="it holds runs, and is none itself" if inside else _why_no_run(run.path),
                fix=f"give one of these: {', '.join(map(shlex.quote, inside[:5]))}{more}"
                if inside
                else "give a run directory, as in runs/train-1; gpucnn train makes one",
            )
        return run

    @classmethod
    def newest(cls, runs_dir: str | os.PathLike[str]) -> Run:
        """The run that was started last of those in `runs_dir`.

        Raises:
            DataError: there is none.
        """
        configs = list(Path(runs_dir).glob(f"[!.]*/{CONFIG}"))
        if not configs:
            raise DataError(
                f"there is no run in {runs_dir} to resume",
                fix="start one with gpucnn train, or name its directory: --resume RUN",
            )
        return cls(max(configs, key=lambda path: path.stat().st_mtime_ns).parent)

    @property
    def weights(self) -> Path:
        return self.path / "weights"

    @property
    def last(self) -> Path:
        return self.weights / checkpoint.LAST

    @property
    def best(self) -> Path:
        return self.weights / checkpoint.BEST

    def weights_file(self, which: str | None = None) -> Path:
        """The file of its "last" or "best" weights, which need not exist.

        The default is for predictions: the best of a run with `patience`, which continued after
        them; otherwise the last.

        Raises:
            DataError: the best are asked for, and there are none.
        """
        if which is None:
            return self.best if self.config().patience and self.best.exists() else self.last
        if which == "best" and not self.best.exists():
            raise DataError(
                f"{self.path} has no best weights",
                cause="it was trained without a validation set",
                fix="use --weights last",
            )
        return self.best if which == "best" else self.last

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def outcome_file(self) -> Path:
        return self.path / "outcome.json"

    @property
    def train_command(self) -> str:
        """The command that trains another run with the same options, which others may follow."""
        return f"gpucnn train --config {shlex.quote(str(self.path))}/{CONFIG}{self.trust_flag}"

    @property
    def resume_command(self) -> str:
        """The command that resumes the run."""
        return f"gpucnn train --resume {shlex.quote(str(self.path))}{self.trust_flag}"

    @property
    def trust_flag(self) -> str:
        """The flag that commands need to run the code that it keeps; empty without code."""
        return " --trust-code" if self.has_code else ""

    @property
    def has_code(self) -> bool:
        """Whether its model is code of its author, of which it keeps a copy."""
        return (self.path / COPY).exists()

    def code(self, function: str, trust_code: bool, sha256: str | None) -> Code:
        """The copy of the code of its model.

        Args:
            sha256: of the code that the weights were trained with, as of `code_sha256`.

        Raises:
            UsageError: there is none, or `trust_code` does not allow to run it.
            DataError: as `Code.require`.
        """
        copy = Code(self.path / COPY, function)
        if not self.has_code:
            raise UsageError(
                f"the model in {self.path} is code of its author's, and there is no copy of it",
                fix="give the file and the function as --model my_net.py:build",
            )
        if not trust_code:
            raise UsageError(
                f"the model in {self.path} is code of its author's",
                cause="gpucnn runs it only if you ask",
                fix=f"read {copy.file}, and if you trust it add --trust-code (trust_code=True)",
            )
        copy.require(sha256)
        return copy

    def code_sha256(self) -> str | None:
        """SHA-256 of the code of its last weights, or before these of the run; None without code.

        Raises:
            DamagedError: the checkpoint is damaged, as `checkpoint.resume`.
        """
        if not self.has_checkpoint():
            return self.environment().get("code_sha256")
        found: list[checkpoint.Checkpoint] = []
        checkpoint.resume(self.weights, found.append, checkpoint.read)
        return found[-1].description.get("code_sha256")

    def records(self) -> list[dict[str, Any]]:
        """The objects of metrics.jsonl, one an epoch, up to the first that cannot be read.

        The last one of a finished training with a test set has test_loss and test_accuracy, too.
        """
        return read_records(self.metrics)[0]

    def begin(self) -> None:
        """Note that a training begins, or goes on.

        Raises:
            StorageError: the run cannot be written.
        """
        with storage_errors(self.outcome_file):
            self.outcome_file.unlink(missing_ok=True)

    def write_metrics(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Replace metrics.jsonl by these records.

        Raises:
            StorageError: it cannot be written.
        """
        lines = "".join(f"{json.dumps(record, allow_nan=False)}\n" for record in records)
        write_atomic(self.metrics, lines.encode())

    def end(self, reason: str, seconds: float, error: GpucnnError | None = None) -> None:
        """Note that a training has ended: outcome.json.

        Args:
            reason: as in `History`; "diverged" with its error.
            seconds: how long it took.

        Raises:
            StorageError: the run cannot be written.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        outcome = {"reason": reason, "seconds": seconds, "date": now}
        if error is not None:
            outcome |= {"message": error.message, "cause": error.cause}
        write_atomic(self.outcome_file, json.dumps(outcome).encode() + b"\n")

    def outcome(self) -> dict[str, Any]:
        """The reason for the end of the training, its seconds and its date (UTC), by name.

        Empty while a training has not ended, for a run of an older version, and if the file is
        damaged (see `gpucnn.training.damage`).
        """
        return read_outcome(self.outcome_file)

    def is_in_use(self) -> bool:
        """Whether a process is training in it."""
        return is_locked(self.path / _LOCK)

    def keep_best(self, other: Run) -> None:
        """Take over the best weights of another run, if it has any."""
        if other.best.exists():
            with storage_errors(self.best):
                write_atomic(self.best, files.read(other.best))

    def config(self) -> TrainConfig:
        """The options that it was started with.

        Raises:
            UsageError: config.toml was changed into something that is not acceptable.
            DataError: it cannot be read.
        """
        try:
            return TrainConfig.load(self.path / CONFIG, env={})
        except UsageError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            fix = "remove the cause, or use an intact copy of the run"
            raise DataError(error.message, cause=error.cause, fix=fix) from error.__cause__

    def change_config(self, **changes: Any) -> None:
        """Replace options in config.toml.

        Raises:
            StorageError: it cannot be written.
        """
        write_atomic(self.path / CONFIG, replace(self.config(), **changes).to_toml().encode())

    def environment(self) -> dict[str, Any]:
        """The result of `describe_environment` at the start of the run; empty if it is lost."""
        return read_object(self.path / "environment.json")

    def has_checkpoint(self) -> bool:
        """Whether a checkpoint was ever written; a run that was killed early has none."""
        return self.last.exists() or self.metrics.exists()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Reserve the run for this process, and delete the temporary files of a killed one.

        Raises:
            StorageError: another process is training in it, or it cannot be written.
            DataError: a link in it leads to another place.
        """
        with storage_errors(self.path):
            self._check_links()
        busy = StorageError(
            f"{self.path} is in use",
            cause="another process is training in it",
            fix="wait for it to end, or start another run",
        )
        # `is_in_use` of another process holds it for a moment.
        with locked(self.path / _LOCK, 0.2, busy):
            remove_temporaries(self.path)
            remove_temporaries(self.weights)
            yield

    def _check_links(self) -> None:
        """Refuse symbolic links that lead out of the run, as a training would write through them.

        The links above the run are the user's own. The parts of a sweep are its runs.
        """
        home = os.path.realpath(self.path)
        for folder in (".", "weights", "tensorboard"):
            for part in sorted((self.path / folder).glob("*")):
                if part.is_symlink() and not Path(os.path.realpath(part)).is_relative_to(home):
                    raise DataError(
                        f"no training writes into {self.path}",
                        cause=f"{part} is a symbolic link to {os.readlink(part)}, out of the run",
                        fix="put a copy of that in place of the link, or delete the link",
                    )


def find_weights(path: str | os.PathLike[str], which: str | None = None) -> Path:
    """The weights file at a path, or in the run at a path: `Run.weights_file`.

    Raises:
        DataError: there is no file and no run, or as `Run.weights_file`.
    """
    found = Path(path)
    is_run = os.path.isdir(found) or not os.path.exists(found)
    return Run.open(path).weights_file(which) if is_run else found


def run_of(file: Path) -> Path | None:
    """The directory of the run that a weights file is in; None if it is in no run."""
    folder = file.absolute().parent.parent
    in_run = file.absolute().parent.name == "weights" and os.path.isfile(folder / CONFIG)
    return file.parent.parent if in_run else None


def _why_no_run(path: Path) -> str:
    if os.path.isdir(path):
        return f"it has no {CONFIG}"
    try:
        os.stat(path)
    except FileNotFoundError:
        return "no such directory"
    except (OSError, ValueError) as error:  # no file can have this name
        return str(getattr(error, "strerror", error))
    return "it is a file, not a directory"


def _claim(draft: Path, runs_dir: Path, name: str | None) -> Path:
    """Rename `draft` to its place."""
    number = 1
    while (path := runs_dir / (name or f"train-{number}")).exists():
        if name is not None:
            raise UsageError(
                f"{path} exists already",
                fix=f"give another --name, or go on with it: --resume {shlex.quote(str(path))}",
            )
        number += 1
    os.rename(draft, path)
    return path
