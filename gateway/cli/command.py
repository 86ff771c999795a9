"""What every command is made of: the group it stands in, the words that groups share, the options that say where.

Owns the one word for each act and the slips that are understood, and how a command gets a `Where` or a `Place` out of
`--tenant`, `--data`, `--state` and `--config`. The options themselves are in `options.py`.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final

import typer
from typer.core import TyperGroup

from gateway.cli import options
from gateway.cli.exits import Exit
from gateway.cli.options import Place, Where
from gateway.cli.wording import reword
from gateway.core.principal import DEFAULT_TENANT
from gateway.errors import RequestError

__all__ = ["SAME", "Group", "group", "placed"]

SAME: Final = (
    ("list", "ls"),
    ("show", "get"),
    ("create", "register", "add", "new"),
    ("remove", "rm", "delete"),
    ("deny", "reject"),
)
"""Words for one act. A group has one of them and shows it; the others mean the same there, and are in no list."""

_PYDANTIC: Final = "Value error, "
"""How Typer begins what its converter says of a value; nobody needs to know the converter."""

MAX_TOLD: Final = 3
"""Groups that are named to who left the group out; `intended list` could mean any."""


class Group(TyperGroup):
    """Commands that are found under any word for the act, and in the group where they stand if this is another one."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of this name, or of the name that this group has for the same act."""
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        same = (one for words in SAME if cmd_name in words for one in words)
        return next((self.commands[one] for one in same if one in self.commands), None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command under its own name, so that its usage and its errors show that one."""
        if self.get_command(ctx, args[0]) is None:
            elsewhere = [f"'{ctx.command_path} {path} {args[0]}'" for path in _groups_with(self, args[0])]
            if 0 < len(elsewhere) <= MAX_TOLD:
                ctx.fail(f"No such command '{args[0]}'. Did you mean {' or '.join(elsewhere)}?")
        name, command, rest = super().resolve_command(ctx, args)
        return (name if command is None else command.name), command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what a gateway refuses is said in the words of the command line."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix(_PYDANTIC)
            raise
        except BrokenPipeError:
            raise typer.Exit(Exit.UNREAD) from None  # `| head -1`: nobody reads on, and nothing went wrong
        except RequestError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            if command is not None and not isinstance(command, TyperGroup):
                group, lists = ctx.command_path, "list" in self.commands
                typed = f"{group} {command.name}"
                reword(error, command=typed, group=group, parameters=command.params, lists=lists)
            raise


def _groups_with(above: TyperGroup, word: str, path: str = "") -> Iterator[str]:
    """Yield the groups below this one that have a command of that very name: whoever left the group out means it."""
    for name, below in above.commands.items():
        if isinstance(below, TyperGroup):
            here = f"{path} {name}".strip()
            if word in below.commands:
                yield here
            yield from _groups_with(below, word, here)


def group(text: str, *, acts_alone: bool = False) -> typer.Typer:
    """Return a group of commands. Without one of them it shows its help, or does what its callback does."""
    return typer.Typer(cls=Group, help=text, no_args_is_help=not acts_alone, rich_markup_mode=None)


_WHERE: Final = (("data", options.Data), ("state", options.State), ("config", options.Config))


def placed(act: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--data`, `--state` and `--config`, and hand them over as its parameter of the type `Where`.

    For a parameter of the type `Place` there is `--tenant`, too. They stand behind the command's own options in its
    help, and before `--output`, on every command alike.
    """
    own = inspect.signature(act, eval_str=True).parameters.values()
    [(taken, kind)] = [(one.name, one.annotation) for one in own if one.annotation in (Where, Place)]
    shared = [_option(name, annotation, None) for name, annotation in _WHERE]
    if kind is Place:
        shared.insert(0, _option("tenant", options.Tenant, DEFAULT_TENANT))
    rest = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own if one.name != taken]
    last = [one for one in rest if one.name == "output"]
    parameters = [*(one for one in rest if one.name != "output"), *shared, *last]

    def command(**given: Any) -> None:
        where = {one.name: given.pop(one.name) for one in shared}
        act(**given, **{taken: kind(**where)})

    command.__name__, command.__doc__ = act.__name__, act.__doc__
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Typer reads it
    return command


def _option(name: str, annotation: Any, default: str | None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
