"""Kill switches: a human's word that an agent, an upstream or a whole tenant does nothing until it is taken back.

Owns the value, its row, and what a stopped call is told. Who may throw one is `services/switches.py`; that nothing is
above it on the ladder, `core/decide.py`. A switch is its tenant's own: that of an upstream stops the tenant's calls
there and no other tenant's.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import orjson

from gateway.core.decision import Reason, Stop
from gateway.core.jsonvalue import JsonObject
from gateway.core.value import value

__all__ = [
    "MAX_NAME_CHARS",
    "SWITCH",
    "SWITCHES_KEY",
    "Cancelled",
    "Place",
    "Switch",
    "SwitchKind",
    "Thrown",
    "is_switch_name",
    "places_of",
    "read_switch",
    "stopping",
    "switch_key",
]

MAX_NAME_CHARS: Final = 128

SWITCH: Final = "switch:"
"""Of the rows of switches that are thrown; one that is released has none."""

SWITCHES_KEY: Final = "switches"
"""The row of a tenant that changes with each of its switches: what every decision expects to be as it was."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class SwitchKind(StrEnum):
    """What a switch stops."""

    AGENT = "agent"
    UPSTREAM = "upstream"
    TENANT = "tenant"


Place = tuple[str, str]
"""Kind and name; a plain text for the kind, whose hash costs a tenth of an enumeration's."""


@value
class Switch:
    """One switch that is thrown. `since` is RFC 3339; `who` is the human of a portal session, else the credential."""

    kind: SwitchKind
    name: str
    who: str
    why: str
    since: str

    @property
    def place(self) -> Place:
        """What it stops: kind and name, of which there is one switch at most."""
        return self.kind.value, self.name

    @property
    def stop(self) -> Stop:
        """What a call is told that it stops: since when and why, not by whom."""
        what = "This tenant" if self.kind is SwitchKind.TENANT else f"The {self.kind.value} '{self.name}'"
        text = f"{what} has been switched off by a human since {self.since}: {self.why}"
        return Stop(reason=Reason.SWITCHED_OFF, explanation=text)

    def stops(self, tenant: str, agent: str, upstream: str) -> bool:
        """Return whether it stops a call of this agent to this upstream, in the switch's own tenant."""
        return self.place in places_of(tenant, agent, upstream)

    def written(self) -> JsonObject:
        """Return the switch as its row and its entry have it."""
        return {"kind": self.kind, "name": self.name, "who": self.who, "why": self.why, "since": self.since}


@value
class Cancelled:
    """What became of the approvals that a switch leaves without sense: how many ended, and whether all of them did."""

    approvals: int
    complete: bool


Thrown = Mapping[Place, Switch]
"""The thrown switches of one tenant."""


def places_of(tenant: str, agent: str, upstream: str) -> tuple[Place, Place, Place]:
    """Return the places at which a switch stops a call of this agent to this upstream, the widest first."""
    return ("tenant", tenant), ("upstream", upstream), ("agent", agent)


def stopping(thrown: Thrown, tenant: str, agent: str, upstream: str) -> Switch | None:
    """Return the widest switch that stops a call, None where none does."""
    return next((thrown[place] for place in places_of(tenant, agent, upstream) if place in thrown), None)


def is_switch_name(text: str) -> bool:
    """Return whether a text can name an agent, upstream or tenant; agents may be stopped before they were ever seen."""
    return _NAME.fullmatch(text) is not None


def switch_key(place: Place) -> str:
    """Return the key of a thrown switch's row."""
    kind, name = place
    return f"{SWITCH}{kind}:{name}"


def read_switch(row: bytes) -> Switch:
    """Return the switch of a row."""
    found: JsonObject = orjson.loads(row)
    return Switch(
        kind=SwitchKind(found["kind"]),
        name=found["name"],
        who=found["who"],
        why=found["why"],
        since=found["since"],
    )
