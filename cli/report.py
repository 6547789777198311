"""gpucnn report"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gpucnn.cli.completion import offer, offer_runs
from gpucnn.cli.downloads import DownloadProgress
from gpucnn.cli.options import device_option
from gpucnn.cli.output import Console, output_options
from gpucnn.cli.output_paths import PAGE, check_target
from gpucnn.data import NAMES
from gpucnn.errors import GpucnnError
from gpucnn.reports import report
from gpucnn.training import Run
from gpucnn.writing import write_atomic

_FILE = "report.html"


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=offer_runs)
@click.option(
    "--output",
    "-o",
    metavar="FILE.html",
    type=Path,
    help=f"the page [{_FILE} in RUN; of several runs, in this folder]",
    shell_complete=offer(files=True),
)
@click.option(
    "--weights",
    type=click.Choice(["last", "best"]),
    help="which weights of each RUN [best if it had --patience, else last]",
)
@click.option(
    "--data",
    help="where the data are now [what each RUN was trained on]",
    shell_complete=offer(*NAMES, files=True),
)
@click.option(
    "--data-dir", help="look for the data set in this folder only", shell_complete=offer(files=True)
)
@device_option
@click.option("--trust-code", is_flag=True, help="run the model's code that RUN keeps")
@output_options
def command(
    runs: tuple[str, ...], output: Path | None, device: str, console: Console, **sources: Any
) -> None:
    """Write a page of HTML on RUN, or on several runs side by side.

    It shows curves, confusion matrix, the images that the model gets wrong, filters, options and
    more. The page is one file, and needs no network. A part that cannot be made, as without the
    data, is replaced by the reason.
    """
    opened = [Run.open(run) for run in runs]
    if output is None:
        output = opened[0].path / _FILE if len(opened) == 1 else Path(_FILE)
    check_target(output, "-o", *PAGE)
    missing: dict[GpucnnError, list[str]] = {}

    def progress(title: str, error: GpucnnError | None) -> None:
        if error is not None:
            missing.setdefault(error, []).append(title)

    device = console.device(device)
    with DownloadProgress(console):
        page = report(opened, device=device, progress=progress, **sources)
    write_atomic(output, page.encode(), "-o FILE")
    for error, titles in missing.items():
        console.note(f"not in the page: {', '.join(titles)}")
        console.note(*(f"  {line}" for line in str(error).split("\n")))
        console.event({"event": "missing", "sections": titles, **error.as_dict()})
    console.result(f"page: {output}")
    console.event({"event": "end", "file": str(output), "runs": list(runs)})
