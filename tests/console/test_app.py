"""The approval pages of a real gateway: who may say yes there, and that nothing else does."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.console.app import CSP, MAX_FORM_BYTES
from gateway.core.approvals import ApprovalState
from gateway.core.leases import Check, Constraint
from gateway.core.principal import Principal, Role
from gateway.errors import StoreError
from gateway.services.lease_terms import LeaseTerms
from gateway.services.operator import operator
from tests.console.desk import BASE, FORM, TENANT, Browser, Desk, desk
from tests.console.test_markup import Reader

PENDING, APPROVED, DENIED = ApprovalState.PENDING, ApprovalState.APPROVED, ApprovalState.DENIED


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


def text_of(answer: httpx.Response) -> str:
    return " ".join(" ".join(Reader(answer.text).texts).split())


# --- the way that people go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("do", "state"), [("approve", APPROVED), ("deny", DENIED)])
async def test_a_human_logs_in_reads_and_answers(made: Desk, do: str, state: ApprovalState) -> None:
    """With nothing but the link and a code, and sees the answer afterwards."""
    approval = await made.ask({"amount": 99.99, "customerId": "cust_123"})
    jane = made.browser()
    assert "One-time code" in text_of(await jane.look(approval))
    answer = await jane.send(approval, {"do": "login", "code": await made.code("jane")})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/approve/{approval}")
    shown = text_of(await jane.look(approval))
    assert "Agent bot wants to act by itself: billing.process_refund with amount=99.99 and customerId=cust_123" in shown
    answer = await jane.answer(approval, do, "looks right")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/approve/{approval}")
    assert await made.state(approval) is state
    after = text_of(await jane.look(approval))
    assert "Reason given: looks right" in after
    assert "there is nothing more to do" in after
    resolved = await made.gateway.known.approvals.show(operator(TENANT), approval)
    assert resolved.resolved_by.startswith("ps_")
    assert f"by {resolved.resolved_by} (jane, {resolved.resolved_by_user})" in after


async def test_the_list_shows_what_waits_and_logging_out_ends_the_session(made: Desk) -> None:
    """`intended users login` leads there."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    assert approval in text_of(await jane.look())
    kept = jane.cookie
    answer = await jane.send("", {"do": "logout", "token": await jane.token("")})
    assert (answer.status_code, "Max-Age=0" in answer.headers["set-cookie"]) == (303, True)
    jane.client.cookies.set("intended_approver", kept)
    assert (await jane.look()).status_code == 401


async def test_two_approvers_are_two_people(tmp_path: Path) -> None:
    """Where the rule asks for both; the page says that another one is needed."""
    async with desk(tmp_path, approvers=2) as made:
        approval = await made.ask()
        jane, joe = await made.log_in("jane"), await made.log_in("joe")
        await jane.answer(approval, "approve")
        assert await made.state(approval) is PENDING
        assert "You have said yes" in text_of(await jane.look(approval))
        again = await jane.answer(approval, "approve")
        assert (again.status_code, await made.state(approval)) == (409, PENDING)
        await joe.answer(approval, "approve")
        assert await made.state(approval) is APPROVED


async def test_every_answer_has_the_headers_that_keep_others_out(made: Desk) -> None:
    """No script, no frame, no other origin, no copy in a cache."""
    jane = await made.log_in("jane")
    approval = await made.ask()
    for path in ("/approve", "/approve/", f"/approve/{approval}", "/approve/approve.css", "/approve/nothing"):
        answer = await jane.client.get(path)
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script" not in CSP
    head = await jane.client.head(f"/approve/{approval}")
    assert (head.status_code, head.content) == (200, b"")
    assert (await jane.client.get("/approve")).headers["location"] == "/approve/"


# --- who may not ------------------------------------------------------------------------------------------------------


async def test_a_viewer_may_look_and_not_answer(made: Desk) -> None:
    """The role is asked for here as in the REST API."""
    approval = await made.ask({"amount": 5, "password": "hunter2"})
    eve = await made.log_in("eve", Role.VIEWER)
    shown = await eve.look(approval)
    assert (shown.status_code, "hunter2" in shown.text) == (200, False)
    answer = await eve.answer(approval, "approve")
    assert (answer.status_code, await made.state(approval)) == (403, PENDING)


async def test_who_asked_cannot_answer(made: Desk) -> None:
    """Nor learn what speaks against it."""
    jane = await made.log_in("jane")
    body = {"action": {"type": "billing.process_refund", "params": {"amount": 5}}, "actor": "bot"}
    asked = await jane.client.post("/intent", json=body, headers={"x-portal-session-id": jane.cookie})
    approval = asked.json()["escalationId"]
    shown = text_of(await jane.look(approval))
    assert "somebody else must answer" in shown
    assert "Risk" not in shown
    answer = await jane.answer(approval, "approve")
    assert (answer.status_code, await made.state(approval)) == (403, PENDING)


