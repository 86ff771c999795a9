"""A form is ours, or it is refused."""

import pytest

from gateway.console.guard import cookie_header, form_token, is_ours, is_token, session_of

BASE = "https://gate.example.org"


@pytest.mark.parametrize(
    ("sent", "session"),
    [
        (["intended_approver=ps_1"], "ps_1"),
        (["a=b; intended_approver=ps_1; c=d"], "ps_1"),
        (["intended_approver=ps_1; intended_approver=ps_2"], ""),
        (["intended_approver=ps_1", "intended_approver=ps_2"], ""),
        (["xintended_approver=ps_1"], ""),
        (["intended_approver"], ""),
        ([], ""),
    ],
)
def test_there_is_one_session_or_none(sent: list[str], session: str) -> None:
    """Of two cookies one was planted."""
    headers = [(b"accept", b"*/*"), *((b"cookie", one.encode()) for one in sent)]
    assert session_of(headers) == session


def test_the_cookie_is_for_these_pages_and_no_script() -> None:
    """And for TLS alone where there is TLS."""
    assert cookie_header("ps_1", secure=False) == "intended_approver=ps_1; Path=/approve; HttpOnly; SameSite=Strict"
    assert cookie_header("ps_1", secure=True).endswith("; SameSite=Strict; Secure")
    assert cookie_header("", secure=False).endswith("; Max-Age=0")


def test_a_token_is_for_one_session_and_one_approval() -> None:
    """One that was seen elsewhere opens nothing."""
    token = form_token("key", "ps_1", "apr_1")
    assert is_token(token, "key", "ps_1", "apr_1")
    for key, session, place in [("other", "ps_1", "apr_1"), ("key", "ps_2", "apr_1"), ("key", "ps_1", "apr_2")]:
        assert not is_token(token, key, session, place)
    assert not is_token("", "key", "ps_1", "apr_1")
    assert not is_token("é", "key", "ps_1", "apr_1")
    assert not is_token(form_token("key", "", "apr_1"), "key", "", "apr_1")


@pytest.mark.parametrize(
    ("headers", "secure", "ours"),
    [
        ({"origin": BASE, "sec-fetch-site": "same-origin"}, True, True),
        ({"origin": BASE, "host": "inner:1"}, True, True),
        ({"origin": "http://127.0.0.1:8787", "host": "127.0.0.1:8787"}, False, True),
        ({"origin": "http://127.0.0.1:8787", "host": "127.0.0.1:8787"}, True, False),
        ({"origin": "https://127.0.0.1:8787", "host": "127.0.0.1:8787"}, True, True),
        ({"sec-fetch-site": "same-origin"}, True, True),
        ({"origin": BASE, "sec-fetch-site": "cross-site"}, True, False),
        ({"origin": BASE, "sec-fetch-site": "same-site"}, True, False),
        ({"origin": BASE, "sec-fetch-site": "none"}, True, False),
        ({"origin": "https://evil.example", "host": "gate.example.org"}, True, False),
        ({"origin": "https://evil.example", "host": "gate.example.org", "sec-fetch-site": "same-origin"}, True, False),
        ({"origin": "null", "host": "gate.example.org"}, False, False),
        ({"origin": "http://", "host": ""}, False, False),
        ({"origin": f"{BASE}.evil.example"}, True, False),
        ({"host": "gate.example.org"}, True, False),
        ({}, False, False),
    ],
)
def test_a_form_comes_from_a_page_of_ours(headers: dict[str, str], secure: bool, ours: bool) -> None:
    """What does not say where it comes from does not."""
    raw = [(name.encode(), text.encode()) for name, text in headers.items()]
    assert is_ours(raw, BASE, secure=secure) is ours


def test_an_origin_that_comes_twice_is_nobody_s() -> None:
    """One of them is another's."""
    twice = [(b"origin", BASE.encode()), (b"origin", BASE.encode())]
    assert not is_ours(twice, BASE, secure=True)
    assert not is_ours([(b"origin", b"http://a"), (b"host", b"a")], "", secure=True)
