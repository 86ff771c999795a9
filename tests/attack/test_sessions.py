"""Sessions, rounds and streams: one agent's are nobody else's, and none is a way around a decision."""

import json
from collections.abc import Iterator

import pytest

from gateway.core.versions import HANDSHAKE_VERSIONS
from tests.attack.agent import Agent, call, meta, modern_headers, open_session, request, tool
from tests.attack.guarded import Guarded, guarded
from tests.attack.spy import Spy, answer, result, spying

POLICY = """\
apiVersion: intended/v1
policySet: attack
rules:
  - {id: echo, effect: allow, match: {tools: [echo]}}
  - {id: never-mallory, effect: deny, match: {tools: [echo]}, when: "has(args.name) && args.name == 'mallory'"}
  - {id: forms, effect: allow, match: {methods: [elicitation/create]}}
"""


@pytest.fixture(scope="module")
def spies() -> Iterator[tuple[Spy, Spy]]:
    with spying() as one, spying() as other:
        yield one, other


@pytest.fixture(scope="module")
def served(spies: tuple[Spy, Spy], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    one, other = spies
    with guarded(tmp_path_factory.mktemp("sessions"), f"one={one.url}", f"other={other.url}", policy=POLICY) as running:
        yield running


@pytest.fixture
def agent(served: Guarded, spies: tuple[Spy, Spy]) -> Iterator[Agent]:
    running = served.agent()
    for spy in spies:
        spy.lie = lambda request: None
        spy.forget()
    yield running
    running.close()


def with_session(headers: list[tuple[str, str]], session: str) -> list[tuple[str, str]]:
    return [(name, session if name == "Mcp-Session-Id" else value) for name, value in headers]


@pytest.mark.parametrize("version", HANDSHAKE_VERSIONS)
def test_a_session_is_good_on_its_own_path_only(agent: Agent, spies: tuple[Spy, Spy], version: str) -> None:
    """A session opened for one upstream must not be a way to another, nor out of the names of all."""
    headers = open_session(agent, version, "/mcp/one")
    body = call("tools/call", {"name": "echo", "arguments": {}})
    for path in ("/mcp", "/mcp/other"):
        assert agent.post(body, headers, path).status == 404
        assert agent.raw(request(b"", headers, path, verb="DELETE")).status == 404
        assert agent.raw(request(b"", [("Accept", "text/event-stream"), *headers[2:]], path, verb="GET")).status == 404
    assert [spy.acts() for spy in spies] == [[], []]
    assert agent.post(body, headers, "/mcp/one").status == 200
    assert [len(spy.acts()) for spy in spies] == [1, 0]


def test_a_session_that_does_not_exist_reads_like_one_that_is_not_yours(agent: Agent) -> None:
    """Otherwise an answer would tell which guess was right."""
    headers = open_session(agent, "2025-11-25", "/mcp/one")
    mine = dict(headers)["Mcp-Session-Id"]
    body = call("tools/call", {"name": "echo", "arguments": {}})
    found = [
        agent.post(body, with_session(headers, session), path)
        for session, path in (
            (mine, "/mcp"),
            ("made-up", "/mcp"),
            (mine[:-1], "/mcp/one"),
            (mine.swapcase(), "/mcp/one"),
            ("spy-session", "/mcp/one"),
            ("../" + mine, "/mcp/one"),
            ("*", "/mcp/one"),
            ("\xe9", "/mcp/one"),
        )
    ]
    assert {(one.status, one.body) for one in found} == {(404, found[0].body)}
    for doubled in (
        [*headers, ("Mcp-Session-Id", mine)],
        [*headers, ("Mcp-Session-Id", "x")],
        [("Mcp-Session-Id", "x"), *headers],
    ):
        assert agent.post(body, doubled, "/mcp/one").status == 400


def test_an_event_id_of_another_session_resumes_nothing(agent: Agent, spies: tuple[Spy, Spy]) -> None:
    """What one session was told is not for the next one that guesses or steals the place."""
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "PRIVATE"}}
    spies[0].lie = lambda request: (
        answer(
            b"".join(
                b"data: " + json.dumps(one).encode() + b"\n\n"
                for one in (note, {"jsonrpc": "2.0", "id": request.rpc["id"], "result": {"content": []}})
            ),
            media="text/event-stream",
        )
        if request.method == "tools/call"
        else None
    )
    mine, theirs = open_session(agent, "2025-11-25", "/mcp/one"), open_session(agent, "2025-11-25", "/mcp/one")
    told = agent.post(call("tools/call", {"name": "echo"}), mine, "/mcp/one")
    assert b"PRIVATE" in told.body
    place = next(line[4:] for line in told.body.decode().splitlines() if line.startswith("id: "))
    for event_id in (place, place.rpartition("_")[0] + "_1", "_0", "x_0", "0", place + "0"):
        for headers in (theirs, [*theirs, ("Last-Event-ID", event_id)]):
            stolen = agent.raw(
                request(
                    b"",
                    [("Last-Event-ID", event_id), ("Accept", "text/event-stream"), *headers[2:]],
                    "/mcp/one",
                    verb="GET",
                )
            )
            assert stolen.status == 400
            assert b"PRIVATE" not in stolen.body


