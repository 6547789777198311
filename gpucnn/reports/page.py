"""The report of runs as one page of HTML, with its style and its pictures inside of it."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from typing import Any

import gpucnn
from gpucnn import plots, web
from gpucnn.errors import DataError, GpucnnError, UsageError
from gpucnn.reports.examined import Examined, Sources
from gpucnn.reports.markup import brief, escaped, figure, missing, notice, paragraph, table
from gpucnn.reports.sections import SECTIONS, Section
from gpucnn.training import Run
from gpucnn.training.grid import word
from gpucnn.training.history import best_epoch

Progress = Callable[[str, GpucnnError | None], None]


def report(
    runs: Sequence[str | os.PathLike[str] | Run],
    *,
    weights: str | None = None,
    data: str | None = None,
    data_dir: str | None = None,
    device: str = "cpu",
    trust_code: bool = False,
    progress: Progress = lambda title, error: None,
) -> str:
    """A page on one run, or on several side by side.

    It needs no network and no script. A part that cannot be made, as without the data of the run,
    is replaced by the reason.

    Args:
        runs: directories of runs.
        weights, device, trust_code: see `SavedModel.load`.
        data, data_dir: where the data lie now; see `SavedModel.dataset`.
        progress: called after each section of a run, with its title and the error, or None.

    Raises:
        UsageError: no run is given, or the same one twice.
        DataError: there is no run in a directory.
    """
    if isinstance(runs, (str, os.PathLike, Run)):
        runs = [runs]
    sources = Sources(weights, data, data_dir, device, trust_code)
    views = [Examined(run, sources) for run in runs]
    places = [os.path.realpath(view.run.path) for view in views]
    if not views or len(set(places)) < len(places):
        raise UsageError(
            "the same run is given twice" if views else "there is no run to report on",
            fix="give one run, or several different ones",
        )
    if len({view.name for view in views}) < len(views):
        for view in views:
            view.name = str(view.run.path)
    return _page(views, list(_parts(views, progress)))


def _parts(views: Sequence[Examined], progress: Progress) -> Iterable[tuple[str, str, str]]:
    """(name of the anchor, title, markup) of all sections."""
    attempt = _Attempts(progress)
    yield "results", "Results", _results(views)
    if len(views) > 1:
        yield "differences", "Differences", attempt("Differences", lambda: _differences(views))
    yield "curves", "Learning curves", attempt("Learning curves", lambda: _curves(views))
    for section in SECTIONS:
        found = [_of_run(section, view, len(views) > 1, attempt) for view in views]
        yield section.name, section.title, f'<div class="runs">{"".join(found)}</div>'


def _of_run(section: Section, view: Examined, named: bool, attempt: _Attempts) -> str:
    title = f"{section.title} of {view.name}" if named else section.title
    heading = f"<h3>{escaped(view.name)}</h3>" if named else ""
    return f"<div>{heading}{attempt(title, lambda: section.build(view))}</div>"


class _Attempts:
    """Makes parts of the page; an error takes the place of a part that cannot be made."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._shown: dict[GpucnnError, str] = {}  # error -> the part where the page shows it

    def __call__(self, title: str, build: Callable[[], str]) -> str:
        try:
            markup = build()
        except GpucnnError as error:
            error.cause = error.cause and brief(error.cause)
            self._progress(title, error)
            if error in self._shown:
                return paragraph(f"Not here, for the reason given at {self._shown[error]}.", "note")
            self._shown[error] = title
            return missing(error)
        self._progress(title, None)
        return markup


def _results(views: Sequence[Examined]) -> str:
    columns = [_facts(view) for view in views]
    keys = list(dict.fromkeys(key for column in columns for key in column))
    used = [key for key in keys if any(column.get(key, "-") != "-" for column in columns)]
    rows = [[key, *(column.get(key, "-") for column in columns)] for key in used]
    notices = "".join(_bad_end(view, len(views) > 1) for view in views)
    return notices + table(["", *(view.name for view in views)], rows)


def _bad_end(view: Examined, named: bool) -> str:
    """A notice on a run that diverged, is damaged or broken; nothing on another."""
    row = view.summary
    name = view.name if named else "The run"
    if row.problem is None:
        return ""
    if row.state != "diverged":
        return notice(f"{name} is {row.state}: {row.problem}.")
    lines = [f"{name} diverged: {row.problem}."]
    if cause := view.run.outcome().get("cause"):
        lines.append(f"Cause: {cause}")
    with contextlib.suppress(GpucnnError):  # the sections of the model say why it is not there
        epoch = view.saved.description.epoch
        place = f"of epoch {epoch}" if epoch else "untrained: they are those before the first epoch"
        lines.append(f"Its weights, which this page shows and evaluates, are {place}.")
    return notice(*lines)


