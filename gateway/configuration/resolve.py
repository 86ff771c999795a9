"""All sources → one `Settings`, with the origin of every value, or every problem at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.configuration.environment import CONFIG_VARIABLE, read_environment
from gateway.configuration.file import read_file
from gateway.configuration.layers import Layer, Origin, merge
from gateway.configuration.shape import root
from gateway.core.policy.document import nearest
from gateway.errors import ConfigurationError, Problem
from gateway.settings import Settings

__all__ = ["API_KEY_VARIABLE", "DEFAULT", "DEFAULT_FILE", "Resolved", "resolve"]

API_KEY_VARIABLE = "INTENDED_API_KEY"
"""The SDK's variable: the key for a remote authority, where one is asked and no other key is set."""

DEFAULT = Origin(source="default")

DEFAULT_FILE = Path("intended.yaml")
"""Read from the working folder where no other file is named and this one exists."""

SHAPE = root(Settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The settings in force. `origins` holds the places that were written; what is missing there is a default."""

    settings: Settings
    origins: Mapping[tuple[str, ...], Origin]
    file: Path | None

    def origin(self, path: Sequence[str]) -> Origin:
        """Return where the value at `path` was written. A section that was written says nothing about what it omits."""
        return self.origins.get(tuple(path), DEFAULT)


def resolve(flags: Layer, *, environ: Mapping[str, str], config: Path | None = None) -> Resolved:
    """Read every source and return what is in force.

    `config` is the file named on the command line; without it the variable `INTENDED_GATEWAY_CONFIG` names one, or
    `intended.yaml` in the working folder is read if it exists.

    Raises:
        ConfigurationError: with every problem of every source.
    """
    file = _file(config, environ)
    from_file, problems = read_file(file, SHAPE) if file is not None else (Layer(), [])
    from_environment, wrong = read_environment(environ, SHAPE)
    problems += wrong
    merged = merge([flags, from_environment, from_file])
    _take_api_key(merged, environ)
    try:
        settings = Settings.model_validate(merged.values)
    except ValidationError as error:
        problems += [_problem(merged, detail) for detail in error.errors(include_url=False, include_input=False)]
    if problems:
        raise ConfigurationError(*problems)
    return Resolved(settings=settings, origins=merged.origins, file=file)


def _take_api_key(merged: Layer, environ: Mapping[str, str]) -> None:
    """Take the key for a remote authority from the variable that clients use, too."""
    key = environ.get(API_KEY_VARIABLE)
    written = merged.values.get("authority")
    if key and isinstance(written, dict) and written.get("url") and not written.keys() & {"key", "key_file"}:
        merged.put(("authority", "key"), key, Origin(source=API_KEY_VARIABLE))


def _file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = environ.get(CONFIG_VARIABLE)
    if config is not None:
        return config
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _nearest(origins: Mapping[tuple[str, ...], Origin], path: tuple[str, ...]) -> Origin | None:
    """Return the origin of the place itself, else of the closest value around it, else of the first inside it."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    return next((origin for written, origin in origins.items() if written[: len(path)] == path), None)


def _problem(merged: Layer, detail: ErrorDetails) -> Problem:
    """Say what pydantic found, at the place where it was written. No value is repeated: it may be secret."""
    path = tuple(str(step) for step in detail["loc"] if step != "[key]")
    origin = _nearest(merged.origins, path) or DEFAULT
    message, remedy = _words(detail, path)
    return Problem(
        source=origin.source,
        line=origin.line,
        column=origin.column,
        field=".".join(path),
        message=message,
        remedy=remedy,
    )


def _words(detail: ErrorDetails, path: tuple[str, ...]) -> tuple[str, str]:
    """Return the sentence and the remedy for one error."""
    if detail["type"] == "extra_forbidden":
        parent = SHAPE.at(path[:-1])
        known = parent.names if parent else ()
        hint = nearest(path[-1], known)
        return f"there is no such setting{hint}", f"correct or remove it; known here: {', '.join(known)}"
    if detail["type"] == "string_pattern_mismatch" and detail["loc"][-1] == "[key]":
        return (
            "an upstream's id is a lower-case letter, then at most 31 lower-case letters, digits or `-`",
            "give this upstream another id",
        )
    message = re.sub(r"^(Value error|Assertion failed), ", "", detail["msg"])
    return message[:1].lower() + message[1:], _remedy(path)


def _remedy(path: tuple[str, ...]) -> str:
    """Say what to do about a value that is not as it must be, from the setting's own description."""
    parent = SHAPE.at(path[:-1])
    field = parent.type.model_fields.get(path[-1]) if parent is not None and parent.names and path else None
    if field is None:
        return "correct the value; `intended schema config` describes every setting"
    description: Any = field.description or ""
    first = description.split("\n\n")[0].replace("\n", " ").strip()
    given = None if field.is_required() else field.get_default(call_default_factory=True)
    written = given.name if isinstance(given, IntEnum) else given  # a tier is T2 in every file, and 2 in none
    if isinstance(given, tuple):
        written = ", ".join(map(str, given)) or None
    default = "" if field.is_required() else f"; the default is {written!s}"
    return f"correct the value, or remove it{default}" + (f" ({first})" if first else "")
