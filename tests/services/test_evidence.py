"""A bundle is whole, proved and signed, or there is none."""

from collections import Counter
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.audit.canonical import canonical
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.principal import Principal, Role, Scope
from gateway.core.switches import SwitchKind
from gateway.errors import Forbidden, NotFound, SigningError, StoreError, TooLarge, Unavailable
from gateway.ports import StateRow
from gateway.services import evidence as module
from gateway.services.evidence import Evidence, Issued
from gateway.services.evidence_secret import EvidenceSecrets
from gateway.services.inclusion import Inclusion
from gateway.services.operator import operator
from gateway.services.recorded import Recorded
from gateway.store.sealing import Sealer
from intended.evidence import Report, verify
from intended.evidence.keys import key_of
from tests.services.leasing import HUMAN, call, granted
from tests.services.leasing import world as leasing
from tests.services.submitting import ASK, DENY, DEPLOY, KEY, approve
from tests.simulate.chain import MemoryChain
from tests.simulate.index import MemoryIndex
from tests.simulate.store import MemoryStore
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, World, bundle, tool

AUDITOR = Principal(tenant="default", agent="", credential="key_9", scopes=frozenset({Scope.AUDIT_READ}))
CONDITION = ALLOW_ALL.replace("effect: allow", "effect: allow\n    when: args.repo == 'acme/frontend'")


class Made:
    """Evidence over a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        own: Any = {"audit": world.store, "state": world.store, "clock": world.clock, "ids": world.ids}
        index = MemoryIndex(world.store)
        self.compiled: list[Any] = []
        self.secrets = EvidenceSecrets(**own, vault=Sealer(b"k" * 32))
        self.service = Evidence(
            reader=world.store,
            state=world.store,
            index=index,
            inclusion=Inclusion(reader=world.store, rows=MemoryChain(world.store)),
            recorded=Recorded(index=index, policies=world.policies, compiled=self._compile),
            tokens=world.tokens,
            secrets=self.secrets,
            taxonomy=TAXONOMY,
            clock=world.clock,
            issued=Issued(issuer="us", version="1"),
        )

    async def _compile(self, files: Any) -> None:
        self.compiled.append(files)

    async def bundle(self, intent_id: str) -> dict[str, Any]:
        raw = await self.service.bundle(AUDITOR, intent_id)
        found: dict[str, Any] = orjson.loads(raw)
        assert canonical(found) == raw
        report = await self.report(found)
        assert report.trusted, report.failed
        return found

    async def report(self, found: dict[str, Any]) -> Report:
        keys = [key_of(one) for one in self.world.tokens.checkable("default")["keys"]]
        return verify(orjson.dumps(found), keys=keys, secret=(await self.secrets.current("default")).text)


def types(entries: list[dict[str, Any]]) -> list[str]:
    return [orjson.loads(one["content"])["type"] for one in entries]


async def test_a_bundle_holds_everything_on_record_of_the_intent() -> None:
    """What was asked, who said yes, that the token was handed out; proved, and recomputed from the input."""
    made = Made(World(policy=ASK))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    await approve(made.world, record)
    await made.world.intents.show(KEY, record.id)
    found = await made.bundle(record.id)
    assert types(found["entries"]) == ["call.decided", "approval.resolved", "call.decided", "token.issued"]
    assert (found["status"], found["complete"], found["entryCount"]) == ("approved", True, 4)
    assert found["decision"]["reason"] == "approved"
    assert [one["from"] for one in found["recomputed"]] == ["input", "input"]
    assert found["gateway"] == {"issuer": "us", "version": "1"}
    assert "ps_1" in found["entries"][1]["body"]


async def test_what_waits_for_a_human_is_not_complete() -> None:
    """It is a bundle of what there is, and says so."""
    made = Made(World(policy=ASK))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    found = await made.bundle(record.id)
    assert (found["status"], found["complete"]) == ("pending", False)


async def test_a_denial_is_evidence_too() -> None:
    """Above all that."""
    made = Made(World(policy=DENY))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    assert (await made.bundle(record.id))["decision"]["effect"] == "DENY"


async def test_the_first_bundle_covers_the_making_of_its_secret() -> None:
    """That is an entry of the chain, and the checkpoint comes after it."""
    made = Made(World(policy=DENY))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    size, _ = await made.world.store.head("default")
    for _ in range(2):
        assert (await made.bundle(record.id))["checkpoint"]["treeSize"] == size + 1


async def test_no_argument_is_in_it_that_was_not_shown_before() -> None:
    """Bundles leave the house."""
    world = World(policy=DENY, show_arguments=False)
    made = Made(world)
    record = (await world.intents.submit(KEY, DEPLOY)).record
    raw = await made.service.bundle(AUDITOR, record.id)
    assert b"acme/frontend" not in raw
    assert (await made.bundle(record.id))["recomputed"][0]["from"] == "input"


async def test_without_the_input_a_verdict_follows_from_its_conditions() -> None:
    """And says that it does, and why (contract, section 4)."""
    made = Made(World(policy=CONDITION))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    chain = made.world.store._chains["default"]
    chain[:] = [replace(one, evaluation_input=None) for one in chain]
    [told] = (await made.bundle(record.id))["recomputed"]
    problem = "the evaluation input is no longer kept"
    assert told.pop("seq") == chain[-2].seq
    assert told == {"from": "conditions", "result": "same", "problem": problem, "differences": []}


async def test_what_rests_on_no_condition_is_not_made_again_without_its_input() -> None:
    """A switch that was thrown then is no rule."""
    made = Made(World())
    await made.world.switches.throw(operator("default"), SwitchKind.TENANT, "default", reason="stop")
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    assert (await made.bundle(record.id))["recomputed"][0]["result"] == "same"
    chain = made.world.store._chains["default"]
    chain[:] = [replace(one, evaluation_input=None) for one in chain]
    [told] = (await made.bundle(record.id))["recomputed"]
    assert (told["from"], told["result"]) == ("", "not possible")


async def test_a_verdict_that_does_not_follow_is_told_and_fails() -> None:
    """By this gateway's own recomputation, or by the ladder over what was recorded."""
    made = Made(World())
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    later = bundle(DENY)
    before = made.world.policies.bundle
    made.world.policies.bundle = replace(later, digest=before.digest)
    found = orjson.loads(await made.service.bundle(AUDITOR, record.id))
    assert found["recomputed"][0]["result"] == "different"
    assert "effect" in found["recomputed"][0]["differences"]
    assert [one.name for one in (await made.report(found)).failed] == ["recomputed"]


