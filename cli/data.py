"""gpucnn data list | fetch | verify | path"""

from __future__ import annotations

import click

from gpucnn.cli.completion import offer
from gpucnn.cli.downloads import DownloadProgress
from gpucnn.cli.group import Group
from gpucnn.cli.output import Console, output_options
from gpucnn.data import sources

_DATA_DIR = click.option(
    "--data-dir",
    help="look in this folder only [the cache directory]",
    shell_complete=offer(files=True),
)
_NAME = click.argument("name", shell_complete=offer(*sources.SOURCES))


@click.group("data", cls=Group)
def command() -> None:
    """List, download and verify data sets."""


@command.command("list")
@_DATA_DIR
@output_options
def list_(data_dir: str | None, console: Console) -> None:
    """List the data sets, and whether their files are here."""
    for name, source in sources.SOURCES.items():
        folder, missing = sources.path(name, data_dir), sources.missing(name, data_dir)
        state = f"in {folder}" if not missing else f"not here: gpucnn data fetch {name}"
        console.event(
            {
                "event": "data",
                "name": name,
                "description": source.description,
                "path": str(folder),
                "missing": missing,
            }
        )
        console.result(f"{name}: {source.description}; {state}")
    digits = "1,797 handwritten digits, scaled to 28x28 (Alpaydin and Kaynak, 1998)"
    console.event(
        {"event": "data", "name": "digits", "description": digits, "path": None, "missing": []}
    )
    console.result(f"digits: {digits}; part of gpucnn")
    console.event({"event": "end"})


@command.command()
@_NAME
@_DATA_DIR
@output_options
def fetch(name: str, data_dir: str | None, console: Console) -> None:
    """Download the missing or damaged files of data set NAME."""
    with DownloadProgress(console):
        folder = sources.fetch(name, data_dir)
    console.event({"event": "end", "name": name, "path": str(folder)})
    console.result(str(folder))


@command.command()
@_NAME
@_DATA_DIR
@output_options
def verify(name: str, data_dir: str | None, console: Console) -> None:
    """Check the files of data set NAME against their SHA-256.

    The exit code is 4 if a file is missing or damaged.
    """
    for report in sources.verify(name, data_dir):
        console.event(
            {
                "event": "file",
                "file": str(report.path),
                "bytes": report.size,
                "verified": report.verified,
            }
        )
        state = "verified" if report.verified else "readable; the hash of this form is not known"
        console.result(f"{report.path}: {report.size:,} bytes, {state}")
    console.event({"event": "end"})


@command.command()
@_NAME
@_DATA_DIR
@output_options
def path(name: str, data_dir: str | None, console: Console) -> None:
    """Print the folder for the files of data set NAME."""
    folder = sources.path(name, data_dir)
    console.event({"event": "end", "name": name, "path": str(folder)})
    console.result(str(folder))
