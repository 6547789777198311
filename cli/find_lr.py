"""The search of `gpucnn train --find-lr`."""

from __future__ import annotations

from pathlib import Path

from gpucnn import plots
from gpucnn.cli.output import Console, loss_text
from gpucnn.cli.preparation import prepare
from gpucnn.errors import MissingExtraError
from gpucnn.nn.summary import aligned
from gpucnn.training import LearningRates, TrainConfig, find_learning_rate
from gpucnn.training.code import Code
from gpucnn.training.finder import HIGH, LOW, STEPS
from gpucnn.writing import make_folder, write_atomic

_EVERY = 7  # steps from one line of the table to the next


def find(config: TrainConfig, code: Code | None, console: Console) -> None:
    """Search a learning rate for a training; shows a table, and draws find-lr.png.

    Raises:
        StorageError: the picture cannot be written.
    """
    trainer = prepare(config, code, console)
    if config.weights is not None:
        console.note(trainer.start_from(config.weights))
    console.note(f"trying {STEPS} learning rates from {LOW:g} to {HIGH:g}, one a batch")
    found = find_learning_rate(trainer.model, trainer.data, trainer.config)
    console.result("\n".join([*_table(found), "", _advice(found)]))
    columns = (found.rates.tolist(), found.losses.tolist(), found.smoothed.tolist())
    for rate, loss, smoothed in zip(*columns, strict=True):
        step = {"learning_rate": rate, "loss": loss, "smoothed": smoothed}
        console.event({"event": "step", **step})
    keys = ("suggestion", "lowest", "steepest", "diverged")
    end = {key: getattr(found, key) for key in keys}
    picture = _draw(found, Path(config.runs_dir) / "find-lr.png", console)
    console.event({"event": "end", **end, "picture": picture})


def _table(found: LearningRates) -> list[str]:
    """Some of the steps, a line each."""
    rows = [["learning rate", "loss", "smoothed"]]
    columns = (found.rates, found.losses, found.smoothed)
    for rate, loss, smoothed in zip(*(each[::_EVERY] for each in columns), strict=True):
        rows.append([f"{rate:.2g}", loss_text(loss), loss_text(smoothed)])
    return aligned(rows)


def _advice(found: LearningRates) -> str:
    """The suggestion, and how it was chosen."""
    if found.lowest is None:
        return (
            "no suggestion: the loss did not fall at any learning rate\n"
            "  fix: look at the images and labels, or try another model or --optimizer"
        )
    lines = [
        f"suggestion: --lr {found.suggestion:g}",
        f"  a tenth of {found.lowest:.2g}, where the smoothed loss is lowest,"
        f" {loss_text(found.smoothed.min())}",
    ]
    if found.steepest is not None:
        lines.append(f"  it falls fastest at {found.steepest:.2g}")
    return "\n".join(lines)


def _draw(found: LearningRates, path: Path, console: Console) -> str | None:
    """Draw the search into a file if Matplotlib can be imported; the path of the file."""
    try:
        plots.require("drawing")
    except MissingExtraError as error:
        console.without("picture of the search", error)
        return None
    picture = plots.show_learning_rates(
        found.rates, found.losses, found.smoothed, lowest=found.lowest, suggestion=found.suggestion
    )
    make_folder(path.parent)
    write_atomic(path, picture.png())
    console.note(f"picture: {path}")
    return str(path)
