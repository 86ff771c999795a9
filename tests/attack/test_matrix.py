"""Every method, in every protocol version, on every path and in every spelling: nothing that is denied is done."""

import json
from collections import Counter
from typing import Any

import mcp_types
import pytest

from gateway.core.methods import TABLE
from gateway.core.versions import HANDSHAKE_VERSIONS
from tests.attack.agent import Agent, Answer, Headers, call, meta, modern_headers, open_session, request, tool
from tests.attack.guarded import Guarded
from tests.attack.spellings import spellings
from tests.attack.spy import MODERN, Spy

VERSIONS = (*HANDSHAKE_VERSIONS, MODERN)
PATHS = (
    *(
        "/mcp/default",
        "//mcp",
        "/mcp/",
        "/MCP",
        "/%6dcp",
        "/mcp%2fdefault",
        "/mcp%252fdefault",
        "/mcp/default/",
        "/mcp/..;/mcp",
        "/x/../mcp",
    ),
    *(
        "/mcp/other",
        "/mcp?x=/mcp",
        "/mcp/default?tool=echo",
        "/mcp;x",
        "/mcp%00",
        "/./mcp",
        "/mcp/.",
        "/mcp\\default",
        "/mcp/DEFAULT",
        "/",
        "/health",
    ),
)
TARGETS: dict[str, tuple[dict[str, Any], str | None]] = {
    "tools/call": ({"name": "delete_everything", "arguments": {}}, "name"),
    "prompts/get": ({"name": "hidden_prompt", "arguments": {}}, "name"),
    "resources/read": ({"uri": "file:///hidden"}, "uri"),
    "resources/subscribe": ({"uri": "file:///hidden"}, "uri"),
    "completion/complete": (
        {"ref": {"type": "ref/prompt", "name": "hidden_prompt"}, "argument": {"name": "a", "value": "b"}},
        None,
    ),
}
"""What each gated method is aimed at here, all of it denied, and the member that names it."""
ROUTED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
OTHERS = {
    "taskId": "t",
    "name": "delete_everything",
    "uri": "file:///hidden",
    "arguments": {},
    "level": "debug",
    "requestId": 1,
}
"""What the other methods carry: a target for whoever would read one."""


def all_methods() -> list[str]:
    """Every method of the table, of the SDK's types, and some that nobody knows."""
    named = {row.method for row in TABLE}
    for kind in vars(mcp_types).values():
        field = getattr(kind, "model_fields", {}).get("method")
        named |= {field.default} if field is not None and isinstance(field.default, str) else set()
    assert len(named) > 25
    # `subscriptions/listen` answers with a stream that does not end: `test_streams.py`.
    return sorted(
        (named | {"tools/execute", "tools/call/batch", "rpc.discover", "tool/call", "call_tool"})
        - {"subscriptions/listen"}
    )


def message(method: str, version: str) -> tuple[dict[str, Any], str | None]:
    params, member = TARGETS.get(method, (OTHERS, None))
    own = {"_meta": meta()} if version == MODERN else {}
    return call(method, {**params, **own}), member


def headers_for(agent: Agent, method: str, version: str, path: str = "/mcp") -> Headers:
    if version == MODERN:
        member = ROUTED.get(method)
        return modern_headers(method, None if member is None else str(TARGETS[method][0][member]))
    return open_session(agent, version, path)


def check_form(answer: Answer, label: str) -> None:
    """The answer is one that a program can read, and admits no fault of the gateway."""
    assert answer.status < 500, (label, answer)
    if not answer.body or answer.headers["content-type"].startswith("text/plain"):
        assert answer.status in (202, 200) or answer.status >= 400, (label, answer)
        return
    for found in answer.messages():
        if "jsonrpc" in found:
            assert ("result" in found) != ("error" in found) or "method" in found, (label, answer)
        else:  # the paths that are not MCP
            assert found.keys() >= {"error", "message", "statusCode"} or "status" in found, (label, answer)


