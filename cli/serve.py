"""gpucnn serve"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import click

from gpucnn.cli.address import ANY_PORT, PORT, run_server
from gpucnn.cli.completion import offer
from gpucnn.cli.options import Whole, config_option, device_option, saved_options
from gpucnn.cli.output import Console, output_options
from gpucnn.data import Reading
from gpucnn.serving import BATCH_SIZE, require
from gpucnn.training import SavedModel
from gpucnn.web import LOOPBACK


@click.command()
@saved_options
@click.option(
    "--host",
    default=LOOPBACK,
    help=f"address to listen on [{LOOPBACK}]",
    shell_complete=offer(LOOPBACK, "0.0.0.0"),
)
@click.option("--port", type=PORT, help=ANY_PORT)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="another name of the server, as behind a reverse proxy; may be repeated",
)
@click.option("--open", "open_", is_flag=True, help="open the page in a browser")
@click.option(
    "--batch-size",
    "-b",
    type=Whole(min=1),
    default=BATCH_SIZE,
    help=f"images of several requests that are computed together at most [{BATCH_SIZE}]",
)
@config_option("channels")
@config_option("transpose")
@config_option("convert")
@device_option
@output_options
def command(
    load: Callable[[str], SavedModel],
    host: str,
    port: int | None,
    names: tuple[str, ...],
    open_: bool,
    batch_size: int,
    channels: str | None,
    transpose: bool | None,
    convert: str | None,
    device: str,
    console: Console,
) -> None:
    """Answer requests with RUN: a run directory, or a .safetensors file of one.

    The server has a page to draw a digit on, or to give pictures to. Programs send pictures and
    arrays to /predict; /openapi.json describes it. They are read as by gpucnn predict. Ctrl-C ends
    the server when it has answered all requests.
    """
    require()
    from gpucnn.serving.app import App
    from gpucnn.serving.server import Listener, run

    saved = load(console.device(device))
    console.note(f"weights: {saved.path}, of epoch {saved.description.epoch}")
    reading = Reading(channels=channels, transpose=transpose, convert=convert)
    listener = Listener(host, port, names)
    app = App(saved, reading, batch_size=batch_size, is_own=listener.is_own)
    if not listener.is_loopback:
        console.note("note: other machines can use this server; it asks for no password")
    with contextlib.closing(listener.socket):
        run_server(lambda: run(app, listener), listener.address, open_, console)
