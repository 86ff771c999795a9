"""The evidence bundle of one intent: everything on record of it, proved to be in the chain, and signed.

Owns the procedure. What a bundle says is `core/evidence.py`'s, where proofs come from `inclusion.py`'s.

1. the entries of the intent, as durable now, and what they rest on elsewhere: the lease that a human had granted;
2. their proofs under one checkpoint, which the tenant's key signs by itself, so that it can be passed on alone;
3. each decision made again: from its evaluation input, else from the recorded results of its conditions;
4. the HMAC under the tenant's evidence secret, and over all of it the signature.

Whatever of this cannot be had, there is no bundle. Arguments are in it only as the bodies have them, redacted.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import anyio.lowlevel
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.canonical import canonical
from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.audit.tree import leaf_hash
from gateway.core.evidence import (
    BUNDLE_TYPE,
    CHECKPOINT_TYPE,
    SIGNATURE,
    Told,
    authenticated,
    checkpoint_statement,
    entry_shown,
    statement,
)
from gateway.core.intent.taxonomy import Taxonomy
from gateway.core.jsonvalue import JsonObject
from gateway.core.lease_rows import lease_key, read_lease
from gateway.core.principal import Principal, Scope
from gateway.core.rejudge import rejudge
from gateway.core.retention import LEASE, read_kept_lease
from gateway.core.submission import IntentStatus
from gateway.errors import NotFound, TooLarge, Unavailable
from gateway.ports import AuditReader, Clock, RecordIndex, StateStore
from gateway.services.audit_query import RecordedDecision, decided, shown
from gateway.services.authentication import require_scope
from gateway.services.evidence_secret import EvidenceSecrets
from gateway.services.inclusion import Inclusion, Proven
from gateway.services.intent_records import first_decided, record_of
from gateway.services.recompute import recompute
from gateway.services.recorded import Recorded
from gateway.services.tokens import Tokens

__all__ = ["Evidence", "Issued"]

SAME: Final = "same"
DIFFERENT: Final = "different"
NOT_POSSIBLE: Final = "not possible"

ATTEMPTS: Final = 3
"""At a moment in which no entry is added to the intent between two reads."""

MOST: Final = 10_000
"""Entries of one bundle, some 30 MB. An agent that asks for the same call again and again makes its intent as long as
it likes, and the canonical form is made in one go."""

BREATH: Final = 25
"""Entries looked at in one go, some 5 ms: the loop has calls to answer meanwhile."""

_OF_A_LEASE: Final = frozenset({EntryType.LEASE_GRANTED, EntryType.LEASE_ENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """Who issues bundles: as in authority tokens, and which version of the gateway."""

    issuer: str
    version: str


class Evidence:
    """Makes bundles."""

    def __init__(
        self,
        *,
        reader: AuditReader,
        state: StateStore,
        index: RecordIndex,
        inclusion: Inclusion,
        recorded: Recorded,
        tokens: Tokens,
        secrets: EvidenceSecrets,
        taxonomy: Taxonomy,
        clock: Clock,
        issued: Issued,
    ) -> None:
        self._reader = reader
        self._state = state
        self._index = index
        self._inclusion = inclusion
        self._recorded = recorded
        self._tokens = tokens
        self._secrets = secrets
        self._taxonomy = taxonomy
        self._clock = clock
        self._issued = issued

    async def bundle(self, principal: Principal, intent_id: str) -> bytes:
        """Return the bundle of an intent of the principal's tenant, as canonical JSON.

        Raises:
            Forbidden: the principal may not read the audit.
            NotFound: there is no such intent.
            TooLarge: it has more entries than a bundle holds.
            Unavailable: the chain does not hold, or the secret does not open.
            StateConflict: the secret changed at this moment.
            SigningError: the tenant's key cannot sign.
            StoreError: something could not be read, or the first secret or key not be recorded.
        """
        require_scope(principal, Scope.AUDIT_READ)
        tenant = principal.tenant
        before = await self._reader.by_intent(tenant, intent_id, inputs=False)
        if len(before) > MOST:
            msg = (
                f"The intent has {len(before)} entries, and an evidence bundle holds {MOST} at most. Export the chain"
                " instead: `intended audit export` has all of them, and `intended audit verify --export` checks it."
            )
            raise TooLarge(msg)
        await _summed_up(before)  # of no intent there is nothing to make
        # Either may be made now, in an entry of its own: before the checkpoint, so that this bundle covers it.
        secret = await self._secrets.current(tenant)
        key = await self._tokens.key_for_evidence(tenant)
        entries, cited, proven = await self._gathered(tenant, intent_id)
        made = timestamp(self._clock.now())
        checkpoint = checkpoint_statement(tenant, proven.checkpoint, made=made)
        checkpoint[SIGNATURE] = await self._tokens.attest(key, canonical(checkpoint), type_=CHECKPOINT_TYPE)
        status, decision = await _summed_up(entries)
        told = Told(
            tenant=tenant,
            intent_id=intent_id,
            made=made,
            issuer=self._issued.issuer,
            version=self._issued.version,
            status=status.value,  # as plain text: of anything else the canonical form takes 50 times as long
            complete=status is not IntentStatus.PENDING,
            decision=decision,
            entries=[_proved(one, proven) async for one in _in_turns(entries)],
            cited=[_proved(one, proven) async for one in _in_turns(cited)],
            recomputed=[await self._again(tenant, intent_id, one.seq) for one in await _decisions(entries)],
            checkpoint=checkpoint,
            secret_id=secret.id,
            key=key.public,
        )
        document = authenticated(statement(told), secret.text)
        document[SIGNATURE] = await self._tokens.attest(key, canonical(document), type_=BUNDLE_TYPE)
        return canonical(document)

    async def _gathered(
        self, tenant: str, intent_id: str
    ) -> tuple[Sequence[StoredEntry], Sequence[StoredEntry], Proven]:
        """Return all entries of the intent that the checkpoint covers, what they rest on, and the proofs.

        One that was appended after they were read and before the checkpoint would be missing from both.
        """
        for _ in range(ATTEMPTS):
            entries = await self._reader.by_intent(tenant, intent_id, inputs=False)
            cited = await self._cited(tenant, entries)
            proven = await self._inclusion.prove(tenant, [one.seq for one in (*entries, *cited)])
            now = await self._reader.by_intent(tenant, intent_id, inputs=False)
            covered = [one.seq for one in now if one.seq <= proven.checkpoint.size]
            if covered == [one.seq for one in entries]:
                return entries, cited, proven
        raise Unavailable("The intent is changing at this moment; try again.")

    async def _cited(self, tenant: str, entries: Sequence[StoredEntry]) -> list[StoredEntry]:
        """Return the entries of the leases that decisions rest on, but those that are the intent's own."""
        own = {one.seq for one in entries}
        decisions = await _decisions(entries)
        leases = {one.body["facts"]["lease"]["id"] for one in decisions if "lease" in one.body["facts"]}
        found: dict[int, StoredEntry] = {}
        for lease in sorted(leases):
            granted_in = await self._intent_of(tenant, lease)
            async for entry in _in_turns(await self._reader.by_intent(tenant, granted_in, inputs=False)):
                told = shown(entry)
                if told["type"] in _OF_A_LEASE and told["body"]["leaseId"] == lease and entry.seq not in own:
                    found[entry.seq] = entry
        return [found[seq] for seq in sorted(found)]

    async def _intent_of(self, tenant: str, lease_id: str) -> str:
        """Return the intent with whose approval a lease was granted; empty where nothing is known of it any more."""
        row = await self._state.get(tenant, lease_key(lease_id))
        if row is not None:
            return read_lease(tenant, row.value, row.version).intent_id
        held = await self._index.held_one(tenant, LEASE, id=lease_id)
        if held is None or held.kept is None:
            return ""
        return read_kept_lease(tenant, held.kept)[0].intent_id

    async def _again(self, tenant: str, intent_id: str, seq: int) -> JsonObject:
        """Make a decision again and say how it compares, and what it was made from."""
        await anyio.lowlevel.checkpoint()  # with large arguments one takes some ms
        [recorded] = await _decisions(await self._reader.by_intent(tenant, intent_id, seq=seq))  # one input at a time
        called = (recorded.evaluation_input or {}).get("call", {})
        pin = str(called.get("pin", ""))
        found = recompute(
            recorded,
            bundle=await self._recorded.bundle(str(recorded.entry["policyDigest"])),
            definition=await self._recorded.definition(str(called["upstream"]), pin) if pin else None,
            taxonomy=self._taxonomy,
        )
        told: JsonObject = {"seq": recorded.seq, "from": "input", "problem": found.problem, "differences": []}
        if not found.problem:
            # What was and is now may name an argument's value in a condition of the policy, so only the names are told.
            told["differences"] = [one.partition(":")[0] for one in found.differences]
            return {**told, "result": SAME if found.same else DIFFERENT}
        again = rejudge(recorded.entry, recorded.body)
        if isinstance(again, str):
            return {**told, "from": "", "result": NOT_POSSIBLE}
        decision = recorded.body["decision"]
        was = (recorded.entry["effect"], decision["reason"], decision["rung"])
        names = ("effect", "reason", "rung")
        different = [name for name, one, other in zip(names, was, again, strict=True) if one != other]
        return {**told, "from": "conditions", "differences": different, "result": DIFFERENT if different else SAME}