async def test_what_conditions_do_not_give_is_told_as_different(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of what differs, never a value."""
    made = Made(World())
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    chain = made.world.store._chains["default"]
    chain[:] = [replace(one, evaluation_input=None) for one in chain]
    monkeypatch.setattr(module, "rejudge", lambda entry, body: ("DENY", "no-rule", 10))
    found = orjson.loads(await made.service.bundle(AUDITOR, record.id))
    assert found["recomputed"][0]["differences"] == ["effect", "reason", "rung"]


async def test_a_tool_call_is_made_again_with_the_tool_of_its_time() -> None:
    """Its definition is on record under its pin, in the gateway's own chain."""
    notes = tool("search_notes", description="Search the notes.")
    made = Made(World(upstreams=[FakeUpstream(tools=[notes])]))
    await made.world.call("search_notes", {"q": "x"})
    found = await made.bundle(made.world.judged[-1].intent_id)
    assert types(found["entries"]) == ["call.decided", "call.completed"]
    assert found["recomputed"][0]["from"] == "input"


class Hasty(MemoryStore):
    """Adds an entry to an intent, `times` times, just before the head of its chain is read."""

    intent = ""
    times = 0

    async def head(self, tenant: str) -> tuple[int, bytes]:
        if self.times:
            self.times -= 1
            await self.append(
                EntryDraft(
                    tenant=tenant,
                    id=f"evt_late_{self.times}",
                    type=EntryType.CALL_REPLAYED,
                    time="2026-01-01T00:00:00.000Z",
                    intent_id=self.intent,
                )
            )
        return await super().head(tenant)


async def test_a_checkpoint_covers_no_entry_of_the_intent_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """That there are so many and no more is signed: it must be so also while more are added."""
    monkeypatch.setattr("tests.simulate.world.MemoryStore", Hasty)
    made = Made(World())
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    store = made.world.store
    assert isinstance(store, Hasty)
    store.intent, store.times = record.id, 2
    found = await made.bundle(record.id)
    assert types(found["entries"]) == ["call.decided", "call.replayed", "call.replayed"]
    store.times = 99
    with pytest.raises(Unavailable, match="changing"):
        await made.service.bundle(AUDITOR, record.id)


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_a_leased_call_brings_the_yes_that_it_rests_on() -> None:
    """A human allowed it with another call: whoever checks wants to see who."""
    made = Made(leasing())
    lease = await granted(made.world)
    await call(made.world, 7)
    found = await made.bundle(made.world.judged[-1].intent_id)
    assert found["decision"]["reason"] == "leased"
    assert types(found["cited"]) == ["lease.granted"]
    assert orjson.loads(found["cited"][0]["body"])["leaseId"] == lease
    own = await made.bundle(made.world.judged[0].intent_id)
    assert (own["cited"], "lease.granted" in types(own["entries"])) == ([], True)


async def test_a_lease_whose_rows_are_gone_is_still_found() -> None:
    """They go thirty days after its end; the chain keeps where it was granted."""
    made = Made(leasing())
    lease = await granted(made.world)
    await call(made.world, 7)
    intent = made.world.judged[-1].intent_id
    await made.world.leases.revoke(HUMAN, lease, reason="over")
    made.world.clock.advance(60 * 86_400)
    await made.world.retention.round()
    assert made.world.store.row("default", f"lease:{lease}") is None
    assert types((await made.bundle(intent))["cited"]) == ["lease.granted", "lease.ended"]


async def test_a_lease_of_which_nothing_is_known_is_missed_by_whoever_checks() -> None:
    """A bundle without it is honest, and does not pass."""
    made = Made(leasing())
    lease = await granted(made.world)
    await call(made.world, 7)
    del made.world.store._rows["default", f"lease:{lease}"]
    found = orjson.loads(await made.service.bundle(AUDITOR, made.world.judged[-1].intent_id))
    assert found["cited"] == []
    assert [one.name for one in (await made.report(found)).failed] == ["cited"]


# --- refusals ---------------------------------------------------------------------------------------------------------


async def test_who_may_not_read_the_audit_gets_none() -> None:
    """Nor anybody of another tenant, for whom there is no such intent."""
    made = Made(World())
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    with pytest.raises(Forbidden):
        await made.service.bundle(KEY, record.id)
    foreign = Principal(tenant="other", agent="", credential="key_4", role=Role.ADMIN, scopes=frozenset(Scope))
    for who, intent in ((foreign, record.id), (AUDITOR, "int_unknown"), (AUDITOR, "")):
        before = len(made.world.store.drafts)
        with pytest.raises(NotFound):
            await made.service.bundle(who, intent)
        assert len(made.world.store.drafts) == before, "a question for nothing makes neither secret nor key"


async def test_what_is_not_as_it_was_recorded_is_not_vouched_for() -> None:
    """A body that somebody changed, or an entry: no signature is set under it."""
    for change in ({"body": b"{}"}, {"salt": b"x" * 16}):
        made = Made(World())
        record = (await made.world.intents.submit(KEY, DEPLOY)).record
        chain = made.world.store._chains["default"]
        place = next(at for at, one in enumerate(chain) if record.id.encode() in one.content)
        good = chain[place]
        await made.bundle(record.id)
        bad = replace(good, **change)  # type: ignore[arg-type]
        if "salt" in change:
            chain[place] = bad
            with pytest.raises(Unavailable, match="is not what the audit chain has"):
                await made.service.bundle(AUDITOR, record.id)
        else:
            chain[place] = replace(bad, body=good.body + b" ")
            with pytest.raises(Unavailable, match="is not what the audit chain has"):
                await made.service.bundle(AUDITOR, record.id)


async def test_nothing_is_handed_out_that_is_not_signed() -> None:
    """Without key, secret or store there is no half of a bundle."""
    made = Made(World())
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    made.world.signer.broken = "no signer"
    with pytest.raises(SigningError):
        await made.service.bundle(AUDITOR, record.id)
    made.world.signer.broken = ""
    made.world.store.unreadable = "down"
    with pytest.raises(StoreError):
        await made.service.bundle(AUDITOR, record.id)
    made.world.store.unreadable = ""
    row = made.world.store._rows["default", "evidence-secret"]
    made.world.store._rows["default", "evidence-secret"] = StateRow(key=row.key, version=row.version, value=b"{}")
    with pytest.raises(StoreError):
        await made.service.bundle(AUDITOR, record.id)


async def again(world: World, intent_id: str, times: int) -> None:
    """Append the decision of an intent again, as an agent does that repeats an escalated call."""
    decided = (await world.store.by_intent("default", intent_id))[0]
    told = orjson.loads(decided.content)
    for number in range(times):
        draft = EntryDraft(
            tenant="default",
            id=f"evt_again_{number}",
            type=EntryType.CALL_DECIDED,
            time=told["time"],
            intent_id=intent_id,
            agent=told["agent"],
            upstream=told["upstream"],
            tool=told["tool"],
            effect=told["effect"],
            reasons=tuple(told["reasons"]),
            policy_digest=told["policyDigest"],
            risk=told["risk"],
            confidence=told["confidence"],
            args_digest=told["argsDigest"],
            body=decided.body,
            evaluation_input=decided.evaluation_input,
        )
        await world.store.append(draft)


async def test_a_long_intent_lets_calls_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent makes its intent as long as it likes; whoever audits it must not stop the gateway with that."""
    made = Made(World(policy=DENY))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    await again(made.world, record.id, 3 * module.BREATH)
    turns = 0
    seen: dict[str, list[int]] = {"shown": [], "decided": [], "entry_shown": [], "recompute": []}

    def counted(name: str) -> Any:
        plain = getattr(module, name)

        def look(*given: Any, **more: Any) -> Any:
            seen[name].append(turns)
            return plain(*given, **more)

        return look

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    for name in seen:
        monkeypatch.setattr(module, name, counted(name))
    async with anyio.create_task_group() as group:
        group.start_soon(others)
        await made.bundle(record.id)
        group.cancel_scope.cancel()
    for name, at in seen.items():
        assert max(Counter(at).values()) <= 2 * module.BREATH, name  # the end of one go, the beginning of the next


async def test_one_input_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may be as large as a message: those of a long intent at once would be all the memory there is."""
    made = Made(World(policy=DENY))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    await again(made.world, record.id, 5)
    most = 0
    real = made.world.store.by_intent

    async def by_intent(*place: Any, **more: Any) -> Any:
        nonlocal most
        found = await real(*place, **more)
        most = max(most, sum(one.evaluation_input is not None for one in found))
        return found

    monkeypatch.setattr(made.world.store, "by_intent", by_intent)
    assert [one["from"] for one in (await made.bundle(record.id))["recomputed"]] == ["input"] * 6
    assert most == 1
    most = 0
    await made.world.intents.show(KEY, record.id)
    assert most == 0, "who looks at an intent needs none"


async def test_a_bundle_has_no_more_entries_than_can_be_signed_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that the chain's export has them."""
    monkeypatch.setattr(module, "MOST", 3)
    made = Made(World(policy=DENY))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    await again(made.world, record.id, 2)
    assert (await made.bundle(record.id))["entryCount"] == 3
    await again(made.world, record.id, 1)
    with pytest.raises(TooLarge, match=r"4 entries, and an evidence bundle holds 3 at most.*`intended audit export`"):
        await made.service.bundle(AUDITOR, record.id)


async def test_a_bundle_is_plain_json_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of anything else, such as an enumeration's text, the canonical form takes 50 times as long on the event loop."""

    def slowly(value: Any) -> bytes:
        raise AssertionError

    monkeypatch.setattr("gateway.core.audit.canonical.rfc8785.dumps", slowly)
    made = Made(World(policy=ASK))
    record = (await made.world.intents.submit(KEY, DEPLOY)).record
    assert (await made.bundle(record.id))["status"] == "pending"