def allowed(agent: Agent, spy: Spy) -> None:
    """An honest call passes, and is the only thing that the upstream was asked to do since it last forgot."""
    assert spy.acts() == []
    answer = tool(agent, "echo", {"text": "honest"})
    assert answer.status == 200
    assert answer.message["result"]["content"] == [{"type": "text", "text": "done"}]
    assert [act.rpc["params"]["arguments"] for act in spy.acts()] == [{"text": "honest"}]
    spy.forget()


@pytest.mark.parametrize("version", VERSIONS)
def test_no_spelling_of_a_denied_call_reaches_the_upstream(served: Guarded, spy: Spy, version: str) -> None:
    """Policy must read what the upstream would read, whatever it is written like (research/security.md, section 2)."""
    spy.forget()
    agent, honest, statuses = served.agent(), served.agent(), Counter[int]()
    for method in TARGETS:
        body, member = message(method, version)
        headers = headers_for(agent, method, version)
        for label, raw in spellings(body, headers, "/mcp", member):
            try:
                answer = agent.raw(raw)
            except OSError as error:
                raise AssertionError((version, method, label)) from error
            statuses[answer.status] += 1
            check_form(answer, label)
            assert spy.acts() == [], (version, method, label)
            if agent.idle_bytes():
                agent.close()
        allowed(honest, spy)
    agent.close()
    honest.close()
    assert statuses[400] > 1000, statuses
    assert sum(statuses.values()) > 1500, statuses


@pytest.mark.parametrize("version", VERSIONS)
def test_no_method_on_no_path_does_what_is_denied(served: Guarded, spy: Spy, version: str) -> None:
    """There is no second way in: neither another method nor another path (design, section 1)."""
    spy.forget()
    agent, count = served.agent(), 0
    own = {path: headers_for(agent, "x", version, path) for path in ("/mcp", "/mcp/default")}
    for method in all_methods():
        body, _ = message(method, version)
        for path in ("/mcp", *PATHS):
            headers = (
                headers_for(agent, method, version)
                if version == MODERN
                else own["/mcp" if path == "/mcp" else "/mcp/default"]
            )
            for one in (body, {key: value for key, value in body.items() if key != "id"}):
                answer = agent.post(one, headers, path)
                check_form(answer, f"{method} {path}")
                assert spy.acts() == [], (version, method, path)
                count += 1
        allowed(agent, spy)
    agent.close()
    assert count > 1500


def test_a_path_in_another_spelling_is_another_path(served: Guarded, spy: Spy) -> None:
    """A proxy in front that keeps a path to itself compares what is sent; what it lets through must not be that."""
    spy.forget()
    agent = served.agent()
    for path in ("/%6dcp", "/mcp%2fdefault", "/mcp/%64efault"):
        assert tool(agent, "echo", {"text": "hidden"}, path).status == 404, path
    allowed(agent, spy)
    agent.close()


def test_a_second_request_behind_the_first_is_never_run(served: Guarded, spy: Spy) -> None:
    """Where a request ends is not for its body to say: what follows an unanswered one is thrown away."""
    denied = json.dumps(message("tools/call", MODERN)[0]).encode()
    harmless = json.dumps(call("tools/list", {"_meta": meta()})).encode()
    second = request(denied, modern_headers("tools/call", "delete_everything"))
    allowed_one = json.dumps(call("tools/call", {"name": "echo", "arguments": {"n": 2}, "_meta": meta()})).encode()
    third = request(allowed_one, modern_headers("tools/call", "echo"))
    for behind in (second, third, second * 20):
        spy.forget()
        agent = served.agent()
        agent.lingers = True
        answer = agent.raw(request(harmless, modern_headers("tools/list")) + behind)
        assert answer.status == 200
        assert agent.rest() == b""
        assert spy.acts() == []
    agent = served.agent()
    allowed(agent, spy)
    agent.close()