def test_an_answer_to_nothing_that_was_asked_is_refused(agent: Agent, spies: tuple[Spy, Spy]) -> None:
    """A made-up answer must not reach an upstream that waits for a true one."""
    for version in HANDSHAKE_VERSIONS:
        headers = open_session(agent, version, "/mcp/one")
        before = len(spies[0].received)
        for identifier in ("intended-1", "intended-2", 1, 0, -1, "1", "", "x"):
            for payload in (
                {"result": {}},
                {"error": {"code": 1, "message": "x"}},
                {"result": {"action": "accept", "content": {}}},
            ):
                assert agent.post({"jsonrpc": "2.0", "id": identifier, **payload}, headers, "/mcp/one").status == 400
        assert len(spies[0].received) == before
    assert agent.post({"jsonrpc": "2.0", "id": 1, "result": {}}, modern_headers("x"), "/mcp/one").status == 400


def test_nobody_cancels_what_is_not_his(agent: Agent, spies: tuple[Spy, Spy]) -> None:
    """Ids are counted from 1 by every client: another session's cancellation must not name mine."""
    mine, theirs = open_session(agent, "2025-11-25", "/mcp/one"), open_session(agent, "2025-11-25", "/mcp/one")
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    another = Agent(agent.port)

    def meanwhile(received):
        if received.method != "tools/call":
            return None
        sent = [
            another.post({**cancelled, "params": {"requestId": which}}, theirs, "/mcp/one").status
            for which in (7, "7", 1, 2, 3, True, None)
        ]
        sent.append(another.post(cancelled, modern_headers("notifications/cancelled"), "/mcp/one").status)
        return result(received, {"content": [{"type": "text", "text": str(set(sent))}]})

    spies[0].lie = meanwhile
    found = agent.post(call("tools/call", {"name": "echo"}, 7), mine, "/mcp/one")
    another.close()
    assert found.message["result"]["content"][0]["text"] == "{202}"
    assert "notifications/cancelled" not in {one.method for one in spies[0].received}


# --- rounds (2026-07-28, multi round-trip requests) -------------------------------------------------------------------


def asks(received) -> bytes | None:
    """An upstream that needs one more thing, and keeps what it knows in its state."""
    if received.method != "tools/call" or "requestState" in received.rpc["params"]:
        return None
    form = {
        "method": "elicitation/create",
        "params": {"message": "sure?", "mode": "form", "requestedSchema": {"type": "object", "properties": {}}},
    }
    return result(
        received,
        {
            "resultType": "input_required",
            "inputRequests": {"sure": form},
            "requestState": "state-of-" + json.dumps(received.rpc["params"]["arguments"]),
        },
    )


