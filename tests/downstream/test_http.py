"""The agent-facing front, through its ASGI door, in front of a dispatch that does as it is told."""

from dataclasses import replace

import anyio
import pytest

from tests.downstream.front import (
    ALICE,
    LIMITS,
    call,
    modern,
    world,
)

# --- the head: refused before anything is read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"headers": {"host": "evil.example"}}, 421),
        ({"headers": {"origin": "http://evil.example"}}, 403),
        ({"headers": {"origin": "null"}}, 403),
        ({"key": None}, 401),
        ({"key": "wrong"}, 401),
        ({"key": "alice-key\u00a0"}, 401),
        ({"headers": {"authorization": "Bearer bob-key"}}, 401),
        ({"key": None, "headers": {"authorization": "Basic alice-key"}}, 401),
        ({"headers": {"x-tenant-id": "other"}}, 403),
        ({"more": [("x-tenant-id", "acme"), ("x-tenant-id", "acme")]}, 403),
        ({"path": "/mcp/unknown"}, 404),
        ({"path": "/mcp/"}, 404),
        ({"method": "PUT"}, 405),
        ({"method": "HEAD"}, 405),
        ({"method": "OPTIONS"}, 405),
        ({"key": None, "method": "DELETE"}, 401),
        ({"key": None, "headers": {"x-portal-session-id": "alice-key"}}, 401),
        ({"key": "wrong", "method": "GET"}, 401),
        ({"key": "", "headers": {"x-api-key": " "}}, 401),
        ({"headers": {"x-tenant-id": " "}}, 403),
        ({"method": "GET"}, 405),
        ({"method": "DELETE"}, 405),
        ({"headers": {"content-type": "text/plain"}}, 415),
        ({"headers": {"mcp-method": "tools/list"}}, 400),
        ({"body": b"[]"}, 400),
        ({"body": b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'}, 400),
        ({"body": b'"' + b"x" * 4096 + b'"', "headers": {"content-length": "4098"}}, 413),
    ],
)
async def test_what_is_refused_never_reaches_the_dispatch(request_, status):
    """Every refusal is a JSON-RPC error, recorded, and nothing else happens (issue 2, wire)."""
    async with world() as w:
        answer = await w.ask(**{"method": "POST", "body": modern(name="echo"), **request_})
        assert (answer.status, answer.header("content-type")) == (status, "application/json")
        assert answer.json["jsonrpc"] == "2.0"
        assert answer.error["message"]
        assert w.dispatch.reached == []
        [(principal, source, rejection)] = w.dispatch.refusals
        assert (source, rejection.status) == ("192.0.2.7", status)
        assert principal == (None if status in (401, 421) or "origin" in request_.get("headers", {}) else ALICE)


async def test_an_unauthorized_agent_is_told_what_to_do():
    """SDKs show the message of a JSON-RPC error only (research/ecosystem.md 1.2)."""
    async with world() as w:
        missing = await w.ask(body=modern(), key=None)
        wrong = await w.ask(body=modern(), key="wrong")
    assert missing.header("www-authenticate") == "Bearer"
    assert wrong.header("www-authenticate") == 'Bearer error="invalid_token"'
    assert missing.json["id"] is None
    assert missing.error["code"] == wrong.error["code"] == -32001
    assert "intended keys create" in missing.error["message"]
    assert "wrong" not in wrong.body.decode()


async def test_a_bearer_token_and_the_tenant_header_of_its_owner_are_fine():
    """Either header carries the key (contract, section 1)."""
    async with world() as w:
        headers = {"authorization": "Bearer alice-key", "x-tenant-id": "acme"}
        answer = await w.ask(body=modern(name="echo"), key=None, headers=headers)
        assert answer.status == 200
        assert w.dispatch.reached == [("alice", "tools/call")]


