"""The connected systems: every upstream with its health as far as it is known, and a test that measures it anew.

Owns what counts as healthy. Known is what the last test found, or how the tenant's last completed call there ended,
whichever is later; to list connectors nothing is contacted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.principal import Principal
from gateway.errors import NotFound, UpstreamError
from gateway.ports import Clock, EntryFilter, RecordIndex, Upstream

__all__ = ["TEST_S", "Connector", "Connectors", "Health"]

TEST_S: Final = 10.0
"""For a test; what takes longer to say who it is will not answer calls in time either."""

NO_MCP: Final = frozenset({404, 405, 410})
"""Statuses of a path where there is no MCP server; one of the handshake era says 400 to a question new to it."""

_FAILED: Final = "upstream-failed"
_ANSWERED: Final = frozenset({"ok", "tool-error", "rpc-error"})
"""Endings of a call that an upstream gave an answer to, whichever it was; the others tell nothing of its health."""


class Health(StrEnum):
    """What is known of an upstream."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One upstream. `checked` is RFC 3339, empty where nothing is known; `latency_ms` is the last test's."""

    id: str
    transport: str
    health: Health = Health.UNKNOWN
    checked: str = ""
    latency_ms: float | None = None
    problem: str = ""
    versions: tuple[str, ...] = ()


class Connectors:
    """Tells of the upstreams and tests them. `transports` says of each how it is reached (`http` or `stdio`)."""

    def __init__(
        self, *, upstreams: Mapping[str, Upstream], transports: Mapping[str, str], index: RecordIndex, clock: Clock
    ) -> None:
        self._upstreams = upstreams
        self._index = index
        self._clock = clock
        self._known = {name: Connector(id=name, transport=transports[name]) for name in upstreams}
        self._testing = {name: anyio.Lock() for name in upstreams}

    async def list(self, principal: Principal) -> tuple[Connector, ...]:
        """Return every connector, in the order of the configuration. Raises StoreError."""
        return tuple([await self._seen(principal, known) for known in self._known.values()])

    async def test(self, principal: Principal, name: str) -> Connector:
        """Ask the upstream anew what it speaks, and return what that showed; one test at a time each.

        Raises NotFound where there is no such upstream.
        """
        if name not in self._upstreams:
            msg = f"There is no connector '{name[:64]}'."
            raise NotFound(msg)
        async with self._testing[name]:
            began = self._clock.monotonic()
            found = await self._ask(name)
            latency = round((self._clock.monotonic() - began) * 1000, 1)
            tested = replace(found, checked=timestamp(self._clock.now()), latency_ms=latency)
            self._known[name] = tested
        return tested

    async def _ask(self, name: str) -> Connector:
        plain = Connector(id=name, transport=self._known[name].transport)
        try:
            with anyio.fail_after(TEST_S):
                support = await self._upstreams[name].support(refresh=True, handshake=False)
        except TimeoutError:
            return replace(plain, health=Health.UNHEALTHY, problem=f"no answer within {TEST_S:.0f} s")
        except UpstreamError as error:
            return replace(plain, health=Health.UNHEALTHY, problem=str(error))
        if support.refused in NO_MCP:
            problem = f"answered HTTP {support.refused}: there is no MCP server at this path"
            return replace(plain, health=Health.UNHEALTHY, problem=problem)
        return replace(plain, health=Health.HEALTHY, versions=(*support.handshake, *support.modern))

    async def _seen(self, principal: Principal, known: Connector) -> Connector:
        """Return what is known, by the tenant's last call where that is later than the last test."""
        wanted = EntryFilter(type=EntryType.CALL_COMPLETED, upstream=known.id, since=known.checked)
        for entry in (await self._index.entries(principal.tenant, wanted, page=1, page_size=1)).items:
            reason, at = _ending(entry)
            if reason == _FAILED:
                return replace(known, health=Health.UNHEALTHY, checked=at, problem="the last call got no usable answer")
            if reason in _ANSWERED:
                return replace(known, health=Health.HEALTHY, checked=at, problem="")
        return known


def _ending(entry: StoredEntry) -> tuple[str, str]:
    content = orjson.loads(entry.content)
    return next(iter(content["reasons"]), ""), content["time"]
