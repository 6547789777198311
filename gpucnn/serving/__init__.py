"""A trained model as a server: predictions over HTTP, and a page to draw on.

The extra `serve` installs Starlette and uvicorn, which the modules of this package import.
"""

from __future__ import annotations

from gpucnn import extras

BATCH_SIZE = 32  # images of several requests that are computed together at most
_NEEDED = {
    "starlette": "Starlette", "uvicorn": "uvicorn", "httptools": "httptools",
    "python_multipart": "python-multipart", "PIL.Image": "Pillow",
}  # fmt: skip


def require() -> None:
    """Import the packages of the extra `serve`.

    Raises:
        MissingExtraError: one is not installed, or cannot be imported.
    """
    for module, name in _NEEDED.items():
        extras.require("gpucnn serve", name, module, "serve")