async def test_keyless_mode_takes_no_credential_and_no_wrong_one():
    """A wrong credential is 401 even there (contract, section 1)."""
    async with world(keyless=True) as w:
        assert (await w.ask(body=modern(name="echo"), key=None)).status == 200
        assert (await w.ask(body=modern(name="echo"), key="wrong")).status == 401
        assert (await w.ask(body=modern(name="echo"), key=None, headers={"authorization": "Basic x"})).status == 401
        assert w.dispatch.reached == [("local", "tools/call")]


async def test_credentials_that_cannot_be_checked_are_unavailable():
    """Fail closed: a broken store proves nobody, and says so with 503."""
    async with world() as w:
        w.credentials.down = True
        answer = await w.ask(body=modern(name="echo"))
        assert (answer.status, answer.error["code"], answer.header("retry-after")) == (503, -32603, "1")
        assert "locked" not in answer.body.decode()
        assert w.dispatch.reached == []


async def test_a_refusal_does_not_wait_for_its_record_for_ever():
    """Nothing was done, so its answer does not depend on the audit."""
    async with world(replace(LIMITS, refusal_s=0.01)) as w:
        w.dispatch.stuck_refusals = True
        assert (await w.ask(body=b"[]")).status == 400


async def test_wrong_verbs_name_the_right_ones():
    """RFC 9110, 15.5.6."""
    async with world() as w:
        assert (await w.ask("GET", version="2026-07-28")).header("allow") == "POST"
        assert (await w.ask("DELETE", version="2099-01-01")).header("allow") == "POST"
        assert (await w.ask("PATCH")).header("allow") == "GET, POST, DELETE"


async def test_a_body_that_grows_too_long_is_cut_off():
    """Without Content-Length the bound holds while reading, and the rest stays unread.

    The connection is not closed on it: who is cut off while it writes never reads why.
    """
    async with world() as w:
        answer = await w.ask(chunks=[b"x" * 1000] * 10)
        assert (answer.status, "connection" in answer.headers, answer.unread) == (413, False, 5)
        assert w.dispatch.reached == []


async def test_a_declared_length_beyond_the_bound_is_refused_unread():
    """Nothing of it is read."""
    async with world() as w:
        answer = w.send(chunks=[b"x"] * 10, headers={"content-length": "4097"})
        await answer.finished()
        assert (answer.status, "connection" in answer.headers, answer.unread) == (413, False, 0)


async def test_an_agent_that_leaves_before_its_body_is_whole_gets_nothing():
    """Half a message is none."""
    async with world() as w:
        request = w.send(body=modern(name="echo"), cut=True)
        request.leave()
        await request.finished()
        assert (request.status, w.dispatch.reached, w.dispatch.refusals) == (0, [], [])


async def test_a_front_that_does_not_run_serves_nothing():
    """A task needs an owner; without `running` there is none."""
    async with world() as w:
        w.front._running = False
        assert (await w.ask(body=modern(name="echo"))).status == 503
        assert w.dispatch.reached == []


async def test_who_may_not_call_by_mcp_is_told_so():
    """A key for programs that read the audit is no agent's (contract, "Authentication")."""
    async with world() as w:
        answer = await w.ask(body=modern(name="echo"), key="reader-key")
        assert (answer.status, answer.error["message"]) == (403, "This credential lacks the scope `mcp:call`.")
        assert "www-authenticate" not in answer.headers  # would send clients looking for an OAuth server
        assert w.dispatch.reached == []
        [(principal, _, _)] = w.dispatch.refusals
        assert principal is not None
        assert principal.agent == "reader"


