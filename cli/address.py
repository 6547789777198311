"""The port and the address of commands that serve a page, and how they end."""

from __future__ import annotations

import contextlib
import webbrowser
from collections.abc import Callable

import click

from gpucnn.cli.output import Console
from gpucnn.web import USUAL_PORT

PORT = click.IntRange(0, 65535)
ANY_PORT = f"0 for any that is free [{USUAL_PORT}, or one that is free]"


def run_server(run: Callable[[], object], address: str, open_: bool, console: Console) -> None:
    """Tell the address, and run until Ctrl-C or SIGTERM: both raise KeyboardInterrupt.

    Args:
        run: serves until then.
        open_: whether to open the address in a browser.
    """
    with contextlib.suppress(KeyboardInterrupt):
        console.result(address)
        console.event({"event": "serving", "address": address})
        console.note("Ctrl-C ends the server")
        if open_:
            webbrowser.open(address)
        run()
    console.note("", "the server has ended")  # below the ^C of the terminal
