"""The token of a forwarded call: only where an upstream asks for it, and bound to exactly what was decided."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.core.audit.canonical import digest
from gateway.core.audit.entry import EntryType
from gateway.core.call import Call
from gateway.core.jsonvalue import JsonObject
from gateway.core.tokens import AUTHORITY_HEADER, AUTHORITY_META
from gateway.errors import SigningError
from gateway.ports import UpstreamSupport
from gateway.services.authority import NO_AUTHORITY, Authority
from gateway.services.party import Reply
from tests.golden.tokens_by_hand import unb64, verify
from tests.services.calling import READ, Other
from tests.services.remotely import FakeAuthority
from tests.simulate.upstream import FakeUpstream, Received
from tests.simulate.world import ALLOW_ALL, LOCAL, FakeCaller, World, tool

ECHO = tool("echo")
ESCALATE = ALLOW_ALL + "  - {id: ask, effect: escalate, match: {methods: [tools/call]}, reason: ask}\n"
DENY = ALLOW_ALL + "  - {id: never, effect: deny, match: {methods: [tools/call]}, when: 'risk >= 0', reason: no}\n"


def guarded(policy: str = ALLOW_ALL, **more: object) -> World:
    upstreams = [FakeUpstream("payments", tools=[ECHO], **more), FakeUpstream("notes", tools=[ECHO])]  # type: ignore[arg-type]
    return World(upstreams=upstreams, policy=policy, audiences={"payments": "https://pay.test/mcp"})


def read(world: World, sent: Received) -> JsonObject:
    """Return the claims of the token that a call arrived with, its signature checked by hand."""
    token = sent.params["_meta"][AUTHORITY_META]
    assert dict(sent.headers)[AUTHORITY_HEADER] == token
    [jwk] = world.tokens.jwks("default")["keys"]
    return verify(token, int.from_bytes(unb64(jwk["n"]), "big"))[1]


async def modern(world: World, name: str, arguments: JsonObject, meta: JsonObject | None = None) -> Reply:
    return await world.call(name, arguments, meta=meta)


async def in_a_session(world: World, name: str, arguments: JsonObject, meta: JsonObject | None = None) -> Reply:
    conversation = await world.conversation()
    params = {"name": name, "arguments": arguments} | ({"_meta": meta} if meta else {})
    return await world.handle(conversation, "tools/call", params)


BOTH = pytest.mark.parametrize("call", [modern, in_a_session])


@BOTH
async def test_a_forwarded_call_carries_a_token_for_exactly_what_was_decided(call: Callable) -> None:
    """In `_meta` and as a header, in both eras."""
    world = guarded()
    await call(world, "payments__echo", {"amount": 12.5})
    [sent] = world.upstream("payments").calls()
    claims = read(world, sent)
    [judged] = [one for one in world.judged if one.call.method == "tools/call"]
    assert claims | {"iat": 0, "nbf": 0, "exp": 0} == {
        "iss": "intended-gateway",
        "sub": "local",
        "aud": "https://pay.test/mcp",
        "iat": 0,
        "nbf": 0,
        "exp": 0,
        "jti": claims["jti"],
        "tenant": "default",
        "intentId": judged.intent_id,
        "intentType": judged.intent.type,
        "upstream": "payments",
        "tool": "echo",
        "argsDigest": digest(sent.params["arguments"]),
        "policyDigest": judged.decision.policy_digest,
    }
    assert claims["exp"] - claims["iat"] == 120


@BOTH
async def test_a_call_to_another_upstream_carries_none_and_costs_no_signature(call: Callable) -> None:
    """Signing costs as much as the rest of the call."""
    world = guarded()
    await call(world, "notes__echo", {})
    [sent] = world.upstream("notes").calls()
    assert AUTHORITY_META not in sent.params.get("_meta", {})
    assert sent.headers == ()
    assert world.entries(EntryType.SIGNING_KEY_CREATED) == []


async def test_the_answers_of_a_further_round_are_bound_too() -> None:
    """The same arguments with other answers are another act."""
    world = guarded(support=UpstreamSupport(handshake=(), modern=("2026-07-28",)))
    answers = {"q": {"action": "accept", "content": {"sure": True}}}
    await world.modern("tools/call", {"name": "payments__echo", "arguments": {}, "inputResponses": answers})
    [sent] = world.upstream("payments").calls()
    assert read(world, sent)["answersDigest"] == digest(answers)


async def test_answers_that_have_no_digest_are_not_forwarded() -> None:
    """The server could not compare them with anything."""
    world = guarded(support=UpstreamSupport(handshake=(), modern=("2026-07-28",)))
    answers = {"q": {"action": "accept", "content": {"n": 2**60}}}
    params = {"name": "payments__echo", "arguments": {}, "inputResponses": answers}
    reply = await world.modern("tools/call", params)
    assert "the answers have no canonical form" in reply.message["result"]["content"][0]["text"]
    assert world.upstream("payments").calls() == []


@pytest.mark.parametrize("policy", [ESCALATE, DENY])
async def test_what_is_not_allowed_gets_no_token(policy: str) -> None:
    """Nothing is signed that nobody may use."""
    world = guarded(policy)
    await world.call("payments__echo", {})
    assert world.upstream("payments").calls() == []
    assert world.entries(EntryType.SIGNING_KEY_CREATED) == []


async def test_a_token_is_signed_only_after_the_decision_is_durable() -> None:
    """A token without a record would be authority that nobody granted."""
    world = guarded()
    world.store.break_append(where=lambda draft: draft.opens)
    await world.call("payments__echo", {})
    assert world.upstream("payments").calls() == []
    assert world.entries(EntryType.SIGNING_KEY_CREATED) == []


@BOTH
async def test_a_call_whose_token_cannot_be_signed_is_not_forwarded_and_closed(call: Callable) -> None:
    """Without its token it would be refused there, or worse, be taken."""
    world = guarded()
    world.signer.broken = "no randomness"
    reply = await call(world, "payments__echo", {})
    assert world.upstream("payments").calls() == []
    assert "No authority token: no randomness." in reply.message["result"]["content"][0]["text"]
    assert reply.message["result"]["isError"] is True
    [completed] = world.bodies(EntryType.CALL_COMPLETED)
    assert (completed["completion"], completed["mayHaveRun"]) == ("unsigned", False)
    assert await world.store.open_calls() == []


async def test_no_token_shows_in_an_entry() -> None:
    """Whoever reads the audit must not be able to use one."""
    world = guarded()
    await world.call("payments__echo", {})
    [sent] = world.upstream("payments").calls()
    token = sent.params["_meta"][AUTHORITY_META].encode()
    assert all(token not in draft.body + (draft.evaluation_input or b"") for draft in world.entries())


async def test_a_gateway_that_asks_for_none_signs_nothing() -> None:
    """The value that stands for no upstream at all."""
    call = Call(method="tools/call", upstream="notes", name="echo", uri="", arguments={}, arguments_digest="")
    assert not NO_AUTHORITY.wanted(call)
    world = guarded()
    await world.call("payments__echo", {})
    with pytest.raises(SigningError, match="issues none"):
        await NO_AUTHORITY.token(world.judged[-1])


@BOTH
async def test_where_a_remote_authority_is_asked_it_is_its_token_that_is_forwarded(call: Callable) -> None:
    """One of our own would speak for a decision that is not ours alone."""
    world = World(
        upstreams=[FakeUpstream("payments", tools=[ECHO])], audiences={"payments": "p"}, remote=FakeAuthority()
    )
    await call(world, "echo", {"amount": 12.5})
    [sent] = world.upstream("payments").calls()
    assert (sent.params["_meta"][AUTHORITY_META], dict(sent.headers)[AUTHORITY_HEADER]) == ("a.b.c", "a.b.c")
    assert world.tokens.jwks("default")["keys"] == []


async def test_a_token_that_does_not_cover_all_of_a_call_is_not_forwarded() -> None:
    """What answers an upstream's questions is in no token of a remote authority; without a question there is none."""
    authority = Authority(tokens=None, audiences={"default": "d"}, ttl_s=60, remote=True)
    world = World(remote=FakeAuthority())
    outcome = await world.enforcement.call(LOCAL, replace(READ, answers={"q": "x"}), Other(world), FakeCaller())
    assert outcome.message
    [judged] = world.judged
    with pytest.raises(SigningError, match="do not cover answers"):
        await authority.token(judged)
    assert await authority.token(replace(judged, call=READ)) == "a.b.c"
    with pytest.raises(SigningError, match="gave none"):
        await authority.token(replace(judged, call=READ, asked=None))
