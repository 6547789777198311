"""Matplotlib, which the extra `plot` installs."""

from __future__ import annotations

import importlib.util

from gpucnn.errors import MissingExtraError


def require(call: str) -> None:
    """Check that Matplotlib is installed; to be called before a picture's data is measured.

    Args:
        call: what needs it, for the message: "show_image".

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError(
            f"{call} needs Matplotlib, which is not installed", fix='pip install "gpucnn[plot]"'
        )