def test_a_round_goes_on_with_what_was_asked_first(agent: Agent, spies: tuple[Spy, Spy]) -> None:
    """An allowed first round must not carry other arguments in with the second, nor another agent's state."""
    spies[0].lie = asks
    own = {"_meta": meta(elicitation={"form": {}})}
    first = agent.post(
        call("tools/call", {"name": "echo", "arguments": {"name": "alice"}, **own}),
        modern_headers("tools/call", "echo"),
        "/mcp/one",
    )
    assert first.message["result"]["resultType"] == "input_required"
    state = first.message["result"]["requestState"]
    spies[0].forget()
    more = {"inputResponses": {"sure": {"action": "accept", "content": {}}}, "requestState": state}
    again = call("tools/call", {"name": "echo", "arguments": {"name": "alice"}, **own, **more})
    changed = call("tools/call", {"name": "echo", "arguments": {"name": "mallory"}, **own, **more})
    denied = agent.post(changed, modern_headers("tools/call", "echo"), "/mcp/one")
    assert denied.message["error"]["code"] == -32602
    assert spies[0].acts() == []
    theirs = 'state-of-{"name": "alice"}'
    for made_up in (theirs, state[:-1], state.swapcase(), 5, ""):
        body = {**again, "params": {**again["params"], "requestState": made_up}}
        found = agent.post(body, modern_headers("tools/call", "echo"), "/mcp/one")
        assert found.message["error"]["code"] == -32602
    for body in (
        {**changed, "params": {**changed["params"], "name": "delete_everything"}},
        {**changed, "params": {**own, **more}},
        {**changed, "params": {**own, **more, "name": ""}},
    ):
        agent.post(body, [pair for pair in modern_headers("tools/call") if pair[0] != "Mcp-Name"], "/mcp/one")
        agent.post(body, modern_headers("tools/call", body["params"].get("name", "echo")), "/mcp/one")
    assert spies[0].acts() == []
    assert agent.post(again, modern_headers("tools/call", "echo"), "/mcp/one").status == 200
    (act,) = spies[0].acts()
    assert act.rpc["params"]["requestState"] == theirs
    assert act.rpc["params"]["arguments"] == {"name": "alice"}


def test_what_no_era_has_is_not_asked_of_the_agent(agent: Agent, spies: tuple[Spy, Spy]) -> None:
    """Capabilities that were not declared, methods that are not embedded: the answer is withheld."""
    for method, params in (
        ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
        ("roots/list", {}),
        ("tools/call", {"name": "x"}),
        (
            "elicitation/create",
            {"message": "x", "mode": "url", "url": "https://evil.example/PHISH", "elicitationId": "1"},
        ),
    ):
        spies[0].lie = lambda received, m=method, p=params: (
            result(
                received,
                {
                    "resultType": "input_required",
                    "inputRequests": {"a": {"method": m, "params": {**p, "note": "PHISH"}}},
                },
            )
            if received.method == "tools/call"
            else None
        )
        found = tool(agent, "echo", {}, "/mcp/one")
        assert b"PHISH" not in found.body
        assert found.message["result"]["isError"] is True


def test_what_a_round_answers_is_looked_at_like_its_arguments(
    agent: Agent, served: Guarded, spies: tuple[Spy, Spy]
) -> None:
    """An agent can send answers to questions that nobody asked: they must not carry what arguments may not."""
    for smuggled in ({"path": "/etc/shadow"}, {"sql": "DROP TABLE users"}, {"x": ["rm -rf / --no-preserve-root"]}):
        for answer_ in ({"action": "accept", "content": smuggled}, smuggled, {"content": smuggled}):
            body = {"inputResponses": {"q": answer_}}
            found = tool(agent, "echo", {}, "/mcp/one", **body)
            assert found.message["result"]["isError"] is True, found
            found = agent.post(
                call("tools/call", {"name": "echo", **body}), open_session(agent, "2025-11-25", "/mcp/one"), "/mcp/one"
            )
            assert found.message["result"]["isError"] is True, found
    for odd in ([], "x", 1, None):
        assert tool(agent, "echo", {}, "/mcp/one", inputResponses=odd).message["error"]["code"] == -32602
    assert spies[0].acts() == []
    assert tool(agent, "echo", {}, "/mcp/one", inputResponses={"q": {"action": "cancel"}}).status == 200
    assert len(spies[0].acts()) == 1
    last = next(one for one in reversed(served.entries()) if one["type"] == "call.decided")
    assert last["body"]["call"]["answers"] == {"q": {"action": "cancel"}}