async def _in_turns(entries: Sequence[StoredEntry]) -> AsyncIterator[StoredEntry]:
    """Yield entries, and let others have their turn between many."""
    for number, entry in enumerate(entries, start=1):
        yield entry
        if number % BREATH == 0:
            await anyio.lowlevel.checkpoint()


async def _decisions(entries: Sequence[StoredEntry]) -> list[RecordedDecision]:
    return [one async for entry in _in_turns(entries) if (one := decided(entry)) is not None]


async def _summed_up(entries: Sequence[StoredEntry]) -> tuple[IntentStatus, JsonObject]:
    """Return the status of the intent and its last decision, in short. Raises NotFound."""
    every = [shown(one) async for one in _in_turns(entries)]
    record, last = record_of(every), first_decided(every[::-1])
    if record is None or last is None:
        raise NotFound("There is no such intent.")
    return record.status, {
        "seq": last["seq"],
        "effect": last["effect"],
        "reason": last["body"]["decision"]["reason"],
        "risk": last["risk"],
        "policySet": last["body"]["decision"]["policySet"],
        "policyDigest": last["policyDigest"],
        "rules": last["body"]["decision"]["rules"],
    }


def _proved(entry: StoredEntry, proven: Proven) -> JsonObject:
    """Return an entry as a bundle has it. Raises Unavailable where the store no longer holds what the chain has."""
    content = orjson.loads(entry.content)
    whole = leaf_hash(entry.content) == proven.leaves.get(entry.seq)
    if not whole or sha256(entry.salt + entry.body).hexdigest() != content["bodyDigest"]:
        msg = f"Entry {entry.seq} is not what the audit chain has: no evidence is made of it."
        raise Unavailable(msg)
    return entry_shown(entry, proven.proofs[entry.seq])
