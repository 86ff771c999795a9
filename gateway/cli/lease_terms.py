"""`--for 10m --uses 20 --let args.path=prefix:/srv/data/` → the `lease` member of an approval's answer.

Owns how it is typed. What may be granted is the gateway's to say.
"""

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import typer

from gateway.cli.administration import duration
from gateway.core.leases import Check, pointer

__all__ = ["lease_body"]

_LET: Final = re.compile(r"(?P<place>.+?)=(?P<check>any|equals|oneOf|max|min|prefix)(?::(?P<value>.*))?", re.DOTALL)
_LIKE: Final = re.compile(r"(?P<place>.+?)=(?P<check>[A-Za-z]+)(?::.*)?", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[([0-9]{1,9})\]")
_HELP: Final = "write args.PLACE=CHECK:VALUE, as args.path=prefix:/srv/data/, or args.note=any"


def lease_body(time: str | None, uses: int | None, lets: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the lease that is asked for; None where none is. Raises typer.BadParameter."""
    if time is None and uses is None and not lets:
        return None
    body: dict[str, Any] = {}
    if time is not None:
        span = duration(time, option="--for")
        if span % timedelta(minutes=1):
            raise typer.BadParameter("whole minutes, as 10m", param_hint="--for")
        body["minutes"] = span // timedelta(minutes=1)
    if uses is not None:
        body["uses"] = uses
    constraints: dict[str, dict[str, Any]] = {}
    for let in lets or ():
        place, check, value = _read(let)
        checks = constraints.setdefault(place, {})
        if check in checks:
            raise typer.BadParameter(f"{place} has '{check}' twice", param_hint="--let")
        checks[check] = value
    return {**body, "constraints": constraints} if constraints else body


def _read(let: str) -> tuple[str, str, Any]:
    found = _LET.fullmatch(let)
    if found is None:
        like = _LIKE.fullmatch(let)
        checks = f"; CHECK is {', '.join(Check)}, and not '{like['check']}'" if like else ""
        raise typer.BadParameter(f"{_HELP}{checks}", param_hint="--let")
    place, check, text = _place(found["place"]), Check(found["check"]), found["value"]
    if check is Check.ANY and text is not None:
        message = f"'any' takes no value: write {found['place']}=any, or {found['place']}=equals:VALUE"
        raise typer.BadParameter(message, param_hint="--let")
    if check is not Check.ANY and text is None:
        message = f"'{check}' needs a value: write {found['place']}={check}:VALUE"
        raise typer.BadParameter(message, param_hint="--let")
    return place, check.value, _value(check, text or "")


def _place(text: str) -> str:
    """Return the JSON pointer of `args.to.names[0]`, or of one that is typed."""
    if text.startswith("/"):
        return text
    steps = _steps(text)
    if steps is None:
        meant = f"; a place begins with `args.`: args.{text}" if _steps(f"args.{text}") else ""
        raise typer.BadParameter(f"{_HELP}{meant}", param_hint="--let")
    return pointer(*steps)


def _steps(text: str) -> list[str] | None:
    """Return the steps of `args.to.names[0]`; None where it is not written so, or is all of the arguments."""
    steps = _STEP.findall(text.removeprefix("args"))
    written = "".join(f".{name}" if name else f"[{number}]" for name, number in steps)
    return [name or number for name, number in steps] if steps and text == f"args{written}" else None


def _value(check: Check, text: str) -> Any:
    """Return what a check compares with: a number, JSON where it reads so, else the text itself."""
    if check is Check.ANY:
        return True
    if check is Check.PREFIX:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text.split(",") if check is Check.ONE_OF else text
    if check is Check.ONE_OF and not isinstance(value, list):
        return [value]
    if check in (Check.MAX, Check.MIN) and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise typer.BadParameter(f"'{check}' takes a number, as {check}:500", param_hint="--let")
    return value
