"""Where compiled code is kept from one process to the next."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import platformdirs


def cache_folder(kind: str) -> Path:
    """A folder below $GPUCNN_CACHE_DIR, or below the user's cache; it may not be there yet."""
    given = os.environ.get("GPUCNN_CACHE_DIR")
    root = Path(given) if given else Path(platformdirs.user_cache_dir("gpucnn", appauthor=False))
    return root / kind


def contents(folder: Path) -> str:
    """A cache's folder and what lies there, in words."""
    sizes = []
    with contextlib.suppress(OSError):
        sizes = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    return f"{folder} ({len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB)"
