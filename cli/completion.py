"""Completion of the values of options and arguments in a shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from gpucnn.errors import UsageError

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class _OfALine(ShellComplete):
    """The completion of a line that a shell gives in variables of the environment."""

    def get_completion_args(self) -> tuple[list[str], str]:
        try:
            return super().get_completion_args()
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"{self.complete_var} asks for completions, and there is no line to complete",
                cause="a shell gives it in COMP_WORDS and COMP_CWORD",
                fix=f"unset {self.complete_var}",
            ) from error


@add_completion_class
class Zsh(_OfALine, ZshComplete):
    """That of click."""


@add_completion_class
class Fish(_OfALine, FishComplete):
    """That of click."""


@add_completion_class
class BashWithFiles(_OfALine, BashComplete):
    """Names and files together: click's own script drops the names if there are files too."""

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local response completion type value

    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
%(complete_var)s=bash_complete $1)

    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        if [[ $type == 'file' ]]; then
            COMPREPLY+=($(compgen -f -- "$value"))
            compopt -o filenames
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("$value")
        fi
    done
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


def offer(*names: str, files: bool = False) -> Complete:
    """A completion of a value with some names, and perhaps with files and folders."""

    def complete(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
        items = [CompletionItem(name) for name in names if name.startswith(begun)]
        return [*items, CompletionItem(begun, type="file")] if files else items

    return complete


def offer_runs(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """A completion with the runs in runs/, and with files and folders."""
    runs = sorted(str(config.parent) for config in Path().glob("runs/*/config.toml"))
    return offer(*([] if "/" in begun else runs), files=True)(ctx, param, begun)
