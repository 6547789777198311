"""The optional packages, which the extras of gpucnn install: `pip install "gpucnn[plot]"`."""

from __future__ import annotations

import importlib
import importlib.util

from gpucnn.errors import MissingExtraError


def require(call: str, package: str, modules: str, extra: str, others: str = "") -> None:
    """Import an optional package; to be called before the work that needs it.

    Args:
        call: what needs it, for the message: "show_image".
        package: its name, for the message: "Matplotlib".
        modules: the modules of it that are needed, with spaces between them: "matplotlib.figure".
        extra: the extra of gpucnn that installs it: "plot".
        others: packages to install beside the extra.

    Raises:
        MissingExtraError: it is not installed, or cannot be imported; then the cause says why.
    """
    install = f'"gpucnn[{extra}]" {others}'.rstrip()
    for module in modules.split():
        try:
            is_installed = importlib.util.find_spec(module.partition(".")[0]) is not None
            if is_installed:
                importlib.import_module(module)
        except Exception as error:  # a package may raise anything, as with a NumPy it does not fit
            raise MissingExtraError(
                f"{call} needs {package}, which cannot be imported",
                cause=f"{type(error).__name__}: {error}",
                fix=f"pip install --force-reinstall {install}",
            ) from error
        if not is_installed:
            raise MissingExtraError(
                f"{call} needs {package}, which is not installed", fix=f"pip install {install}"
            )
