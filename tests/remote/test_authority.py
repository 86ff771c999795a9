"""A remote authority over real sockets: what is taken for an answer, what is not, and what readiness tells of it."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from gateway.core.remote import Question, Verdict
from gateway.remote import authority as module
from gateway.remote.authority import HttpAuthority
from gateway.remote.exchange import MAX_ANSWER_BYTES
from tests.remote.service import KEY, Service, always, answered, serving
from tests.simulate.world import FakeClock

ASKED = Question(key="int_1", agent="bot", action="transfer", system="payments", params={"amount": 5})
DENIES = {"intentId": "int_there", "decision": "DENY", "reason": "No."}
WAITS = {"intentId": "int_there", "decision": "ESCALATE", "reason": "Look.", "escalationId": "apr_1"}


def authority_at(url: str, timeout_s: float = 5.0) -> HttpAuthority:
    return HttpAuthority(
        url,
        key=KEY,
        tenant="acme",
        issuer="intended-gateway",
        timeout_s=timeout_s,
        monotonic=FakeClock().monotonic,
    )


@asynccontextmanager
async def asking(service: Service, timeout_s: float = 5.0) -> AsyncIterator[HttpAuthority]:
    async with serving(service) as url, authority_at(f"{url}/", timeout_s) as authority:
        yield authority


async def test_an_allow_brings_a_token_that_was_checked() -> None:
    """One request with key and tenant, one for the public keys without them."""
    service = Service()
    async with asking(service) as authority:
        told = await authority.ask(ASKED)
        again = await authority.ask(ASKED)
    assert (told.verdict, told.token, told.token_id) == (Verdict.ALLOW, service.tokens[0], "tok_0")
    assert (again.token_id, service.jwks_asked, authority.ready()) == ("tok_1", 1, "")
    method, path, headers, body = service.requests[0]
    assert (method, path, body) == ("POST", "/intent", ASKED.body())
    assert (headers["authorization"], headers["x-tenant-id"]) == (f"Bearer {KEY}", "acme")


@pytest.mark.parametrize(("answer", "verdict"), [(DENIES, Verdict.DENY), (WAITS, Verdict.PENDING)], ids=str)
async def test_a_no_and_a_not_yet_are_answers(answer: dict[str, Any], verdict: Verdict) -> None:
    """And never bring a token, whatever stands beside them."""
    async with asking(Service(answer=always({**answer, "token": "a.b.c"}))) as authority:
        told = await authority.ask(ASKED)
    assert (told.verdict, told.token) == (verdict, "")


BROKEN: dict[str, tuple[Callable[..., Any] | dict[str, Any], str]] = {
    "500": (always({}, 500), "HTTP 500"),
    "503": (always({}, 503), "HTTP 503"),
    "429": (always({}, 429), "HTTP 429"),
    "401": (always({}, 401), "does not take the key"),
    "404": (always({}, 404), "HTTP 404"),
    "redirect": (always({}, 307, location="/v1/intent"), "HTTP 307"),
    "201": (always(DENIES, 201), "HTTP 201"),
    "no JSON": (always(b"<html>"), "no JSON"),
    "two values": (always(b'{"decision": "ALLOW", "decision": "DENY"}'), "no JSON"),
    "other type": (always(DENIES, **{"content-type": "text/html"}), "no JSON"),
    "compressed": (always(DENIES, **{"content-encoding": "gzip"}), "encoding"),
    "no decision": (always({"ok": True}), "no decision"),
    "a list": (always([]), "no decision"),
    "no token": (always({**DENIES, "decision": "ALLOW"}), "allows without a token"),
    "no such token": (always({**DENIES, "decision": "ALLOW", "token": "x"}), "malformed"),
    "huge": (always(b'"' + b"x" * MAX_ANSWER_BYTES + b'"'), "too large"),
    "other arguments": ({"argsDigest": "0" * 64}, "arguments"),
    "other tool": ({"action": "refund"}, "target"),
    "other upstream": ({"system": "notes"}, "target"),
    "a tool call's": ({"upstream": "payments", "tool": "transfer", "action": "", "system": ""}, "target"),
    "other audience": ({"aud": "notes"}, "audience"),
    "other tenant": ({"tenant": "other"}, "tenant"),
    "other issuer": ({"iss": "somebody"}, "issuer"),
    "expired": ({"iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 1_700_000_120}, "expired"),
    "lives long": ({"exp": 9_999_999_999}, "lifetime"),
    "other agent": ({"sub": "root"}, "another agent"),
    "other intent": ({"intentId": "int_other"}, "another agent or intent"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_cannot_be_used_is_no_answer_and_makes_unready(case: str) -> None:
    """Each of these is a DENY of the call; the next good answer makes it well again."""
    wrong, said = BROKEN[case]
    service = Service(claims=wrong) if isinstance(wrong, dict) else Service(answer=wrong)
    async with asking(service) as authority:
        told = await authority.ask(ASKED)
        assert (told.verdict, told.token) == (Verdict.UNAVAILABLE, "")
        assert said in told.text
        assert said in authority.ready()
        assert len(service.requests) == 1
        service.answer, service.claims = Service().answer, {}
        assert (await authority.ask(ASKED)).verdict is Verdict.ALLOW
        assert authority.ready() == ""


@pytest.mark.parametrize(("status", "said"), [(403, "may not ask for this agent"), (400, "HTTP 400"), (413, "413")])
async def test_a_question_that_is_refused_is_no_fault_of_the_authority(status: int, said: str) -> None:
    """One agent that may not ask must not make the gateway unready for all the others."""
    async with asking(Service(answer=always({}, status))) as authority:
        told = await authority.ask(ASKED)
        assert (told.verdict, said in told.text, authority.ready()) == (Verdict.UNAVAILABLE, True, "")


async def test_a_token_that_was_seen_is_not_taken_again() -> None:
    """Whoever answers with an old answer allows nothing."""
    service = Service()
    async with asking(service) as authority:
        assert (await authority.ask(ASKED)).verdict is Verdict.ALLOW
        service.answer = always({**DENIES, "decision": "ALLOW", "token": service.tokens[0]})
        told = await authority.ask(ASKED)
        assert (told.verdict, "replayed" in told.text) == (Verdict.UNAVAILABLE, True)


async def test_an_authority_that_hangs_costs_its_deadline_and_no_more() -> None:
    """The call is denied within it."""
    service = Service(hangs=True)
    async with asking(service, timeout_s=0.1) as authority:
        with anyio.fail_after(5):
            told = await authority.ask(ASKED)
    assert (told.verdict, told.text) == (Verdict.UNAVAILABLE, "it gave no answer within 0.1 s")


async def test_keys_that_hang_are_within_the_same_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Question and check together."""
    async with asking(Service(), timeout_s=0.1) as authority:

        async def checked(*_: object) -> str:
            await anyio.sleep_forever()
            return ""

        monkeypatch.setattr(authority._tokens, "checked", checked)
        told = await authority.ask(ASKED)
    assert told.text == "it gave no answer within 0.1 s"


