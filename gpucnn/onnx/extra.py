"""The packages onnx and onnxruntime, which the extra `onnx` installs."""

from __future__ import annotations

import importlib.util

from gpucnn.errors import MissingExtraError


def require(call: str, package: str = "onnx") -> None:
    """Check that a package of the extra is installed; to be called before the work.

    Args:
        call: what needs it, for the message: "--check".

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(
            f"{call} needs the package {package}, which is not installed",
            fix='pip install "gpucnn[onnx]"',
        )
