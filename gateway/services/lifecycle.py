"""Records what the gateway itself goes through: start, stop, policies taken into force or rejected.

These entries are in the chain of `_system`. A policy's text is kept whole in its entry's body, so that a verdict can be
recomputed with the very policy that made it.
"""

from collections.abc import Mapping

import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import SYSTEM_TENANT
from gateway.errors import PolicyError
from gateway.ports import AuditLog, Clock, Ids

__all__ = ["Lifecycle"]


class Lifecycle:
    """Writes the gateway's own entries."""

    def __init__(self, *, audit: AuditLog, clock: Clock, ids: Ids) -> None:
        self._audit = audit
        self._clock = clock
        self._ids = ids

    async def started(self, version: str, upstreams: Mapping[str, str]) -> None:
        """Record a start. Raises StoreError.

        `upstreams` are ids with what stands behind them, without anything that could be a secret: the entry stays.
        """
        await self._append(EntryType.GATEWAY_STARTED, {"version": version, "upstreams": dict(upstreams)})

    async def stopped(self) -> None:
        """Record an orderly stop. Raises StoreError."""
        await self._append(EntryType.GATEWAY_STOPPED, {})

    async def policies_loaded(self, bundle: Bundle, texts: Mapping[str, str]) -> None:
        """Record the bundle that is in force from now on; `texts` are its files' by path. Raises StoreError."""
        files = [{"path": path, "sha256": sha256, "text": texts[path]} for path, sha256 in bundle.files]
        await self._append(EntryType.POLICY_LOADED, {"files": files}, digest=bundle.digest)

    async def policies_rejected(self, error: PolicyError, in_force: Bundle) -> None:
        """Record that new policy files cannot be used and the last good bundle stays. Raises StoreError."""
        problems = [f"{one.source}:{one.line}:{one.column}: {one.field}: {one.message}" for one in error.problems]
        await self._append(EntryType.POLICY_REJECTED, {"problems": problems}, digest=in_force.digest)

    async def _append(self, kind: EntryType, body: JsonObject, *, digest: str = "") -> None:
        await self._audit.append(
            EntryDraft(
                tenant=SYSTEM_TENANT,
                id=self._ids.new("evt"),
                type=kind,
                time=timestamp(self._clock.now()),
                policy_digest=digest,
                body=orjson.dumps(body),
            )
        )
