"""Credentials stay on their own hop, and secrets in arguments stay out of what people read."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.agent import Agent, call, meta, modern_headers, open_session, tool
from tests.attack.guarded import Guarded, guarded
from tests.attack.spy import SECRET_HEADER, Spy, answer

OF_UPSTREAM = "upstream-secret-9f3b1c77aa"
OF_ENVIRONMENT = "env-secret-5d2e8811bc"
SENT = {
    "password": "hunter2-NEVERSHOWN-1",
    "nested": {"apiKey": "NEVERSHOWN-2-abcdefghijkl", "list": [{"authorization": "Bearer NEVERSHOWN-3-zzzzzzzzzz"}]},
    "text": "use ghp_NEVERSHOWN4NEVERSHOWN4NEVERSHOWN4abcd and postgres://admin:NEVERSHOWN-5@db/prod",
    "url": "https://example.com/?access_token=NEVERSHOWN-6-qqqqqqqq",
}
CONFIG = """\
tiers: {{default: T4}}
upstreams:
  default:
    url: {url}
    headers:
      Authorization: {authorization}
      X-Upstream-Key: {secret}-2
  child:
    command: sh
    args: ["-c", "exit 3"]
    env: {{CHILD_TOKEN: {environment}}}
"""


@pytest.fixture(scope="module")
def served(spy: Spy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    config = CONFIG.format(url=spy.url, authorization=SECRET_HEADER, secret=OF_UPSTREAM, environment=OF_ENVIRONMENT)
    with guarded(tmp_path_factory.mktemp("secrets"), config=config) as running:
        yield running


def test_no_header_of_the_agent_goes_upstream(served: Guarded, spy: Spy) -> None:
    """Token passthrough: a credential is good for the hop that it was made for (MCP, security best practices)."""
    spy.forget()
    agent = served.agent()
    planted = [
        ("Cookie", "session=AGENTSECRET"),
        ("Proxy-Authorization", "Basic AGENTSECRET"),
        ("X-Forwarded-For", "AGENTSECRET"),
        ("Referer", "http://AGENTSECRET/"),
        ("User-Agent", "AGENTSECRET"),
        ("Traceparent", "00-AGENTSECRET"),
        ("X-Anything", "AGENTSECRET"),
        ("Forwarded", "for=AGENTSECRET"),
        ("Last-Event-ID", "AGENTSECRET"),
    ]
    body = call("tools/call", {"name": "echo", "arguments": {}, "_meta": meta()})
    assert agent.post(body, [*modern_headers("tools/call", "echo"), *planted], "/mcp/default").status == 200
    headers = open_session(agent, "2025-11-25", "/mcp/default")
    mine = dict(headers)["Mcp-Session-Id"]
    assert agent.post(call("tools/call", {"name": "echo"}), [*headers, *planted], "/mcp/default").status == 200
    for credential in (("Authorization", "Bearer AGENTSECRET"), ("x-api-key", "AGENTSECRET")):
        refused = agent.post(body, [*modern_headers("tools/call", "echo"), credential], "/mcp/default")
        assert refused.status == 401
        assert b"AGENTSECRET" not in refused.body
    assert len(spy.acts()) == 2
    assert b"AGENTSECRET" not in bytes(spy.raw)
    assert mine.encode() not in bytes(spy.raw)
    agent.close()


def everything(agent: Agent) -> bytes:
    """Make the gateway say what it can, of honest calls and of every way to fail."""
    said = b""
    for path in ("/mcp", "/mcp/default", "/mcp/child"):
        for method in ("tools/list", "server/discover", "prompts/list", "resources/list", "x/y"):
            said += agent.post(call(method, {"_meta": meta()}), modern_headers(method), path).body
        for name in ("echo", "default__echo", "child__x", "nothing"):
            said += tool(agent, name, SENT, path).body
    said += agent.post(
        call("initialize", {"protocolVersion": "2025-11-25"}), modern_headers("x")[:2], "/mcp/child"
    ).body
    return said


STATUSES = ("200 OK", "401 Unauthorized", "403 Forbidden", "302 Found", "500 Internal Server Error", "502 Bad Gateway")


def test_no_secret_of_an_upstream_is_ever_told_recorded_or_said(served: Guarded, spy: Spy) -> None:
    """Neither the headers of a hop, nor a child's environment, nor a challenge, nor what an upstream echoes."""
    agent, told = served.agent(), b""
    told += everything(agent)
    for status in STATUSES:
        headers = (
            f'WWW-Authenticate: Bearer realm="{OF_UPSTREAM}"',
            f"Set-Cookie: a={OF_UPSTREAM}",
            f"Location: http://{OF_UPSTREAM}/",
        )
        spy.lie = lambda request, s=status, h=headers: answer(
            b"<html>" + SECRET_HEADER.encode(), status=s, media="text/html", headers=h
        )
        told += everything(agent)
    spy.lie = lambda request: None
    spy.forget()
    assert tool(agent, "echo", SENT, "/mcp/default").status == 200
    assert dict(spy.acts()[0].headers)["authorization"] == SECRET_HEADER
    assert spy.acts()[0].rpc["params"]["arguments"] == SENT
    agent.close()
    exported = served.intended("audit", "export").stdout
    tails = "".join(
        served.intended("audit", "tail", "-n", "9999", "--tenant", who, "-o", "json").stdout
        for who in ("default", "_system")
    )
    shown = served.intended("audit", "tail", "-n", "9999").stdout
    served.intended("audit", "verify", "--state", str(served.folder / "state"))
    said = served.stop()
    for where, text in (
        ("answers", told.decode()),
        ("export", exported),
        ("tail", tails),
        ("table", shown),
        ("log", said),
    ):
        for secret in (OF_UPSTREAM, OF_ENVIRONMENT):
            assert secret not in text, where
        if where != "answers":
            assert "NEVERSHOWN" not in text, (
                where,
                text[text.index("NEVERSHOWN") - 200 :][:260] if "NEVERSHOWN" in text else "",
            )
    assert json.loads(exported.splitlines()[0])