async def test_another_tenant_s_approval_is_not_there(made: Desk) -> None:
    """Not even its existence is confirmed."""
    approval = await made.ask()
    mallory = await made.log_in("mallory", Role.ADMIN, "other")
    assert (await mallory.look(approval)).status_code == 404
    form = {"token": await mallory.token(""), "do": "approve"}
    assert (await mallory.send(approval, form)).status_code == 403
    assert await made.state(approval) is PENDING


async def test_an_approval_is_answered_once(made: Desk) -> None:
    """The second is told plainly, and nothing changes."""
    approval = await made.ask()
    jane, joe = await made.log_in("jane"), await made.log_in("joe")
    token = await joe.token(approval)
    await jane.answer(approval, "deny")
    late = await joe.send(approval, {"token": token, "do": "approve"})
    assert (late.status_code, await made.state(approval)) == (409, DENIED)
    assert "is denied already" in text_of(late)


# --- forms that are not ours ------------------------------------------------------------------------------------------


FOREIGN = (
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": f"{BASE}.evil.example"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "http://127.0.0.1:9"},
)


@pytest.mark.parametrize("do", ["approve", "deny", "logout", "login"])
async def test_another_site_s_form_changes_nothing(made: Desk, do: str) -> None:
    """Even with the right token and cookie."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    form = {"token": await jane.token(approval), "do": do, "code": await made.code("joe")}
    for headers in FOREIGN:
        answer = await jane.send(approval, form, **headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), headers
        assert await made.state(approval) is PENDING
        assert (await jane.look(approval)).status_code == 200


async def test_a_request_that_does_not_say_where_it_comes_from_changes_nothing(made: Desk) -> None:
    """Every browser says it with a form."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    form = {"token": await jane.token(approval), "do": "approve"}
    answer = await jane.client.post(f"/approve/{approval}", data=form)
    assert (answer.status_code, await made.state(approval)) == (403, PENDING)


async def test_a_form_without_this_page_s_token_changes_nothing(made: Desk) -> None:
    """A token is for one session and one approval."""
    approval, other = await made.ask(), await made.ask({"amount": 6})
    jane, joe = await made.log_in("jane"), await made.log_in("joe")
    tokens = {
        "none": "",
        "made up": "0" * 64,
        "another approval's": await jane.token(other),
        "another session's": await joe.token(approval),
        "the list's": await jane.token(""),
    }
    for whose, token in tokens.items():
        answer = await jane.send(approval, {"token": token, "do": "approve"})
        assert (answer.status_code, await made.state(approval)) == (403, PENDING), whose


WAYS = (
    ("GET", "?do=approve&token={token}"),
    ("HEAD", "?do=approve&token={token}"),
    ("PUT", ""),
    ("DELETE", ""),
    ("PATCH", ""),
    ("OPTIONS", ""),
)


async def test_only_a_form_changes_anything(made: Desk) -> None:
    """A link, an image or a prefetch is a GET."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    form = {"token": await jane.token(approval), "do": "approve"}
    for method, query in WAYS:
        path = f"/approve/{approval}{query.format(**form)}"
        answer = await jane.client.request(method, path, data=form, headers={"origin": BASE})
        assert answer.status_code == (200 if method in ("GET", "HEAD") else 405)
        assert await made.state(approval) is PENDING, method


BODIES = (
    (b"token={token}&do=approve", "text/plain"),
    (b'{"token": "{token}", "do": "approve"}', "application/json"),
    (b"token={token}&do=approve&do=deny", FORM),
    (b"token={token}&do=approve&reason=%ff", FORM),
    (b"token={token}&do=approve&reason=\xff", FORM),
    (b"token={token}&do=approve" + b"&a=b" * 9, FORM),
    (b"token={token}&do=approve&reason=" + b"x" * MAX_FORM_BYTES, FORM),
    (b"token={token}&do=nothing", FORM),
    (b"token={token}", FORM),
)


async def test_what_is_no_form_of_ours_changes_nothing(made: Desk) -> None:
    """One reading, or none."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    token = (await jane.token(approval)).encode()
    for content, kind in BODIES:
        headers = {"origin": BASE, "content-type": kind}
        sent = content.replace(b"{token}", token)
        answer = await jane.client.post(f"/approve/{approval}", content=sent, headers=headers)
        assert answer.status_code in (403, 404)
        assert await made.state(approval) is PENDING, content[:60]


