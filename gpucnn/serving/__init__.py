"""A trained model as a server: predictions over HTTP, and a page to draw on.

The extra `serve` installs Starlette and uvicorn, which the modules of this package import.
"""

from __future__ import annotations

import importlib.util

from gpucnn.errors import MissingExtraError

BATCH_SIZE = 32  # images of several requests that are computed together at most
_NEEDED = {
    "starlette": "Starlette", "uvicorn": "uvicorn", "httptools": "httptools",
    "python_multipart": "python-multipart", "PIL": "Pillow",
}  # fmt: skip


def require() -> None:
    """Check that the extra `serve` is installed.

    Raises:
        MissingExtraError: a package of it is not.
    """
    for module, name in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(
                f"gpucnn serve needs {name}, which is not installed",
                fix='pip install "gpucnn[serve]"',
            )