def test_what_lies_on_disk_holds_no_argument_in_the_clear(served: Guarded) -> None:
    """Whole arguments are kept encrypted only; a backup of the data folder must not give them away."""
    found = [
        (path.name, secret)
        for path in Path(served.folder, "data").rglob("*")
        if path.is_file()
        for secret in ("NEVERSHOWN", OF_UPSTREAM, OF_ENVIRONMENT)
        if secret.encode() in path.read_bytes()
    ]
    assert found == []


def test_what_does_not_exist_and_what_is_forbidden_read_alike(spy: Spy, tmp_path: Path) -> None:
    """An agent must not find out by asking which tools, prompts and resources are kept from it."""
    with guarded(tmp_path, f"default={spy.url}", f"other={spy.url}") as two:
        agent = two.agent()
        for path, prefix in (("/mcp/default", ""), ("/mcp", "default__"), ("/mcp", "other__")):
            for headers in (None, open_session(agent, "2025-11-25", path)):
                pairs = [
                    ("tools/call", {"name": prefix + "delete_everything"}, {"name": prefix + "delete_everythinx"}),
                    ("prompts/get", {"name": prefix + "hidden_prompt"}, {"name": prefix + "hidden_prompx"}),
                    ("resources/read", {"uri": "file:///hidden"}, {"uri": "file:///hiddex"}),
                ]
                if prefix:
                    pairs.append(
                        ("tools/call", {"name": prefix + "delete_everythinx"}, {"name": "nowhere__delete_everythinx"})
                    )
                for method, real, made_up in pairs:
                    answers = []
                    for params in (real, made_up):
                        value = next(iter(params.values()))
                        body = call(method, params if headers else {**params, "_meta": meta()})
                        found = agent.post(body, headers or modern_headers(method, value), path)
                        answers.append((found.status, found.body.replace(value.encode(), b"TARGET")))
                    assert answers[0] == answers[1], (method, real, made_up)
        agent.close()
