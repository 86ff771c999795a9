"""One line per decision for the operator, written off the path of the call.

A call only leaves its line here; a task of its own writes what has come together a few times a second, in a thread,
since a terminal or pipe that nobody reads would else hold up every call. Lines beyond the bound are counted, not kept:
the record is the audit store, this is for watching. No line holds an argument, a result or a credential.
"""

import json
import os
import select
from collections.abc import Callable
from datetime import UTC
from typing import TextIO

import anyio
import anyio.to_thread
import orjson

from gateway.core.audit.body import shown_place
from gateway.core.call import Call
from gateway.core.decision import Decision, Effect
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent
from gateway.core.principal import DEFAULT_TENANT, TIER_NAMES
from gateway.telemetry.logging import is_coloured

__all__ = ["DecisionLines"]

FLUSH_S = 0.1
"""Lines of so long are written together; a person watching does not notice it."""

LINES_KEPT = 10_000
"""A second's worth at full load; what comes while the reader is stuck beyond that is only counted."""

UNREAD_S = 0.5
"""For a reader to take a page; after that the rest of what was written together is dropped."""

COLOURS = {Effect.ALLOW: "32", Effect.ESCALATE: "33", Effect.DENY: "31"}


class DecisionLines:
    """Collects lines and writes them to `stream`: for people on a terminal, JSON elsewhere, or as `text` says."""

    def __init__(self, stream: TextIO, *, colours: bool | None = None, text: bool | None = None) -> None:
        self._stream = stream
        for_people = stream.isatty() if text is None else text
        self._for_people = for_people
        self._render: Callable[[tuple[object, ...]], str] = _plain if for_people else _json
        if for_people and colours is not False and is_coloured(stream):
            self._render = _coloured
        self._waiting: list[tuple[object, ...]] = []
        self._lost = 0
        self._come = anyio.Event()

    def note(
        self, call: Call, intent: Intent, decision: Decision, facts: Facts, intent_id: str, *, trace: str = ""
    ) -> None:
        """Leave the line of one decision; never waits. `trace` is the id of the trace it belongs to, if any."""
        if len(self._waiting) >= LINES_KEPT:
            self._lost += 1
            return
        self._waiting.append(
            (
                facts.now,
                decision.effect,
                *shown_place(call),
                facts.principal.tenant,
                facts.principal.agent,
                TIER_NAMES[facts.tier],
                intent.risk,
                decision.reason,
                decision.rule,
                intent_id,
                trace,
            )
        )
        self._come.set()

    async def run(self) -> None:
        """Write what comes until cancelled, and then what is left."""
        try:
            while True:
                await self._come.wait()
                await anyio.sleep(FLUSH_S)
                await self._write()
        finally:
            with anyio.move_on_after(1, shield=True):
                await self._write()

    async def _write(self) -> None:
        self._come = anyio.Event()
        lines, self._waiting = self._waiting, []
        lost, self._lost = self._lost, 0
        text = "".join([self._render(line) for line in lines])
        if lost:
            told = f"{lost} more decisions were not shown: nobody read their lines; the audit store has them"
            text += f"{told if self._for_people else _lost(told, lines[-1][0])}\n"
        if text:
            await anyio.to_thread.run_sync(_put, self._stream, text, abandon_on_cancel=True)


def _put(stream: TextIO, text: str) -> None:
    try:
        if hasattr(select, "poll") and _is_file(stream):
            _put_in_time(stream.fileno(), text.encode("utf-8", "replace"))
        else:
            stream.write(text)
            stream.flush()
    except (OSError, ValueError):
        return  # the reader is gone; decisions do not depend on it


def _is_file(stream: TextIO) -> bool:
    try:
        return stream.fileno() >= 0
    except OSError:
        return False


def _put_in_time(handle: int, data: bytes) -> None:
    """Write what fits while somebody reads; a write that waits for ever would keep the process from ending."""
    poll = select.poll()
    poll.register(handle, select.POLLOUT)
    while data and poll.poll(UNREAD_S * 1000):
        data = data[os.write(handle, data[: select.PIPE_BUF]) :]


NAMES = (
    "timestamp",
    "effect",
    "upstream",
    "target",
    "tenant",
    "agent",
    "tier",
    "risk",
    "reason",
    "rule",
    "intent",
    "trace",
)


def _json(line: tuple[object, ...]) -> str:
    """Return one line of ASCII: what JSON leaves as it is (C1 controls, U+2028) ends lines and moves cursors too."""
    # Most gateways make no traces: the last name is left out where there is none.
    raw = orjson.dumps(dict(zip(NAMES, line if line[-1] else line[:-1], strict=False)), option=orjson.OPT_UTC_Z)
    return (raw.decode() if raw.isascii() else json.dumps(orjson.loads(raw), separators=(",", ":"))) + "\n"


def _lost(told: str, at: object) -> str:
    """Return it as a line of the log, so that a log in JSON has no line that is none."""
    line = {"event": told, "level": "warning", "logger": __name__, "timestamp": at}
    return orjson.dumps(line, option=orjson.OPT_UTC_Z).decode()


def _plain(line: tuple[object, ...]) -> str:
    now, effect, upstream, target, tenant, agent, _, risk, reason, rule, intent_id, trace = line
    moment = now.astimezone(UTC).strftime("%H:%M:%S")  # type: ignore[attr-defined]
    shown = _printable(f"{upstream} {target}")
    who = _printable(str(agent) if tenant == DEFAULT_TENANT else f"{tenant}/{agent}")
    traced = f"  trace {trace}" if trace else ""
    return f"{moment} {effect:<8} {shown}  {rule or reason}  risk {risk}  {who}  {intent_id}{traced}\n"


def _coloured(line: tuple[object, ...]) -> str:
    colour = COLOURS[line[1]]  # type: ignore[index]
    return f"\x1b[{colour}m{_plain(line)[:-1]}\x1b[0m\n"


def _printable(text: str) -> str:
    """Return the text with everything that could move a cursor or forge a line made visible."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
