"""Parts of a page of HTML. Every text that is given is escaped; the results are markup."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpucnn.errors import GpucnnError
from gpucnn.quoting import on_its_lines

if TYPE_CHECKING:
    from gpucnn.plots import Picture

_FUNCTION = re.compile(r"\bshow_\w+(: )?")


def escaped(text: object) -> str:
    """A text as markup. Characters that are not seen are shown as escapes, as in messages."""
    return html.escape(on_its_lines(str(text)))


def brief(reason: str) -> str:
    """A reason; of a long list, as of pictures that cannot be used, the first line and a count."""
    first, *others = reason.split("\n")
    return f"{first}, and {len(others):,} more" if len(others) > 2 else reason


def paragraph(text: object, kind: str = "") -> str:
    return f"<p{_class(kind)}>{escaped(text)}</p>"


def table(
    header: Sequence[object], rows: Sequence[Sequence[object]], *, words: int = 1, caption: str = ""
) -> str:
    """A table whose first `words` columns hold words, and the others numbers or short values."""

    def cells(values: Sequence[object], tag: str) -> str:
        found = []
        for place, value in enumerate(values):
            attributes = "" if place < words else ' class="number"'
            if tag == "th":
                attributes += ' scope="col"'
            elif place == 0:
                found.append(f'<th scope="row">{escaped(value)}</th>')
                continue
            found.append(f"<{tag}{attributes}>{escaped(value)}</{tag}>")
        return "<tr>" + "".join(found) + "</tr>"

    head = f"<thead>{cells(header, 'th')}</thead>" if header else ""
    body = "".join(cells(row, "td") for row in rows)
    title = f"<caption>{escaped(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{title}{head}<tbody>{body}</tbody></table></div>'


def figure(picture: Picture, alternative: str, caption: str = "") -> str:
    """A picture inside of the page.

    Args:
        alternative: what it shows, for who does not see it.
        caption: below the picture.
    """
    svg = picture.svg()
    points = re.findall(r' (?:width|height)="([0-9.]+)pt"', svg)[:2]
    width, height = (round(float(length) * 96 / 72) for length in points)  # in pixels of CSS
    data = base64.b64encode(svg.encode()).decode()
    below = f"<figcaption>{escaped(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><div class="scroll"><img src="data:image/svg+xml;base64,{data}"'
        f' alt="{escaped(alternative)}" width="{width}" height="{height}"></div>{below}</figure>'
    )


def details(summary: str, markup: str) -> str:
    """Markup that is hidden until its summary is clicked on."""
    return f"<details><summary>{escaped(summary)}</summary>{markup}</details>"


def missing(error: GpucnnError) -> str:
    """The place of something that could not be made, with the reason."""
    # A reader of the page calls no function: "show_curves needs Matplotlib", "show_x: no weights".
    message = _FUNCTION.sub(lambda found: "" if found[1] else "the picture", error.message)
    lines = [f"Not here: {message}."]
    lines += [f"Cause: {error.cause}"] * bool(error.cause) + [f"Fix: {error.fix}"] * bool(error.fix)
    return notice(*lines)


def notice(*lines: str) -> str:
    """Lines that stand out."""
    return f'<div class="notice">{"".join(map(paragraph, lines))}</div>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