async def test_the_list_approves_nothing(made: Desk) -> None:
    """There is no approve-all."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    answer = await jane.send("", {"token": await jane.token(""), "do": "approve"})
    assert (answer.status_code, await made.state(approval)) == (404, PENDING)


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_planted_session_is_not_the_one_that_a_login_opens(made: Desk) -> None:
    """Session fixation: whoever planted it would come along."""
    planted = "ps_planted"
    jane = made.browser()
    jane.client.cookies.set("intended_approver", planted, domain="127.0.0.1", path="/approve")
    await jane.send("", {"do": "login", "code": await made.code("jane")})
    assert jane.cookie not in ("", planted)
    attacker = made.browser()
    attacker.client.cookies.set("intended_approver", planted)
    assert (await attacker.look()).status_code == 401


async def test_two_cookies_of_the_name_are_nobody(made: Desk) -> None:
    """One of them was planted; the page asks for a login."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    token = await jane.token(approval)
    both = {"cookie": f"intended_approver={jane.cookie}; intended_approver=ps_x"}
    bare = made.browser()
    answer = await bare.send(approval, {"token": token, "do": "approve"}, **both)
    assert (answer.status_code, await made.state(approval)) == (401, PENDING)


async def test_a_code_opens_one_session(made: Desk) -> None:
    """It may have been seen on its way."""
    code = await made.code("jane")
    first, second = made.browser(), made.browser()
    assert (await first.send("", {"do": "login", "code": f" {code} "})).status_code == 303
    again = await second.send("", {"do": "login", "code": code})
    assert (again.status_code, second.cookie) == (401, "")
    assert "unknown, used or expired" in text_of(again)
    assert (await second.send("", {"do": "login"})).status_code == 401


async def test_the_cookie_is_for_these_pages_alone(made: Desk) -> None:
    """The REST API and MCP know no cookies, wherever a browser sends them."""
    jane = await made.log_in("jane")
    sent = {"cookie": f"intended_approver={jane.cookie}"}
    assert (await made.browser().client.get("/v1/approvals", headers=sent)).status_code == 401
    approval = await made.ask()
    answer = await made.browser().client.post(f"/v1/approvals/{approval}/approve", headers=sent)
    assert (answer.status_code, await made.state(approval)) == (401, PENDING)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert (await made.browser().client.post("/mcp", json=call, headers=sent)).status_code in (401, 404)


@pytest.mark.parametrize(
    ("more", "secure"),
    [({}, False), ({"public_url": "https://gate.example.org"}, True), ({"behind_tls_proxy": True}, True)],
)
async def test_the_cookie_is_secure_where_there_is_tls(tmp_path: Path, more: dict[str, Any], secure: bool) -> None:
    """It must never travel in the clear; without TLS it would not travel at all."""
    if "behind_tls_proxy" in more:
        more = more | {"unsafe_allow_unauthenticated": True}
    async with desk(tmp_path, **more) as made:
        origin = more.get("public_url", "https://127.0.0.1:8787" if secure else BASE)
        form = {"do": "login", "code": await made.code("jane")}
        answer = await made.browser().send("", form, origin=origin)
        assert ("; Secure" in answer.headers["set-cookie"]) is secure
        assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]


# --- what an agent may write ------------------------------------------------------------------------------------------

TAGS = frozenset(
    {"html", "head", "meta", "title", "link", "body", "main", "h1", "h2", "h3", "section", "p", "dl", "dt", "dd", "pre"}
    | {"table", "thead", "tbody", "tr", "th", "td", "ul", "li", "form", "input", "label", "textarea", "button", "a"}
    | {"div", "blockquote", "code"}
)
ATTRIBUTES = frozenset(
    {"lang", "charset", "name", "content", "rel", "href", "class", "role", "tabindex", "scope", "type", "value", "id"}
    | {"for", "rows", "maxlength", "method", "action"}
)
EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "</pre></section><form action=https://evil.example><button>Approve",
    "javascript:alert(1)",
    "&lt;script&gt;&#60;img&#62;",
    "</textarea><svg/onload=alert(1)>",
    "<!--",
    "]]>",
    "\u202e<b>\u200b",
    "${7*7}{{7*7}}",
)


async def test_nothing_that_an_agent_writes_becomes_part_of_the_page(made: Desk) -> None:
    """Arguments, their names, what a program claims, and the reason of an earlier answer."""
    jane = await made.log_in("jane")
    for evil in EVIL:
        await _shown_harmlessly(made, jane, evil)


