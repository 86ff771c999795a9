"""What is left of a budget as lines of text: a row for each account, and one account with what counts into it.

Owns the words, of what REST answers; asks nothing. Times are told as they are, and as how long that still is.
"""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from gateway.cli.output import visible as harmless
from gateway.core.visible import visible

__all__ = ["COLUMNS", "bar", "lines", "row", "wait"]

COLUMNS: Final = {
    "BUDGET": "budget",
    "ACCOUNT": "account",
    "COUNTS": "counts",
    "SPENT": "spent",
    "LIMIT": "limit",
    "LEFT": "left",
    "USED": "used",
    "WINDOW": "window",
    "NEXT BACK": "next",
}

BLOCKS: Final = 10
"""Of a bar: a tenth each."""

DIGEST_CHARS: Final = 12
"""Shown of a digest that stands for a name."""

_EFFECTS: Final = {"ALLOW": "allows up to it", "ESCALATE": "asks a human beyond it", "DENY": "denies beyond it"}
_SPANS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_WINDOWS: Final = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def row(account: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return an account as one row of a table; what is drawn is for a terminal alone, as tables are."""
    back = ""
    if account["nextAt"]:
        back = f"{_number(account['nextAmount'])} at {account['nextAt']} ({wait(account['nextAt'], now)})"
    return {
        "budget": account["budget"],
        "account": _whose(account),
        "counts": account["counts"],
        "spent": _number(account["spent"]),
        "limit": _number(account["limit"]),
        "left": _number(account["left"]),
        "used": _used(account, drawn=sys.stdout.isatty()),
        "window": _window(account["windowSeconds"]),
        "next": back,
    }


def lines(found: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Yield one account and what counts into it."""
    yield from map(harmless, _lines(found, now))


def _lines(found: Mapping[str, Any], now: datetime) -> Iterator[str]:
    counts = "calls" if found["counts"] == "calls" else f"the sum of {visible(found['counts'])}"
    window = _window(found["windowSeconds"])
    yield f"{found['budget']}: {counts} of each {found['per']} within {window}, declared in {_place(found)}"
    yield f"account   {_whose(found)}"
    of = "" if found["limit"] is None else f" of {_number(found['limit'])}, {_number(found['left'])} left"
    yield f"spent     {_number(found['spent'])}{of}  {_used(found)}".rstrip()
    if found["nextAt"]:
        back, clear = found["nextAt"], found["clearAt"]
        yield f"back      {_number(found['nextAmount'])} at {back} ({wait(back, now)})"
        yield f"          all of it by {clear} ({wait(clear, now)}), if nothing more is spent"
    for number, one in enumerate(found["limits"]):
        rule = f"rule {one['rule']} of {one['policySet']}"
        yield f"{'limits' if number == 0 else '':<9} {_number(one['limit'])}: {rule} {_EFFECTS[one['effect']]}"
    if not found["limits"]:
        yield "limits    none that a rule names in a plain form; see the conditions"
    for number, one in enumerate(found["entries"]):
        what = "/".join(visible(one[part]) for part in ("upstream", "tool") if one[part])
        head = "entries" if number == 0 else ""
        entry = f"entry {one['seq']} ({one['entryId']})  {one['at']}  {_number(one['amount'])}"
        yield f"{head:<9} {entry}  {visible(one['agent'])} {what}, until {one['backAt']}"
    if not found["entriesComplete"]:
        yield "          these are the newest; `intended audit export` has them all"


def bar(share: float, *, drawn: bool = True) -> str:
    """Return how much is used in per cent, behind blocks if drawn; what is not all yet is never told as all."""
    percent = int(share * 100)
    if not drawn:
        return f"{percent} %"
    full = min(BLOCKS, percent * BLOCKS // 100)
    return f"{'█' * full}{'░' * (BLOCKS - full)} {percent} %"


def wait(until: str, now: datetime) -> str:
    """Return how long it is until then, in its two largest parts."""
    left = max(0, -int((now - datetime.fromisoformat(until)).total_seconds() // 1))
    parts: list[str] = []
    for size, name in _SPANS:
        count, left = divmod(left, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {name}")
    return f"in {' '.join(parts[:2])}" if parts else "now"


def _used(account: Mapping[str, Any], *, drawn: bool = True) -> str:
    limit = account["limit"]
    if limit is None:
        return ""
    return bar(account["spent"] / limit if limit > 0 else 1.0, drawn=drawn)


def _whose(account: Mapping[str, Any]) -> str:
    name = account["account"]
    if name is None:
        return f"{account['per']} (none has spent any)"
    if account["submitted"]:
        name = f"{visible(name[: DIGEST_CHARS + 1] if name.startswith('#') else name)} (in intents)"
        return f"{account['per']} {name}"
    return f"{account['per']} {visible(name)}"


def _place(found: Mapping[str, Any]) -> str:
    return f"{visible(found['file'])}, line {found['line']}"


def _window(seconds: int) -> str:
    """Return a window as policies write it."""
    size, unit = next((size, unit) for size, unit in _WINDOWS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def _number(value: float | None) -> str:
    """Return a number without a tail of zeros; nothing where there is none."""
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")
