"""What a gateway refuses, in the words of the command line: options for fields, and the command that helps.

Owns the translation, at the one place where a command's refusal passes (`command.Group`). A field is the option or the
argument that has its name; `_FIELDS` has the others.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.errors import NotFound, RequestError

__all__ = ["reword", "spoken_place"]

_FIELDS: Final = {
    "lease": "--for, --uses, --let",
    "lease.constraints": "--let",
    "lease.minutes": "--for (minutes)",
    "lease.uses": "--uses",
    "overlapSeconds": "--overlap",
    "rationale": "--reason",
    "tiers": "TIER=ALLOW:DENY",
    "ceiling": "TIER",
    "enabled": "--enable/--disable",
}
"""Fields of a request whose option has another name."""

_NOT_FIELDS: Final = frozenset({"data", "state", "config", "output", "help"})
"""Options that say where and how, and are in no request."""

_FIELD: Final = re.compile(r"(?P<before>^|; )(?P<path>[A-Za-z]\w*(?:\.[^:;]*)?): ")
_LINE: Final = "\n       "
"""Between two problems: the second stands below the first, behind `error: `."""

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def reword(error: RequestError, *, command: str, group: str, parameters: Iterable[Any], lists: bool) -> None:
    """Let an error name the options of the command that was typed, and say where to look.

    `command` and `group` are as they were typed (`intended keys create`), `parameters` the command's own, and `lists`
    says that its group has a `list`.
    """
    known = _names(parameters)
    text = str(error)
    said = _FIELD.sub(lambda found: _spoken(found, known), text)
    if said != text:
        error.args = (said,)
        if not getattr(error, "__notes__", ()):  # else the command says it better itself
            error.add_note(f"fix: see `{command} --help`")
    elif isinstance(error, NotFound) and lists and ";" not in text:  # else it says what to do itself
        error.add_note(f"fix: `{group} list` shows those that there are")


def spoken_place(pointer: str) -> str:
    """Return a JSON pointer within the arguments as it is typed: `args.to[0].name` for `/to/0/name`."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    return "args" + "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps)


def _names(parameters: Iterable[Any]) -> dict[str, str]:
    """Return what each parameter is called on the command line, by its name and, of a list, by the plural."""
    found: dict[str, str] = {}
    for one in parameters:
        if one.name in _NOT_FIELDS:
            continue
        is_option = one.param_type_name == "option"
        called = max(one.opts, key=len) if is_option else (one.metavar or one.name.upper()).rstrip(".")
        found[one.name] = found[f"{one.name}s"] = called
    return found


def _spoken(found: re.Match[str], known: Mapping[str, str]) -> str:
    """Return the beginning of one problem with the longest part of its path that has a name here."""
    parts = found["path"].split(".")
    for count in range(len(parts), 0, -1):
        head, rest = ".".join(parts[:count]), ".".join(parts[count:])
        name = _FIELDS.get(head) or known.get(_HUMP.sub("_", head).lower())
        if name:
            return f"{_LINE if found['before'] else ''}{name}{_within(rest)}: "
    return found[0]


def _within(rest: str) -> str:
    """Return the rest of a path: a place in the arguments, which one of a repeated option, or a part of its value."""
    if rest.isdecimal():
        return f" (number {int(rest) + 1})"
    told = spoken_place(rest) if rest.startswith("/") else rest
    return f" {told}" if told else ""
