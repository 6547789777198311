"""The notebook of the examples, from the neuron to LeNet.

python tests/notebook.py --write    puts the scripts together, in the order of examples/README.md

The scripts are in jupytext's percent format. The notebook is kept without outputs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOK = EXAMPLES / "from_neuron_to_lenet.ipynb"
_HEAD = """# From a neuron to LeNet

The examples one after the other. Run the cells in their order: each script begins by itself, and
ends in checks of its results.

To train on MNIST in place of the small digits that come with gpucnn, run
`%env GPUCNN_DATA=mnist` in a cell of your own first."""


def scripts() -> list[Path]:
    """The examples, in the order of examples/README.md."""
    names = re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text())
    return [EXAMPLES / name for name in names]


def text() -> str:
    """The notebook as the text of its file."""
    cells: list[Any] = [nbformat.v4.new_markdown_cell(_HEAD)]
    for script in scripts():
        for cell in jupytext.read(script).cells:
            if cell.cell_type == "markdown":
                # The title of a script is a chapter of the notebook.
                cells.append(nbformat.v4.new_markdown_cell(re.sub(r"^# ", "## ", cell.source)))
            else:
                cells.append(nbformat.v4.new_code_cell(cell.source))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same in every run
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    NOTEBOOK.write_text(text())
