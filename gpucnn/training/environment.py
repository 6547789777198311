"""The versions, device and settings on which the bits of a training depend."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import gpucnn
from gpucnn.backend import Backend


def describe_environment(backend: Backend) -> dict[str, Any]:
    """The versions, device and settings on which the bits of a run depend, as JSON values."""
    return {
        "gpucnn": gpucnn.__version__,
        "python": platform.python_version(),
        "safetensors": metadata.version("safetensors"),
        "system": platform.platform(),
        **backend.describe(),
    }
