"""The packages onnx and onnxruntime, which the extra `onnx` installs."""

from __future__ import annotations

from gpucnn import extras


def require(call: str, package: str = "onnx") -> None:
    """Import a package of the extra; to be called before the work.

    Args:
        call: what needs it, for the message: "--check".

    Raises:
        MissingExtraError: it is not installed, or cannot be imported.
    """
    extras.require(call, f"the package {package}", package, "onnx")
