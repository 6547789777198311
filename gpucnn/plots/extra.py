"""Matplotlib, which the extra `plot` installs."""

from __future__ import annotations

from gpucnn import extras


def require(call: str) -> None:
    """Import Matplotlib; to be called before a picture's data is measured.

    Args:
        call: what needs it, for the message: "show_image".

    Raises:
        MissingExtraError: it is not installed, or cannot be imported.
    """
    extras.require(call, "Matplotlib", "matplotlib.figure", "plot")