async def test_an_authority_that_is_not_there_is_told_and_heals_by_itself() -> None:
    """It dies in the middle and comes back at the same address."""
    service = Service()
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with authority_at(url) as authority:
        await authority.probe()
        assert "not reached" in authority.ready()
        assert (await authority.ask(ASKED)).verdict is Verdict.UNAVAILABLE
    async with serving(service) as url, authority_at(url) as authority:
        await authority.probe()
        assert authority.ready() == ""


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("approved", Verdict.ALLOW),
        ("pending", Verdict.PENDING),
        ("rejected", Verdict.DENY),
        ("expired", Verdict.OVER),
    ],
)
async def test_an_intent_is_recalled_as_it_stands(status: str, verdict: Verdict) -> None:
    """The token of a yes is checked like any other."""
    service = Service(status=status)
    if status != "approved":
        service.answer = always({**WAITS, "status": status})
    async with asking(service) as authority:
        told = await authority.recall(ASKED, "int_there")
    assert (told.verdict, bool(told.token)) == (verdict, verdict is Verdict.ALLOW)
    assert service.requests[0][:2] == ("GET", "/intent/int_there")


@pytest.mark.parametrize(
    "answer",
    [always({}, 404), always({**DENIES, "decision": "ALLOW", "status": "approved"})],
    ids=["gone", "its token was given"],
)
async def test_an_intent_that_has_nothing_more_to_give_is_over(answer: Any) -> None:
    """The authority forgot it, or another call was faster; nothing is broken."""
    async with asking(Service(answer=answer)) as authority:
        assert (await authority.recall(ASKED, "int_there")).verdict is Verdict.OVER
        assert authority.ready() == ""


async def test_another_intent_is_no_answer() -> None:
    """What was asked for is what counts."""
    async with asking(Service(answer=always({**WAITS, "status": "pending"}))) as authority:
        told = await authority.recall(ASKED, "int_other")
        assert (told.verdict, told.text) == (Verdict.UNAVAILABLE, "it answered for another intent")


async def test_it_is_looked_after_while_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness tells of it before a call does, and knows when it is well again."""
    service = Service(answer=always({}, 503))
    monkeypatch.setattr(module, "PROBE_S", 0.01)
    async with asking(service) as authority, anyio.create_task_group() as tasks:
        tasks.start_soon(authority.run)
        with anyio.fail_after(5):
            while not authority.ready():
                await anyio.lowlevel.checkpoint()
            service.answer = Service().answer
            while authority.ready():
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


def may(*, read: bool = True, write: bool = True) -> Callable[..., Any]:
    """Return how an authority answers a key with these scopes."""

    def answer(service: Service, method: str, path: str, body: Any) -> Any:
        if not (read if method == "GET" else write):
            return answered({"error": "FORBIDDEN", "message": "lacks a scope", "statusCode": 403}, 403)
        return answered({}, 404 if method == "GET" else 400)

    return answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (may(), ""),
        (may(read=False), "it refuses the key for this tenant or for intents (lacks a scope)"),
        (may(write=False), "it refuses the key for this tenant or for intents (lacks a scope)"),
        (always([], 403), "it refuses the key for this tenant or for intents (None)"),
        (always({}, 401), "it does not take the key (HTTP 401)"),
    ],
    ids=["fine", "may not read", "may not submit", "says nothing", "wrong key"],
)
async def test_a_check_finds_out_whether_the_key_is_good_for_it(answer: Any, problem: str) -> None:
    """Before an agent does; nothing is decided by it."""
    service = Service(answer=answer)
    async with asking(service) as authority:
        assert await authority.examine() == problem
    assert all(body in (None, {}) for *_, body in service.requests)


async def test_what_is_told_names_no_address_and_no_key() -> None:
    """Agents read it."""
    async with authority_at("http://127.0.0.1:1") as authority:
        told = await authority.ask(replace(ASKED, params={"secret": "hunter2"}))
    assert not any(word in told.text for word in ("127.0.0.1", KEY, "hunter2"))
    assert json.dumps(told.text)
