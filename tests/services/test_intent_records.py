"""An intent's record follows from its entries, whichever front it came through."""

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect
from gateway.core.rows import intent_key, read_intent
from gateway.core.submission import IntentStatus, Outcome
from gateway.errors import UpstreamTimeout
from gateway.services.audit_query import shown
from gateway.services.intent_records import first_decided, record_of, state_of
from tests.services.submitting import ASK, BOUND, DEPLOY, HUMAN, KEY
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, World, tool

DENY = ALLOW_ALL.replace("effect: allow", "effect: deny")


def world(policy: str = ALLOW_ALL) -> World:
    return World(upstreams=[FakeUpstream(tools=[tool("list_notes")])], policy=policy)


async def entries(made: World) -> list[dict]:
    return [shown(entry) for entry in await made.store.by_intent("default", made.judged[0].intent_id)]


async def test_a_tool_call_is_an_intent_with_its_upstream_and_tool() -> None:
    """Both REST dialects show what came through MCP."""
    made = world()
    await made.call("list_notes", {"tag": "x", "password": "hunter2"})
    record = record_of(await entries(made))
    assert record is not None
    assert (record.front, record.system, record.action) == ("mcp", "default", "list_notes")
    assert (record.status, record.effect, record.agent) == (IntentStatus.COMPLETED, Effect.ALLOW, "local")
    assert (record.params["tag"], "hunter2" in str(record.params)) == ("x", False)
    assert (record.policy_set, record.rules, record.tier) == ("test", ("allow-all",), 4)
    assert (record.created <= record.updated, record.error, record.approval_id) == (True, "", "")
    assert {code for code, _, _ in record.factors} >= {"effect-read", "novel"}


async def test_a_denied_call_is_a_rejected_intent_and_a_failed_one_says_what_failed() -> None:
    """The statuses of the contract."""
    made = world(DENY.replace("methods: [tools/call", "factors: [novel]\n      methods: [tools/call"))
    await made.call("list_notes")
    record = record_of(await entries(made))
    assert record is not None
    assert (record.status, record.reason) == (IntentStatus.REJECTED, "policy-deny")
    made = world()
    made.upstream().fail(UpstreamTimeout("upstream default: late", may_have_run=True), "list_notes")
    await made.call("list_notes")
    failed = record_of(await entries(made))
    assert failed is not None
    assert (failed.status, failed.error) == (IntentStatus.FAILED, "upstream default: late")


async def test_the_trace_is_of_the_decision_that_is_shown() -> None:
    """An intent that was decided again says when; risk, rules and policy are of that decision too."""
    made = world()
    await made.call("list_notes")
    told = await entries(made)
    later = "2099-01-01T00:00:00.000Z"
    record = record_of([*told, {**told[0], "time": later, "effect": "DENY"}])
    assert record is not None
    assert (record.created, record.decided, record.effect) == (told[0]["time"], later, Effect.DENY)


async def test_a_resource_is_named_by_its_uri_and_what_has_no_name_by_its_method() -> None:
    """Every intent is aimed at something."""
    made = world()
    await made.modern("resources/read", {"uri": "notes://1"})
    record = record_of(await entries(made))
    assert record is not None
    assert record.action == "notes://1"


async def test_what_decided_nothing_is_no_intent() -> None:
    """An id of something else has no record."""
    made = world()
    await made.call("list_notes")
    told = await entries(made)
    ends = [entry for entry in told if entry["type"] == EntryType.CALL_COMPLETED]
    assert record_of(ends) is None
    assert record_of([]) is None
    assert first_decided(told) is told[0]


async def test_the_entries_of_a_submitted_intent_say_what_its_row_does() -> None:
    """The row goes after a while, and the intent is reported, shown and refused as before."""
    for policy, acts in (
        (ALLOW_ALL, ("outcome",)),
        (DENY, ()),
        (ASK, ()),
        (ASK, ("no",)),
        (ASK, ("yes",)),
        (ASK, ("yes", "token")),
        (ASK, ("yes", "token", "outcome")),
        (ASK, ("yes", "other rule", "token")),
    ):
        made = World(policy=policy)
        intent = (await made.intents.submit(KEY, DEPLOY)).record.id
        for act in acts:
            if act == "other rule":
                made.policies.replace(ASK.replace("id: allow-all", "id: ask-again"))
            elif act == "token":
                await made.intents.show(BOUND, intent)
            elif act == "outcome":
                await made.intents.outcome(KEY, intent, Outcome.COMPLETED)
            else:
                await made.approvals.resolve(HUMAN, intent_id=intent, approve=act == "yes")
        row = made.store.row("default", intent_key(intent))
        assert row is not None
        told = [shown(entry) for entry in await made.store.by_intent("default", intent)]
        assert state_of(told) == read_intent(row.value, row.version), (policy, acts)


async def test_a_tool_call_has_no_state_of_its_own() -> None:
    """It reports itself; nor has an intent of which nothing is known."""
    made = world()
    await made.call("list_notes")
    assert state_of(await entries(made)) is None
    assert state_of([]) is None