def _facts(view: Examined) -> dict[str, str]:
    """The results of a run, by name."""
    row, records = view.summary, view.records
    last = records[-1] if records else {}
    best = best_epoch(records)
    state = row.state if row.reason in (None, row.state) else f"{row.state} ({row.reason})"
    return {
        "model": row.model or "-",
        "data": row.data or "-",
        "state": state,
        "epochs": "-" if row.epochs is None else f"{row.epochs} of {row.planned}",
        "test accuracy, last epoch": _number(last.get("test_accuracy"), ".2%"),
        "test loss, last epoch": _loss(last.get("test_loss")),
        "validation accuracy, last epoch": _number(last.get("val_accuracy"), ".2%"),
        "validation loss, last epoch": _loss(last.get("val_loss")),
        "best validation accuracy": _number(row.val_accuracy, ".2%")
        + (f" (epoch {best})" if best else ""),
        "training accuracy, last epoch": _number(last.get("accuracy"), ".2%"),
        "training loss, last epoch": _loss(last.get("loss")),
        "time": "-" if row.seconds is None else f"{row.seconds:,.1f} s",
        "images/s, last epoch": _number(last.get("images_per_second"), ",.0f"),
        "begun": "-" if row.date is None else f"{row.date:%Y-%m-%d %H:%M}",
    }


def _loss(value: Any) -> str:
    return _number(value, ".3e" if isinstance(value, (int, float)) and abs(value) >= 1e4 else ".4f")


def _number(value: Any, form: str) -> str:
    """A number in this form; "-" if it is none, as in a damaged record."""
    return format(value, form) if isinstance(value, (int, float)) else "-"


def _differences(views: Sequence[Examined]) -> str:
    """The options of the runs that are not equal."""
    columns = [view.config.as_dict() for view in views]
    rows = []
    for key in columns[0]:
        values = ["-" if column[key] is None else word(column[key]) for column in columns]
        if len(set(values)) > 1:
            rows.append([key, *values])
    if not rows:
        return paragraph("All options are equal.")
    return table(["option", *(view.name for view in views)], rows)


def _curves(views: Sequence[Examined]) -> str:
    without = [view for view in views if not view.records]
    if len(without) == len(views):
        raise DataError("there is no epoch to draw", cause="; ".join(map(_why_no_epoch, without)))
    if len(views) == 1:
        picture = plots.show_curves(views[0].records)
        return figure(picture, "Loss, accuracy and learning rate by epoch.")
    records = {view.name: view.records for view in views}
    caption = "Solid: validation. Dashed: training. Star: test."
    drawn = figure(plots.show_curves(records), "Loss and accuracy of the runs by epoch.", caption)
    return drawn + "".join(paragraph(f"No curve: {_why_no_epoch(view)}.") for view in without)


def _why_no_epoch(view: Examined) -> str:
    """The reason why a run has no record of an epoch."""
    row = view.summary
    reason = {
        "diverged": "diverged in its first epoch",
        "interrupted": "was interrupted in its first epoch",
        "running": "has not finished its first epoch",
        "waiting": "has not begun",
    }.get(row.state, f"is {row.state}: {row.problem}" if row.problem else "has no record of one")
    return f"{view.name} {reason}"


def _page(views: Sequence[Examined], parts: Sequence[tuple[str, str, str]]) -> str:
    title = " and ".join(view.name for view in views)
    style = resources.files("gpucnn.reports").joinpath("data", "report.css").read_text("utf-8")
    policy = f"default-src 'none'; style-src {web.source(style)}; img-src data:; base-uri 'none'"
    links = "".join(f'<li><a href="#{name}">{escaped(text)}</a></li>' for name, text, _ in parts)
    sections = "\n".join(
        f'<section id="{name}" aria-labelledby="{name}-title">\n'
        f'<h2 id="{name}-title">{escaped(text)}</h2>\n{markup}\n</section>'
        for name, text, markup in parts
    )
    now = datetime.datetime.now().astimezone()
    places = ", ".join(str(view.run.path) for view in views)
    body = f"""<header>
<h1>{escaped(title)}</h1>
<p>{escaped(places)}; made by gpucnn {escaped(gpucnn.__version__)} on {now:%Y-%m-%d %H:%M}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{sections}
</main>
"""
    return web.document(f"{escaped(title)}: gpucnn report", style, body, policy)
