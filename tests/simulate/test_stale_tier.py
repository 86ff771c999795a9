"""No call is allowed by a tier that its agent no longer has."""

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.call import Call
from gateway.core.decision import Thresholds
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.pinning import pin_tool
from gateway.core.principal import Principal, TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.ports import Appended, Conflict
from gateway.services.enforcement import Enforcement, OutcomeKind
from gateway.services.facts import FactSource
from gateway.services.inflight import InFlight
from gateway.services.observing import Observers
from gateway.services.running import Running
from gateway.services.trust import TrustTerms
from gateway.services.trust_changes import Control
from tests.simulate.store import Moment
from tests.simulate.trusting import ADMIN, Life
from tests.simulate.world import ALLOW_ALL, FakeCaller, FixedPolicies

BOT = Principal(tenant="acme", agent="bot", credential="key_7")
ONLY_T1 = {tier: Thresholds(allow_below=101 if tier else 0, deny_from=101) for tier in TrustTier}
CALL = Call(
    method="tools/call",
    upstream="files",
    name="write_file",
    uri="",
    arguments={},
    arguments_digest="",
    tool=pin_tool("files", {"name": "write_file", "inputSchema": {"type": "object"}}),
)


class Meddled:
    """The life's store, on which something else is written just before a decision is."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.times = 1

    async def append(self, draft: EntryDraft) -> Appended | Conflict:
        if draft.type is EntryType.CALL_DECIDED and self.times:
            self.times -= 1
            await self.life.changes.change(ADMIN, "bot", Control(ceiling=TrustTier.T0), reason="stop it")
            await self.life.changes.settle()
        return await self.life.store.append(draft)

    def ready(self) -> str:
        return ""


def enforcement(life: Life, audit: object) -> Enforcement:
    tiers = ConfiguredTiers(default=life.terms.start, agents={}, thresholds=ONLY_T1)
    facts = FactSource(
        policies=FixedPolicies(ALLOW_ALL),
        state=life.store,
        clock=life.clock,
        tiers=tiers,
        trust=life.trust,
        stops=None,
        circuits=None,
    )
    return Enforcement(
        audit=audit,  # type: ignore[arg-type]
        facts=facts,
        taxonomy=TAXONOMY,
        clock=life.clock,
        ids=life.ids,
        in_flight=InFlight(per_agent=10, per_upstream=10),
        show_arguments=False,
        observer=Observers(),
        running=Running(),
    )


class Upstream:
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.calls = 0

    async def forward(self) -> JsonObject:
        self.calls += 1
        return {"result": {}}


@pytest.mark.parametrize("meddled", [False, True])
async def test_a_decision_under_a_tier_that_has_changed_is_made_anew(meddled: bool) -> None:
    """The agent's row is expected: between facts and entry a human has said otherwise."""
    life, upstream = Life(terms=TrustTerms(start=TrustTier.T1)), Upstream()
    await life.did()
    audit = Meddled(life) if meddled else life.store
    outcome = await enforcement(life, audit).call(BOT, CALL, upstream.forward, FakeCaller())
    decided = [one for one in life.store.drafts if one.type is EntryType.CALL_DECIDED]
    assert len(decided) == 1
    facts = orjson.loads(decided[0].body)["facts"]
    assert (outcome.kind, facts["tier"], upstream.calls) == (
        (OutcomeKind.ESCALATED, 0, 0) if meddled else (OutcomeKind.ANSWERED, 1, 1)
    )


async def test_a_tier_that_keeps_changing_allows_nothing() -> None:
    """After some attempts it is denied, as contention."""
    life, upstream = Life(terms=TrustTerms(start=TrustTier.T1)), Upstream()
    await life.did()
    held = life.trust.held("acme", "bot")
    assert held is not None
    held.version = 99
    outcome = await enforcement(life, life.store).call(BOT, CALL, upstream.forward, FakeCaller())
    assert (outcome.kind, outcome.reason, upstream.calls) == (OutcomeKind.DENIED, "contention", 0)


async def test_nothing_is_allowed_while_an_entry_is_missing() -> None:
    """It may be the one that costs the tier; once it was read, the call goes by what it says."""
    life, upstream = Life(terms=TrustTerms(start=TrustTier.T1)), Upstream()
    await life.did()
    life.store.break_append(Moment.AFTER, where=lambda draft: draft.type is EntryType.TRUST_CHANGED)
    with pytest.raises(Exception, match="told to fail"):
        await life.changes.change(ADMIN, "bot", Control(ceiling=TrustTier.T0), reason="stop it")
    gate = enforcement(life, life.store)
    outcome = await gate.call(BOT, CALL, upstream.forward, FakeCaller())
    assert (outcome.kind, upstream.calls) == (OutcomeKind.UNRECORDED, 0)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(life.trust.run)
            while outcome.kind is OutcomeKind.UNRECORDED:
                await anyio.lowlevel.checkpoint()
                outcome = await gate.call(BOT, CALL, upstream.forward, FakeCaller())
            tasks.cancel_scope.cancel()
    assert (outcome.kind, upstream.calls) == (OutcomeKind.ESCALATED, 0)
