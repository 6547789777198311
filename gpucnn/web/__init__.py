"""Pages of gpucnn: the frame of an HTML file, its policy, and how a server answers with it."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

from gpucnn.errors import UsageError, cause_of

Bound = TypeVar("Bound")

LOOPBACK = "127.0.0.1"
USUAL_PORT = 8000


@dataclass(frozen=True)
class Page:
    """A page of package data: style, scripts and data are inside of its HTML.

    Its body is `page.html` in the folder `data` of the package, in the `frame.html` of all pages.
    Its style is `page.css`, after `base.css` of all pages.

    Args:
        package: "gpucnn.explain".
        title: "gpucnn explain".
        scripts: the names of its scripts, in their order.
    """

    package: str
    title: str
    scripts: Sequence[str]

    def html(self, data: Mapping[str, Any]) -> str:
        """The page with its data, which are JSON values."""
        # No "<": a text that holds "</script>" does not end the block.
        values = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
        body = (
            f"{self._file('page.html')}"
            '<p id="live" class="unseen" aria-live="polite"></p>\n'
            f'<script type="application/json" id="data">{values}</script>\n'
            f"<script>{self._script()}</script>\n"
        )
        return document(self.title, self._style(), body, self.policy())

    def policy(self) -> str:
        """The Content-Security-Policy: only the page's own style and script, and its own server."""
        return (
            f"default-src 'none'; style-src {source(self._style())}; "
            f"script-src {source(self._script())}; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
        )

    def _style(self) -> str:
        return _shared("base.css") + self._file("page.css")

    def _file(self, name: str) -> str:
        return _file(self.package, name)

    def _script(self) -> str:
        return '"use strict";\n{\n' + "\n".join(map(self._file, self.scripts)) + "}\n"


def _shared(name: str) -> str:
    return _file("gpucnn.web", name)


def _file(package: str, name: str) -> str:
    return resources.files(package).joinpath("data", name).read_text(encoding="utf-8")


def document(title: str, style: str, body: str, policy: str) -> str:
    """A whole HTML file, which loads nothing from anywhere else.

    Args:
        title: without markup; & and < are escaped already.
        style: CSS.
        body: HTML.
        policy: the Content-Security-Policy, which allows this style by its `source`.
    """
    parts = {"policy": policy, "title": title, "style": style, "body": body}
    return re.sub(r"<!--(\w+)-->", lambda found: parts[found[1]], _shared("frame.html"))


def source(text: str) -> str:
    """The source of a Content-Security-Policy that allows an inline style or script, this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def headers(policy: str) -> dict[str, str]:
    """The headers of every answer: no other site may show, read or keep it."""
    return {
        "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def is_loopback(host: str) -> bool:
    """Whether the header Host names this machine; for another site's name see DNS rebinding."""
    return re.fullmatch(rf"({re.escape(LOOPBACK)}|localhost)(:\d+)?", host.lower()) is not None


def bound(bind: Callable[[int], Bound], port: int | None) -> Bound:
    """The result of `bind` for a port.

    Args:
        port: None for `USUAL_PORT`, or a free one if another program has that; 0 for any.

    Raises:
        UsageError: the port cannot be had.
    """
    try:
        return bind(USUAL_PORT if port is None else port)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        if port is None and in_use:
            return bind(0)
        raise UsageError(
            f"port {USUAL_PORT if port is None else port} cannot be used",
            cause="another program uses it" if in_use else cause_of(error),
            fix="give another --port, or 0 for any that is free",
        ) from error
