"""The states of the parts of `prove.py`, and the archive that holds all files of the record."""

from __future__ import annotations

import contextlib
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PASSED, FAILED, TIMED_OUT = "passed", "failed", "timed out"
NOT_REACHED, RUNNING, INTERRUPTED = "not reached", "running", "interrupted"

_LARGEST = 16 << 20  # bytes of a file that are kept, its first


class Summary:
    """The table of the parts, and the archive.

    Args:
        folder: with the files of the parts; those in folders below it are not kept.
        archive: the .tgz file. It is replaced as a whole, so that it is good at any moment.
        head: about the machine and the run.
        parts: their names, each with a description.
    """

    def __init__(
        self, folder: Path, archive: Path, head: dict[str, Any], parts: Mapping[str, str]
    ) -> None:
        self.folder, self.archive, self.head = folder, archive, head
        self.parts: dict[str, dict[str, Any]] = {
            name: {"part": name, "what": what, "state": NOT_REACHED, "seconds": 0.0, "tail": []}
            for name, what in parts.items()
        }

    def set(self, name: str, **found: Any) -> None:
        """Note what is known of a part, and save."""
        self.parts[name].update(found)
        self.save()

    @property
    def passed(self) -> bool:
        """Whether every part passed."""
        return all(part["state"] == PASSED for part in self.parts.values())

    def text(self) -> str:
        """A line for each part, with the last lines of those that did not pass."""
        lines = [f"{key}: {value}" for key, value in self.head.items() if key != "packages"]
        for part in self.parts.values():
            lines.append(f"{part['part']:12} {part['seconds']:6.1f} s  {part['state']}")
            if reason := part.get("reason"):
                lines[-1] += f": {reason}"
            if counts := part.get("tests"):
                lines[-1] += "  " + ", ".join(f"{counts[key]} {key}" for key in counts)
            if part["state"] != PASSED:
                lines += [f"    {line}" for line in part["tail"]]
        return "\n".join(lines) + "\n"

    def save(self) -> bool:
        """Replace the archive by one with all that is there now.

        Where that is not possible, say why, leave the old archive and return False: the next time
        may succeed.
        """
        temporary = self.archive.with_name(f"{self.archive.name}.tmp")
        try:
            record = {**self.head, "parts": list(self.parts.values())}
            (self.folder / "summary.json").write_text(json.dumps(record, indent=1) + "\n")
            (self.folder / "summary.txt").write_text(self.text())
            with temporary.open("wb") as file:
                self._pack(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.archive)
        except OSError as error:
            print(f"{self.archive} cannot be written now: {error}", flush=True)
            return False
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return True

    def _pack(self, file: Any) -> None:
        name = self.archive.name.partition(".")[0]
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for path in sorted(self.folder.iterdir()):
                # A part that runs may remove a file, or write more to it.
                with contextlib.suppress(FileNotFoundError):
                    if path.is_file():
                        info = tar.gettarinfo(path, f"{name}/{path.name}")
                        info.size = min(info.size, _LARGEST)
                        with path.open("rb") as source:
                            tar.addfile(info, source)
