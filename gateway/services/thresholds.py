"""What each trust tier may do: thresholds per tenant, changed by its administrators.

Owns the thresholds in force. They are whole in memory, read at the start and changed only once the change is durable:
one process owns the store. What a threshold does to a decision is `core/decide.py`'s, what configuration says of tiers
`core/tiers.py`'s.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.decision import Thresholds as Caps
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role, TrustTier
from gateway.errors import FieldProblem, Forbidden, InvalidRequest, StateConflict
from gateway.ports import AuditLog, Clock, Conflict, Ids, StateRow, StateStore

__all__ = ["MAX_CAP", "THRESHOLDS_KEY", "ThresholdTable", "Thresholds"]

MAX_CAP: Final = 101
"""One above the highest risk: switches a cap off."""

THRESHOLDS_KEY: Final = "thresholds"
"""The state row of a tenant that has thresholds of its own."""

_ROLES: Final = frozenset({Role.ADMIN, Role.POLICY_ADMIN})
"""Who may change thresholds (contract, section 1)."""

Tiers = Mapping[TrustTier, Caps]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdTable:
    """What each tier of a tenant may do. `version` counts the changes; 0 is the table of the configuration."""

    tiers: Tiers
    version: int


class Thresholds:
    """The thresholds of every tenant."""

    def __init__(self, *, audit: AuditLog, state: StateStore, clock: Clock, ids: Ids, configured: Tiers) -> None:
        self._audit = audit
        self._state = state
        self._clock = clock
        self._ids = ids
        self._configured = ThresholdTable(tiers=dict(configured), version=0)
        self._tables: dict[str, ThresholdTable] = {}
        self._lock = anyio.Lock()

    async def load(self, tenants: Iterable[str]) -> None:
        """Read the tables of these tenants; part of the start. Raises StoreError."""
        for tenant in tenants:
            self._take(tenant, await self._state.get(tenant, THRESHOLDS_KEY))

    def caps(self, tenant: str, tier: TrustTier) -> Caps:
        """Return what a tier of the tenant may do."""
        return self._tables.get(tenant, self._configured).tiers[tier]

    def get(self, tenant: str) -> ThresholdTable:
        """Return the table in force."""
        return self._tables.get(tenant, self._configured)

    async def put(self, principal: Principal, tenant: str, tiers: Tiers, expected_version: int) -> ThresholdTable:
        """Replace the tenant's whole table, which must still be of the expected version.

        Raises:
            Forbidden: the principal is of another tenant, neither `admin` nor `policy_admin`, or bound to an agent.
            InvalidRequest: a tier is missing, a number out of bounds, or a higher tier may do less than a lower one.
            StateConflict: the table is of another version by now.
            StoreError: it could not be made durable; the old table stays in force.
        """
        if principal.tenant != tenant or principal.role not in _ROLES:
            raise Forbidden("Thresholds are changed by the tenant's own `admin` or `policy_admin`.")
        if principal.bound:  # what its tier may do is what keeps it from doing more
            raise Forbidden("A credential that is bound to an agent changes no thresholds.")
        problems = tuple(_problems(tiers))
        if problems:
            raise InvalidRequest(*problems)
        async with self._lock:
            row = await self._state.get(tenant, THRESHOLDS_KEY)
            before = self._take(tenant, row)
            if before.version != expected_version:
                raise _changed(before.version)
            after = ThresholdTable(tiers=dict(tiers), version=before.version + 1)
            draft = self._draft(principal, before, after, row.version if row else 0)
            if isinstance(await self._audit.append(draft), Conflict):
                raise _changed(before.version + 1)
            self._tables[tenant] = after
        return after

    def _take(self, tenant: str, row: StateRow | None) -> ThresholdTable:
        """Bring memory to what is durable: an earlier change may have become so after it was given up."""
        if row is None:
            return self._configured
        self._tables[tenant] = _read(row.value)
        return self._tables[tenant]

    def _draft(self, principal: Principal, before: ThresholdTable, after: ThresholdTable, row: int) -> EntryDraft:
        changed = {"by": principal.credential, "old": _written(before), "new": _written(after)}
        return EntryDraft(
            tenant=principal.tenant,
            id=self._ids.new("evt"),
            type=EntryType.THRESHOLDS_CHANGED,
            time=timestamp(self._clock.now()),
            body=orjson.dumps(changed),
            expects=(Expect(key=THRESHOLDS_KEY, version=row),),
            puts=(Put(key=THRESHOLDS_KEY, value=orjson.dumps(_written(after))),),
        )


def _changed(version: int) -> StateConflict:
    return StateConflict(
        f"The thresholds were changed meanwhile and are of version {version}; read them and decide anew.",
        field="version",
    )


def _problems(tiers: Tiers) -> Iterator[FieldProblem]:
    """Say everything that is wrong with a table."""
    for tier in TrustTier:
        if tier not in tiers:
            yield FieldProblem(path=("tiers", tier.name), message="is missing: name all of T0 to T4")
    for tier, caps in sorted(tiers.items()):
        for name, points in (("allowBelow", caps.allow_below), ("denyFrom", caps.deny_from)):
            if not 0 <= points <= MAX_CAP:
                yield FieldProblem(path=("tiers", tier.name, name), message=f"must be 0 to {MAX_CAP}")
        if caps.allow_below > caps.deny_from:
            text = "must not be above denyFrom: what is denied cannot be allowed"
            yield FieldProblem(path=("tiers", tier.name, "allowBelow"), message=text)
    for (low, less), (high, more) in pairwise(sorted(tiers.items())):
        for name, below, above in (
            ("allowBelow", less.allow_below, more.allow_below),
            ("denyFrom", less.deny_from, more.deny_from),
        ):
            if above < below:
                text = f"must not be below that of {low.name}: trust that is earned would take rights away"
                yield FieldProblem(path=("tiers", high.name, name), message=text)


def _written(table: ThresholdTable) -> JsonObject:
    return {
        "version": table.version,
        "tiers": {
            tier.name: {"allowBelow": caps.allow_below, "denyFrom": caps.deny_from}
            for tier, caps in sorted(table.tiers.items())
        },
    }


def _read(text: bytes) -> ThresholdTable:
    written = orjson.loads(text)
    return ThresholdTable(
        tiers={
            TrustTier[name]: Caps(allow_below=caps["allowBelow"], deny_from=caps["denyFrom"])
            for name, caps in written["tiers"].items()
        },
        version=written["version"],
    )
