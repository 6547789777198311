"""A group of commands that suggests the right command for a mistyped one."""

from __future__ import annotations

import click

from gpucnn.errors import similar


class UnknownCommand(click.UsageError):
    """There is no such command; `hint` is a command to type."""

    def __init__(self, message: str, hint: str, ctx: click.Context) -> None:
        super().__init__(message, ctx)
        self.hint = hint


class Group(click.Group):
    """`click.Group` with an error that suggests a command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, path = args[0], ctx.command_path
        if name in self.list_commands(ctx) or name.startswith("-"):
            return super().resolve_command(ctx, args)
        names = self.list_commands(ctx)
        close = similar(names, name)
        hint = f"see {path} --help"
        if name == "help" and args[1:] and args[1] in names:
            hint = f"did you mean {path} {args[1]} --help?"
        elif close:
            hint = f"did you mean {path} {close}? {hint}"
        raise UnknownCommand(f"{path} has no command {name!r}", hint, ctx)
