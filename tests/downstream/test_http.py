"""The agent-facing front, through its ASGI door, in front of a dispatch that does as it is told."""

from dataclasses import replace

import anyio
import pytest

from gateway.services.dispatch import Reply
from tests.downstream.front import (
    ALICE,
    HANDSHAKE,
    LIMITS,
    Exchange,
    call,
    eventually,
    initialize,
    modern,
    notice,
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
    """Without Content-Length the bound holds while reading, and the rest stays unread."""
    async with world() as w:
        answer = await w.ask(chunks=[b"x" * 1000] * 10)
        assert (answer.status, answer.header("connection"), answer.unread) == (413, "close", 5)
        assert w.dispatch.reached == []


async def test_a_declared_length_beyond_the_bound_is_refused_unread():
    """Nothing of it is read."""
    async with world() as w:
        answer = w.send(chunks=[b"x"] * 10, headers={"content-length": "4097"})
        await answer.finished()
        assert (answer.status, answer.header("connection"), answer.unread) == (413, "close", 0)


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


# --- modern era -------------------------------------------------------------------------------------------------------


async def test_a_modern_call_is_answered_as_json():
    """An answer that nothing precedes needs no stream (2026-07-28, Streamable HTTP)."""
    async with world() as w:
        answer = await w.ask(body=modern(name="echo", arguments={"a": 1}))
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        assert answer.json == {
            "jsonrpc": "2.0",
            "id": 1,
            "result": {"content": [{"type": "text", "text": '{"a": 1}'}], "resultType": "complete"},
        }


async def test_a_modern_request_ignores_and_never_gets_a_session():
    """The header means nothing in this era."""
    async with world() as w:
        answer = await w.ask(body=modern(name="echo"), session="whatever")
        assert answer.status == 200
        assert "mcp-session-id" not in answer.headers
        assert len(w.front.sessions) == 0


async def test_the_reply_says_the_status_of_a_plain_answer():
    """An unknown method is 404 in this era."""
    async with world() as w:
        answer = await w.ask(body=modern("nope"))
        assert (answer.status, answer.error["code"]) == (404, -32601)


async def test_messages_before_the_answer_make_it_a_stream():
    """Progress arrives when it is sent; the answer is the last event, and nothing has an id to resume from."""
    async with world() as w:
        answer = await w.ask(body=modern(name="progress"))
        assert answer.header("content-type") == "text/event-stream"
        *progress, last = answer.seen()
        assert [event.data["params"]["progress"] for event in progress] == [1, 2, 3]
        assert last.data["result"]["content"][0]["text"] == "done"
        assert {event.id for event in answer.seen()} == {""}
        assert answer.done


async def test_a_listen_stream_opens_at_once():
    """Its first message is the acknowledgement; the agent must see it before anything changes."""
    async with world() as w:
        answer = w.send(body=modern("subscriptions/listen", notifications={}))
        [acknowledged] = await answer.events(1)
        assert acknowledged.data["method"] == "notifications/subscriptions/acknowledged"
        w.dispatch.release.set()
        await answer.finished()
        assert answer.seen()[-1].data["result"] == {"resultType": "complete"}


async def test_a_long_silence_opens_the_stream_and_is_filled_with_comments():
    """Proxies cut what stays silent; the protocol wants a comment at least every 15 s."""
    async with world(replace(LIMITS, keep_alive_s=0.01)) as w:
        answer = w.send(body=modern(name="hang"))
        await answer.until(lambda: answer.body.count(b": ping\n\n") >= 2)
        assert answer.header("content-type") == "text/event-stream"
        w.dispatch.release.set()
        await answer.finished()
        assert answer.seen()[-1].data["result"]["content"]


async def test_a_modern_agent_that_leaves_cancels_its_call():
    """Closing the response stream is this era's cancellation; nothing of the call stays behind."""
    async with world() as w:
        tasks = len(anyio.get_running_tasks())
        for name in ("hang", "talk"):
            answer = w.send(body=modern(name=name))
            with anyio.fail_after(5):
                await w.dispatch.arrived.wait()
            answer.leave()
            await answer.finished()
        assert w.dispatch.ended == ["cancelled", "cancelled"]
        assert not answer.done
        await eventually(lambda: len(anyio.get_running_tasks()) == tasks)


async def test_the_dispatch_can_ask_at_any_moment_whether_the_agent_is_there():
    """Never forward once the caller is gone: checked last before the first byte (design, section 4)."""
    async with world(replace(LIMITS, attend_after_s=60)) as w:
        answer = w.send(body=modern(name="hang"))
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        [caller] = w.dispatch.callers
        assert not caller.gone()
        answer.leave()
        assert caller.gone()
        assert caller.gone()
        w.dispatch.release.set()
        await answer.finished()


async def test_a_modern_agent_cannot_be_asked_or_put_off():
    """There are no requests to the agent in this era, and no stream to resume."""
    async with world() as w:
        answer = await w.ask(body=modern(name="elicit"))
        assert "cannot be sent to an agent of this era" in answer.json["result"]["content"][0]["text"]
        w.dispatch.release.set()
        assert (await w.ask(body=modern(name="pause"))).done


async def test_modern_notifications_are_taken_and_dropped():
    """Honouring `notifications/cancelled` here would let one caller cancel another's work."""
    async with world() as w:
        body = {**modern("notifications/cancelled", requestId=1)}
        del body["id"]
        answer = await w.ask(body=body)
        assert (answer.status, answer.body) == (202, b"")
        assert (w.dispatch.reached, w.dispatch.notices) == ([], [])


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


# --- handshake era: sessions ------------------------------------------------------------------------------------------


async def test_initialize_answers_with_a_session_id():
    """Visible ASCII, ours, and new each time; an old id that comes along means nothing."""
    async with world() as w:
        first = await w.ask(body=initialize())
        second = await w.ask(body=initialize(), session=first.header("mcp-session-id"))
        assert first.json["result"]["protocolVersion"] == HANDSHAKE
        assert first.header("mcp-session-id") != second.header("mcp-session-id")
        assert len(w.front.sessions) == 2


async def test_a_session_call_is_answered_as_json():
    """The handshake era's hot path."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=call(a=1), session=session, version=HANDSHAKE)
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        assert answer.json["result"]["content"][0]["text"] == '{"a": 1}'


async def test_a_refused_initialize_leaves_no_session():
    """The dispatch's refusal is the answer."""
    async with world() as w:
        w.dispatch.refuse_initialize = Reply(message={"error": {"code": -32602, "message": "no"}}, status=400)
        answer = await w.ask(body=initialize())
        assert (answer.status, answer.error["message"]) == (400, "no")
        assert "mcp-session-id" not in answer.headers
        assert len(w.front.sessions) == 0


async def test_an_agent_that_leaves_during_initialize_leaves_no_session():
    """Nobody would ever learn the id; its upstream sessions are ended."""
    async with world() as w:
        answer = w.send(body=initialize(hang=True))
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        answer.leave()
        w.dispatch.release.set()
        await answer.finished()
        assert len(w.front.sessions) == 0
        assert [c.closed for c in w.dispatch.conversations] == [1]


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_session_is_nobodys_but_its_own(method):
    """Session theft: unknown, ended and foreign ids get the same answer (protocol research, section 2)."""
    async with world() as w:
        session = await w.open_session()
        ended = await w.open_session()
        await w.ask("DELETE", session=ended)
        w.dispatch.reached.clear()
        body = call() if method == "POST" else b""
        answers = [
            await w.ask(method, body=body, session=session, key="bob-key"),
            await w.ask(method, body=body, session=session, key="alice-other-key"),
            await w.ask(method, body=body, session=session, path="/mcp/files"),
            await w.ask(method, body=body, session=ended),
            await w.ask(method, body=body, session="made-up"),
        ]
        assert {answer.status for answer in answers} == {404}
        assert len({answer.body for answer in answers}) == 1
        assert w.dispatch.reached == []
        assert (await w.ask(body=call(), session=session)).status == 200


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_session_is_named_once_and_with_its_version(method):
    """400 where the id is missing or doubled, or the version is not the agreed one."""
    async with world() as w:
        session = await w.open_session()
        w.dispatch.reached.clear()
        body = call() if method == "POST" else b""
        twice = [("mcp-session-id", session)]
        assert (await w.ask(method, body=body)).status == 400
        assert (await w.ask(method, body=body, session=session, more=twice)).status == 400
        assert (await w.ask(method, body=body, session=session, version="2025-06-18")).status == 400
        assert w.dispatch.reached == []


async def test_delete_ends_the_session():
    """Its conversation is closed, what was in flight is over, and the id is unknown from then on."""
    async with world() as w:
        session = await w.open_session()
        calls = [w.send(body=call("hang", 1), session=session), w.send(body=call("talk", 2), session=session)]
        stream = w.send("GET", session=session)
        await stream.started()
        await calls[1].events(2)
        answer = await w.ask("DELETE", session=session)
        assert (answer.status, answer.body) == (200, b"")
        for exchange in (*calls, stream):
            await exchange.finished()
        assert (calls[0].status, calls[0].error["message"]) == (404, "Session not found")
        assert calls[1].seen()[-1].data["error"]["message"] == "Session not found"
        assert stream.done
        assert w.dispatch.ended == ["cancelled", "cancelled"]
        assert [c.closed for c in w.dispatch.conversations] == [1]
        assert (await w.ask("DELETE", session=session)).status == 404
        assert (await w.ask(body=call(), session=session)).status == 404


async def test_other_notifications_go_to_the_dispatch():
    """202 without a body."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=notice("notifications/initialized"), session=session)
        assert (answer.status, answer.body) == (202, b"")
        assert w.dispatch.notices == ["notifications/initialized"]


async def test_all_sessions_end_with_the_front():
    """Upstream sessions are not left open at shutdown, and a stream that only waits does not hold it up."""
    async with world() as w:
        session = await w.open_session()
        other = await w.open_session()
        stream = w.send("GET", session=session)
        listening = w.send(body=modern("subscriptions/listen"))
        hanging = w.send(body=call("hang"), session=other)
        await stream.started()
        await listening.events(1)
        w.front.drain()
        await stream.finished()
        await listening.finished()
        assert stream.done
        assert listening.done
        assert (await w.ask(body=initialize())).status == 503
        await w.front.sessions.close()
        await hanging.finished()
        assert [c.closed for c in w.dispatch.conversations] == [1, 1]


async def test_a_session_that_opens_while_the_front_stops_is_closed_again():
    """Its upstream sessions came too late to be used."""
    async with world() as w:
        answer = w.send(body=initialize(hang=True))
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        await w.front.sessions.close()
        w.dispatch.release.set()
        await answer.finished()
        assert answer.status == 503
        assert [c.closed for c in w.dispatch.conversations] == [1]


async def test_a_listen_that_was_not_acknowledged_yet_is_told_when_the_front_stops():
    """No answer is left unstarted."""
    async with world() as w:
        w.dispatch._do = lambda *_: anyio.sleep_forever()
        answer = w.send(body=modern("subscriptions/listen"))
        await eventually(lambda: w.dispatch.reached)
        w.front.drain()
        await answer.finished()
        assert answer.status == 503


# --- handshake era: requests ------------------------------------------------------------------------------------------


async def test_an_id_in_flight_is_not_taken_twice():
    """Two answers under one id could not be told apart; 1 and "1" are two ids."""
    async with world() as w:
        session = await w.open_session()
        first = w.send(body=call("hang", 1), session=session)
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        second = await w.ask(body=call("echo", 1), session=session)
        assert (second.status, second.error["code"], second.json["id"]) == (400, -32600, 1)
        assert (await w.ask(body=call("echo", "1"), session=session)).status == 200
        w.dispatch.release.set()
        await first.finished()
        assert (await w.ask(body=call("echo", 1), session=session)).status == 200
        assert w.dispatch.reached.count(("session", "tools/call")) == 3


async def test_cancelled_ends_the_request_of_that_session_only():
    """By the agent's own id; unknown ids and those of other sessions are ignored."""
    async with world() as w:
        session, other = await w.open_session(), await w.open_session(key="bob-key")
        hanging = w.send(body=call("hang", 7), session=session)
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        for request_id in (8, "7", None, True, [7]):
            notification = notice("notifications/cancelled", requestId=request_id)
            assert (await w.ask(body=notification, session=session)).status == 202
        await w.ask(body=notice("notifications/cancelled", requestId=7), session=other, key="bob-key")
        assert w.dispatch.ended == []
        await w.ask(body=notice("notifications/cancelled", requestId=7), session=session)
        await hanging.finished()
        assert w.dispatch.ended == ["cancelled"]
        assert w.dispatch.notices == []
        assert (hanging.status, hanging.json["id"], hanging.error["code"]) == (200, 7, -32800)


async def test_a_handshake_stream_can_be_resumed():
    """2025-11-25: an empty first event with `retry`, an id on every event, the answer last."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=call("progress"), session=session)
        priming, *events = answer.seen()
        assert (priming.data, priming.retry) == (None, "1000")
        assert [event.data.get("method", "answer") for event in events] == ["notifications/progress"] * 3 + ["answer"]
        assert len({event.id for event in answer.seen()}) == 5
        older = await w.open_session(version="2025-06-18")
        answer = await w.ask(body=call("progress"), session=older)
        assert [bool(event.id) for event in answer.seen()] == [True] * 4
        assert answer.seen()[0].data["method"] == "notifications/progress"


async def test_an_agent_that_names_streams_first_gets_one():
    """The conformance suite asks so, and wants concurrent streams (server-sse-multiple-streams)."""
    async with world() as w:
        session = await w.open_session()
        accept = {"accept": "text/event-stream, application/json"}
        answers = [w.send(body=call("echo", i), session=session, headers=accept) for i in range(3)]
        for answer in answers:
            await answer.finished()
            assert [event.data is None for event in answer.seen()] == [True, False]


async def test_a_silent_handshake_call_gets_a_stream_and_comments():
    """As in the modern era."""
    async with world(replace(LIMITS, keep_alive_s=0.01)) as w:
        session = await w.open_session()
        answer = w.send(body=call("hang"), session=session)
        await answer.until(lambda: answer.body.count(b": ping\n\n") >= 2)
        w.dispatch.release.set()
        await answer.finished()
        assert answer.seen()[0].data is None
        assert answer.seen()[-1].data["result"]


async def test_a_handshake_agent_that_leaves_does_not_cancel():
    """A broken connection is no cancellation in this era; the answer is kept for the one who resumes."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("talk"), session=session)
        priming, before = await answer.events(2)
        answer.leave()
        await eventually(lambda: not w.front.sessions._all[session].log._streams[priming.id.split("_")[0]].listener)
        assert not w.dispatch.callers[-1].gone()
        w.dispatch.release.set()
        await answer.finished()
        assert w.dispatch.ended == ["done"]
        assert len(answer.seen()) == 2
        resumed = await w.ask("GET", session=session, headers={"last-event-id": before.id})
        assert resumed.header("content-type") == "text/event-stream"
        after, last = resumed.seen()
        assert after.data["params"]["data"] == "after"
        assert last.data["result"]["content"][0]["text"] == "released, gone=False"
        assert resumed.done
        again = await w.ask("GET", session=session, headers={"last-event-id": priming.id})
        assert [event.id for event in again.seen()] == [before.id, after.id, last.id]


async def test_a_handshake_agent_that_leaves_without_an_event_id_is_gone():
    """It has nothing to resume from: the work goes on, but nothing new may be begun for it."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("hang"), session=session)
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        assert not w.dispatch.callers[-1].gone()
        answer.leave()
        assert w.dispatch.callers[-1].gone()
        await w.dispatch.callers[-1].notify("notifications/message", {})
        w.dispatch.release.set()
        await answer.finished()
        assert w.dispatch.ended == ["done"]
        assert answer.body == b""


async def test_a_stream_is_resumed_while_its_call_still_runs():
    """The agent reconnects before we notice that its connection broke: the newer one takes over."""
    async with world() as w:
        session = await w.open_session()
        first = w.send(body=call("talk"), session=session)
        priming, _ = await first.events(2)
        second = w.send("GET", session=session, headers={"last-event-id": priming.id})
        await second.events(1)
        third = w.send("GET", session=session, headers={"last-event-id": priming.id})
        await third.events(1)
        await second.finished()
        assert second.done
        w.dispatch.release.set()
        await first.finished()
        await third.finished()
        assert first.done
        assert len(first.seen()) == 2
        assert [event.data.get("method", "answer") for event in third.seen()] == [
            "notifications/message",
            "notifications/message",
            "answer",
        ]


async def test_a_stream_is_paused_and_resumed():
    """SEP-1699: the connection ends in the middle of a call, the agent comes back (server-sse-polling)."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("pause"), session=session)
        await answer.until(lambda: answer.done)
        assert not answer.over
        resumed = w.send("GET", session=session, headers={"last-event-id": answer.seen()[-1].id})
        await resumed.started()
        w.dispatch.release.set()
        await resumed.finished()
        assert [event.data["id"] for event in resumed.seen()] == [1]
        older = await w.open_session(version="2025-06-18")
        assert (await w.ask(body=call("pause"), session=older)).seen()[-1].data["result"]


@pytest.mark.parametrize("event_id", ["", "x", "x_1", "{token}_9", "{token}_x", "{token}_-1", "{token}_", "{other}_0"])
async def test_only_a_stream_of_this_session_is_resumed(event_id):
    """Event ids of another session, or made up, name nothing (protocol research, 1.2)."""
    async with world() as w:
        session, other = await w.open_session(), await w.open_session(key="bob-key")
        mine = await w.ask(body=call("progress"), session=session)
        foreign = await w.ask(body=call("progress"), session=other, key="bob-key")
        token = mine.seen()[0].id.rpartition("_")[0]
        event_id = event_id.format(token=token, other=foreign.seen()[0].id.rpartition("_")[0])
        answer = await w.ask("GET", session=session, more=[("last-event-id", event_id)])
        assert (answer.status, answer.error["code"]) == (400, -32600)
        twice = [("last-event-id", mine.seen()[0].id)] * 2
        assert (await w.ask("GET", session=session, more=twice)).status == 400


async def test_events_are_kept_for_a_while_only():
    """The buffer is bounded in seconds."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=call("progress"), session=session)
        w.clock.seconds += LIMITS.event_buffer_s + 1
        resumed = await w.ask("GET", session=session, headers={"last-event-id": answer.seen()[0].id})
        assert resumed.status == 400


async def test_an_answer_too_large_to_keep_says_so():
    """The buffer is bounded in bytes; whoever listens gets everything, whoever comes back gets an error."""
    async with world(replace(LIMITS, event_buffer_bytes=4000)) as w:
        session = await w.open_session()
        staying = w.send(body=call("big", 1), session=session)
        leaving = w.send(body=call("big", 2), session=session)
        await staying.events(2)
        await leaving.events(2)
        leaving.leave()
        await eventually(lambda: not w.front.sessions._all[session].log.find(leaving.seen()[0].id)[0].listener)
        w.dispatch.release.set()
        await staying.finished()
        await leaving.finished()
        assert len(staying.seen()[-1].data["result"]["content"][0]["text"]) == 5000
        resumed = await w.ask("GET", session=session, headers={"last-event-id": leaving.seen()[-1].id})
        assert resumed.seen()[-1].data["error"]["message"].startswith("The answer was too large to keep")


async def test_a_handler_that_the_server_cancels_leaves_nothing_behind():
    """As uvicorn does when a graceful stop takes too long: no attendant, no id in flight, no listener remains."""
    async with world() as w:
        session = await w.open_session()
        running = len(anyio.get_running_tasks())
        for name, key in (("hang", {}), ("talk", {}), ("hang", {"session": session}), ("talk", {"session": session})):
            body = call(name) if key else modern(name=name)
            async with anyio.create_task_group() as tasks:
                w.dispatch.arrived = anyio.Event()
                exchange = Exchange("POST", "/mcp", body=body, **key)
                tasks.start_soon(exchange.run, w.front)
                with anyio.fail_after(5):
                    await w.dispatch.arrived.wait()
                await eventually(lambda: w.front._usher._attended)
                tasks.cancel_scope.cancel()
        stream = Exchange("GET", "/mcp", session=session)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, w.front)
            await stream.started()
            tasks.cancel_scope.cancel()
        assert w.dispatch.ended == ["cancelled"] * 4
        await eventually(lambda: len(anyio.get_running_tasks()) == running)
        assert w.front.sessions._all[session].idle
        assert (await w.ask(body=call(), session=session)).status == 200


# --- handshake era: the GET stream ------------------------------------------------------------------------------------


async def test_the_get_stream_carries_what_belongs_to_no_request():
    """Kept in order while nobody listens, and sent once."""
    async with world() as w:
        session = await w.open_session()
        [channel] = w.dispatch.channels
        await channel.notify("notifications/tools/list_changed", {})
        stream = w.send("GET", session=session)
        priming, first = await stream.events(2)
        assert (priming.data, priming.retry) == (None, "1000")
        assert first.data == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        await channel.notify("notifications/message", {"level": "info", "data": 1})
        await stream.events(3)
        stream.leave()
        await stream.finished()
        await channel.notify("notifications/message", {"level": "info", "data": 2})
        again = w.send("GET", session=session)
        _, event = await again.events(2)
        assert event.data["params"]["data"] == 2
        resumed = w.send("GET", session=session, headers={"last-event-id": first.id})
        assert [event.data["params"]["data"] for event in await resumed.events(2)] == [1, 2]
        await again.finished()


async def test_there_is_one_get_stream():
    """As the SDK answers; another after the first has ended is fine."""
    async with world() as w:
        session = await w.open_session()
        first = w.send("GET", session=session)
        await first.started()
        second = await w.ask("GET", session=session)
        assert second.status == 409
        first.leave()
        await first.finished()
        third = w.send("GET", session=session)
        await third.started()
        assert third.status == 200


async def test_get_needs_an_agent_that_takes_streams():
    """406, and no stream is taken."""
    async with world() as w:
        session = await w.open_session()
        assert (await w.ask("GET", session=session, headers={"accept": "application/json"})).status == 406
        stream = w.send("GET", session=session)
        await stream.started()
        assert stream.status == 200


async def test_a_silent_get_stream_is_kept_alive():
    """Comments only."""
    async with world(replace(LIMITS, keep_alive_s=0.01)) as w:
        session = await w.open_session(version="2025-03-26")
        stream = w.send("GET", session=session)
        await stream.until(lambda: stream.body.count(b": ping\n\n") >= 2)
        assert stream.seen() == []


# --- handshake era: questions to the agent ----------------------------------------------------------------------------


async def test_an_agent_is_asked_on_the_stream_of_its_call():
    """The question carries our id; the answer comes by POST and is 202."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("elicit", 1), session=session)
        _, question = await answer.events(2)
        assert question.data["method"] == "elicitation/create"
        reply = {"jsonrpc": "2.0", "id": question.data["id"], "result": {"action": "accept", "content": {"name": "x"}}}
        foreign = await w.open_session(key="bob-key")
        assert (await w.ask(body=reply, session=foreign, key="bob-key")).status == 400
        taken = await w.ask(body=reply, session=session)
        assert (taken.status, taken.body) == (202, b"")
        await answer.finished()
        text = answer.seen()[-1].data["result"]["content"][0]["text"]
        assert text == '{"result": {"action": "accept", "content": {"name": "x"}}}'
        assert (await w.ask(body=reply, session=session)).status == 400


async def test_an_agent_is_asked_on_its_get_stream():
    """Buffered until somebody listens; an error is an answer as well."""
    async with world() as w:
        session = await w.open_session()
        answers = []

        async def ask() -> None:
            answers.append(await w.dispatch.channels[0].ask("roots/list", {}))

        w.tasks.start_soon(ask)
        stream = w.send("GET", session=session)
        _, question = await stream.events(2)
        error = {"code": -32601, "message": "no roots"}
        await w.ask(body={"jsonrpc": "2.0", "id": question.data["id"], "error": error}, session=session)
        await eventually(lambda: answers)
        assert answers == [{"error": error}]


@pytest.mark.parametrize("reply_id", ["intended-1", "x", 1])
async def test_an_answer_to_no_question_is_refused(reply_id):
    """Nobody may answer what was not asked in this session."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body={"jsonrpc": "2.0", "id": reply_id, "result": {}}, session=session)
        assert (answer.status, answer.error["code"]) == (400, -32600)


async def test_a_question_that_is_not_answered_in_time_is_withdrawn():
    """The one who asks gets an error, the agent a cancellation."""
    async with world(replace(LIMITS, ask_timeout_s=0.02)) as w:
        session = await w.open_session()
        answer = await w.ask(body=call("elicit"), session=session)
        _, question, withdrawn, last = answer.seen()
        assert withdrawn.data["method"] == "notifications/cancelled"
        assert withdrawn.data["params"] == {"requestId": question.data["id"]}
        assert "did not answer" in last.data["result"]["content"][0]["text"]


async def test_a_question_ends_with_its_call_and_with_its_session():
    """Nothing waits for an answer that cannot come."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("elicit", 1), session=session)
        await answer.events(2)
        await w.ask(body=notice("notifications/cancelled", requestId=1), session=session)
        await answer.finished()
        assert [event.data.get("method") for event in answer.seen()[1:]] == [
            "elicitation/create",
            "notifications/cancelled",
            None,
        ]
        answers = []

        async def ask() -> None:
            answers.append(await w.dispatch.channels[0].ask("roots/list", {}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            stream = w.send("GET", session=session)
            await stream.events(2)
            await w.ask("DELETE", session=session)
        assert "error" in answers[0]
        assert "error" in await w.dispatch.channels[0].ask("roots/list", {})
        await w.dispatch.channels[0].notify("notifications/message", {})
        await stream.finished()


async def test_open_questions_are_bounded():
    """One session cannot make the gateway hold any number of them."""
    async with world(replace(LIMITS, questions_per_session=1)) as w:
        session = await w.open_session()
        first = w.send(body=call("elicit", 1), session=session)
        await first.events(2)
        second = await w.ask(body=call("elicit", 2), session=session)
        assert "takes no more questions" in second.json["result"]["content"][0]["text"]


async def test_how_long_an_agent_would_wait_reaches_whoever_holds_its_call():
    """`Prefer: wait=N`, in both eras; it is a word to the gateway and goes no further (RFC 7240)."""
    async with world() as w:
        await w.ask(body=modern(name="echo"), headers={"prefer": "wait=9"})
        session = await w.open_session()
        await w.ask(body=call("echo"), session=session, headers={"prefer": "wait=8"})
        await w.ask(body=call("echo"), session=session)
        assert [caller.prefer for caller in w.dispatch.callers] == ["wait=9", "wait=8", ""]