async def test_who_has_used_up_this_minute_is_told_when_the_next_begins():
    """HTTP 429 with a JSON-RPC error (contract, "Rate limits"); one entry, however often it is tried."""
    async with world() as w:
        w.clock.seconds = 1_000 * 60 + 50.5
        answers = [await w.ask(body=modern(name="echo"), key="hasty-key") for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
        for answer in answers[2:]:
            assert answer.header("retry-after") == "10"
            assert answer.error["message"] == "Too many requests: the limit is 2 a minute. Try again in 10 s."
        assert len(w.dispatch.refusals) == 1
        assert (await w.ask(body=modern(name="echo"))).status == 200
        w.clock.seconds += 10
        assert (await w.ask(body=modern(name="echo"), key="hasty-key")).status == 200
        assert w.dispatch.reached == [("hasty", "tools/call")] * 2 + [
            ("alice", "tools/call"),
            ("hasty", "tools/call"),
        ]


async def test_a_probe_without_a_key_finds_nothing():
    """Clients look with GET before they begin: a 401 there reads as an OAuth server (research/ecosystem.md 1.2)."""
    async with world() as w:
        answer = await w.ask("GET", key=None)
        assert (answer.status, answer.header("content-type")) == (404, "application/json")
        assert "www-authenticate" not in answer.headers
        assert (w.dispatch.reached, w.dispatch.refusals) == ([], [])


async def test_a_portal_session_is_no_credential_here_and_harms_none():
    """It is for people and REST (contract, "Authentication")."""
    async with world() as w:
        answer = await w.ask(body=modern(name="echo"), headers={"x-portal-session-id": "bob-key"})
        assert answer.status == 200
        assert w.dispatch.reached == [("alice", "tools/call")]


async def test_what_is_open_ends_with_its_key():
    """A revoked key holds no stream and no session; its neighbours keep theirs (issue 3)."""
    async with world() as w:
        session, other = await w.open_session(), await w.open_session("bob-key")
        listening = w.send("GET", session=session)
        await listening.started()
        subscribed = w.send(body=modern("subscriptions/listen"))
        await subscribed.events(1)
        theirs = w.send("GET", session=other, key="bob-key")
        await theirs.started()
        w.credentials.ended.add("alice-key")
        w.front.review()
        await listening.finished()
        await subscribed.finished()
        assert (listening.done, subscribed.done) == (True, True)
        assert (await w.ask(body=call(), session=session)).status == 401
        assert (await w.ask(body=call(), session=session, key="alice-other-key")).status == 404
        assert (await w.ask(body=call(), session=other, key="bob-key")).status == 200
        assert not theirs.over


async def test_a_modern_call_in_flight_ends_with_its_key():
    """One that waits for its human would run, for a key that has ended meanwhile, the moment the human says yes."""
    async with world() as w:
        answer = w.send(body=modern(name="hang"))
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        w.credentials.ended.add("alice-key")
        w.front.review()
        await answer.finished()
        assert (answer.status, w.dispatch.ended) == (503, ["cancelled"])


async def test_a_key_that_runs_out_ends_what_is_open_within_a_round():
    """Nobody says so at that moment; the housekeeping looks."""
    async with world(replace(LIMITS, housekeeping_s=0.01)) as w:
        session = await w.open_session()
        listening = w.send("GET", session=session)
        await listening.started()
        w.credentials.ended.add("alice-key")
        await listening.finished()
        assert listening.done
        assert len(w.front.sessions) == 0


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["boom", "stream_boom"])
async def test_an_unforeseen_fault_is_a_plain_internal_error(tool, caplog):
    """What broke may hold secrets: neither the agent nor the log sees its message."""
    async with world() as w:
        answer = await w.ask(body=modern(name=tool, request_id="r7"))
        message = answer.json if tool == "boom" else answer.seen()[-1].data
        assert answer.status == (500 if tool == "boom" else 200)
        assert (message["id"], message["error"]["code"]) == ("r7", -32603)
        assert "swordfish" not in answer.body.decode() + caplog.text
        assert "RuntimeError" in caplog.text
        session = await w.open_session()
        answer = await w.ask(body=call(tool), session=session)
        message = answer.json if tool == "boom" else answer.seen()[-1].data
        assert message["error"]["code"] == -32603
        assert (await w.ask(body=call(), session=session)).status == 200


async def test_a_fault_before_the_message_is_read_is_answered_too():
    """The one place that catches covers the whole way."""
    async with world() as w:
        w.front._gate = None
        answer = await w.ask(body=modern())
        assert (answer.status, answer.json["id"], answer.error["code"]) == (500, None, -32603)