async def _shown_harmlessly(made: Desk, jane: Browser, evil: str) -> None:
    body = {
        "action": {"type": "billing.process_refund", "params": {evil: evil, "to": evil, "list": [{evil: evil}]}},
        "actor": "bot",
        "metadata": {"note": evil},
    }
    asked = await made.program.post("/intent", json=body)
    ops = {
        "type": "billing.process_refund",
        "domain": "billing",
        "agentId": "bot",
        "params": {"to": evil},
        "description": evil,
        "justification": evil,
    }
    second = await made.program.post("/v1/intents", json=ops)
    shown = (await made.program.get(f"/v1/intents/{second.json()['data']['intentId']}")).json()["data"]
    for approval in (asked.json()["escalationId"], shown["approvalId"]):
        before = await jane.look(approval)
        assert before.status_code == 200
        await jane.answer(approval, "deny", evil)
        after = await jane.look(approval)
        for page in (before, after, await jane.look()):
            for name, attributes in Reader(page.text).elements:
                assert name in TAGS
                assert set(attributes) <= ATTRIBUTES
                assert attributes.get("href", "/approve/").startswith("/approve/")
                assert attributes.get("action", "/approve/").startswith("/approve/")
            assert "\u202e" not in page.text
        assert await made.state(approval) is DENIED


async def test_a_name_in_the_address_is_an_id_or_nothing(made: Desk) -> None:
    """It is not shown again, whatever it is."""
    jane = await made.log_in("jane")
    for path in ("<script>", "apr_%3Cb%3E", "../v1", "apr_", "apr_1/approve"):
        answer = await jane.client.get(f"/approve/{path}")
        assert "<script>" not in answer.text
        assert answer.status_code in (404, 401)


# --- when something fails ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "status"), [(StoreError("disk: secret"), 503), (RuntimeError("secret"), 500)])
async def test_a_fault_approves_nothing_and_tells_no_secret(
    made: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception, status: int
) -> None:
    """The page says that nothing was decided; the log names the place, not the words."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    token = await jane.token(approval)

    async def broken(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(made.gateway.known.approvals, "resolve", broken)
    answer = await jane.send(approval, {"token": token, "do": "approve"})
    assert (answer.status_code, "secret" in answer.text) == (status, False)
    assert "secret" not in caplog.text
    assert await made.state(approval) is PENDING


async def test_too_many_requests_are_told_when_to_come_back(made: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere else; a session has 1000 a minute."""
    jane = await made.log_in("jane")
    monkeypatch.setattr(made.gateway.known.people, "_per_minute", 1)
    answers = [await jane.look() for _ in range(3)]
    late = [one for one in answers if one.status_code == 429]
    assert late
    assert int(late[0].headers["retry-after"]) <= 60


async def test_who_hangs_up_in_mid_form_changes_nothing(made: Desk) -> None:
    """There is nobody to tell."""
    approval = await made.ask()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"origin", BASE.encode()), (b"host", b"127.0.0.1:8787"), (b"content-type", FORM.encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/approve/{approval}",
        "raw_path": f"/approve/{approval}".encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8787),
        "scheme": "http",
        "root_path": "",
    }
    await made.gateway.asgi(scope, receive, send)
    assert sent == []
    assert await made.state(approval) is PENDING


async def test_a_reason_that_cannot_be_recorded_is_refused(made: Desk) -> None:
    """The record would be broken by it."""
    approval = await made.ask()
    jane: Browser = await made.log_in("jane")
    answer = await jane.answer(approval, "approve", "x" * 5000)
    assert (answer.status_code, await made.state(approval)) == (400, PENDING)


# --- a lease ----------------------------------------------------------------------------------------------------------


async def test_a_lease_is_granted_by_its_own_form(made: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the use case that REST and the command line call."""
    granted: list[Any] = []

    async def approve(principal: Principal, terms: LeaseTerms, **more: Any) -> None:
        granted.append((principal.credential[:3], terms, more))

    monkeypatch.setattr(made.gateway.known.leases, "approve", approve)
    approval = await made.ask()
    jane = await made.log_in("jane")
    token = await jane.token(approval)
    form = {"token": token, "do": "lease", "minutes": "30", "uses": "20", "reason": " agreed "}
    loosened = {"path.0": "/amount", "check.0": "max", "value.0": "500"}
    answer = await jane.send(approval, form | loosened)
    assert answer.status_code == 303
    terms = LeaseTerms(minutes=30, uses=20, constraints=(Constraint(path="/amount", check=Check.MAX, value=500),))
    assert granted == [("ps_", terms, {"approval_id": approval, "rationale": "agreed"})]
    assert (await jane.send(approval, form | {"token": "0"})).status_code == 403
    assert (await jane.send(approval, form | {"minutes": "soon"})).status_code == 400
    assert len(granted) == 1


async def test_a_lease_that_cannot_be_granted_leaves_the_approval_waiting(made: Desk) -> None:
    """A submitted intent has none; the page says so, and a form that asks for it approves nothing."""
    approval = await made.ask()
    jane = await made.log_in("jane")
    assert "No lease can be granted with it: there are leases for tool calls only" in (await jane.look(approval)).text
    form = {"token": await jane.token(approval), "do": "lease", "minutes": "10", "uses": "10"}
    answer = await jane.send(approval, form)
    assert (answer.status_code, await made.state(approval)) == (400, ApprovalState.PENDING)
