"""What is shown of arguments holds no secret, is bounded, and leaves the arguments alone."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.jsonvalue import JsonObject
from gateway.core.redact import REMOVED, redact, redact_line

TEXT = st.text(max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXT, inner, max_size=6),
    max_leaves=30,
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXZhbHVl"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "key",
    [
        *("password", "Password", "db_password", "userPasswd", "pwd", "PWD", "passphrase", "user-pass", "basicAuth"),
        *("token", "access_token", "authToken", "API_KEY", "apiKey", "api-key", "x-api-key", "key", "pin", "otp"),
        *("secret", "client_secret", "AWS_SECRET_ACCESS_KEY", "private_key", "privateKey", "sshKey", "ssh_key"),
        *("Authorization", "cookie", "Set-Cookie", "credentials", "connectionString", "connection_string", "dsn"),
        *("session_id", "bearer", "cvv", "jwtToken", "user_jwt"),
    ],
)
def test_what_stands_under_a_telling_name_is_removed(key: str) -> None:
    """Issue, "Audit": secrets removed, by the name of their key, whatever their type."""
    for value in ("hunter2", 1234, ["a", "b"], {"deep": "hunter2"}):
        assert redact({"outer": {key: value}}) == {"outer": {key: REMOVED}}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DB_PASSWORD", "value": REMOVED}),
        ({"key": "DB_PASSWORD", "value": "hunter2"}, {"key": REMOVED, "value": REMOVED}),
        ({"name": "Authorization", "value": ""}, {"name": "Authorization", "value": ""}),
        ({"name": "path", "value": "/tmp"}, {"name": "path", "value": "/tmp"}),
        ({"name": 7, "value": "/tmp"}, {"name": 7, "value": "/tmp"}),
        (["--password", "hunter2", "run"], ["--password", REMOVED, "run"]),
        (["--password=hunter2", "run"], [f"--password={REMOVED}", "run"]),
        (["--verbose", "run"], ["--verbose", "run"]),
        (["--token", 7], ["--token", 7]),
        ([7, "run"], [7, "run"]),
        (["Authorization", "hunter2"], ["Authorization", REMOVED]),
        (["password", "reset"], ["password", "reset"]),
    ],
)
def test_what_comes_after_a_telling_name_is_removed(given: JsonObject, shown: JsonObject) -> None:
    """Headers and environment variables come as lists of names and values, commands as lists of words."""
    assert redact({"outer": [given]}) == {"outer": [shown]}


@pytest.mark.parametrize("key", ["ｐａｓｓｗｏｒｄ", "pass\u200bword", "pass/word", "API KEY"])
def test_a_telling_name_is_known_in_other_spelling(key: str) -> None:
    """Ours: who writes it so means the same."""
    assert redact({key: "hunter2"}) == {key: REMOVED}


@pytest.mark.parametrize("key", ["max_tokens", "pageToken", "next_page_token", "progressToken", "prompt_tokens"])
def test_counts_and_pages_are_no_secrets(key: str) -> None:
    """Ours: a record in which every number is removed tells an auditor nothing."""
    assert redact({key: 100}) == {key: 100}


@pytest.mark.parametrize("key", ["path", "adopt", "keyboard", "author", "compass", "pinned", "monkey", "design"])
def test_innocent_names_are_shown(key: str) -> None:
    """Ours: short telling words count only as a word of their own."""
    assert redact({key: "value"}) == {key: "value"}


@pytest.mark.parametrize("value", [True, False, None, ""])
def test_a_switch_under_a_telling_name_is_shown(value: object) -> None:
    """Ours: `"password": null` says something, and holds nothing."""
    assert redact({"password": value}) == {"password": value}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"use {JWT} now", f"use {REMOVED} now"),
        (f"a\n{PEM}\nb", f"a\n{REMOVED}\nb"),
        ("-----BEGIN PRIVATE KEY-----\nMIIBcut", REMOVED),
        ("key sk-proj-abcdefghijkl1234567890", f"key {REMOVED}"),
        ("sk_live_abcdefghijkl12345", REMOVED),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", REMOVED),
        ("github_pat_11ABCDEFG0123456789_abcdefgh", REMOVED),
        ("glpat-abcdefghijklmnopqrst", REMOVED),
        ("id AKIAIOSFODNN7EXAMPLE", f"id {REMOVED}"),
        ("AIzaSyA-abcdefghijklmnopqrstuvwxyz01234", REMOVED),
        ("xoxb-123456789012-abcdef", REMOVED),
        ("npm_abcdefghijklmnopqrst0123", REMOVED),
        ("whsec_MfKQ9r8GKYqrTwjU", REMOVED),
        ("SG.abcdefghijklmnopq.rstuvwxyzabcdefghi", REMOVED),
        ("Bearer abcdefgh12345", f"Bearer {REMOVED}"),
        ("curl -H 'authorization: token abcdefgh12345'", f"curl -H 'authorization: {REMOVED} {REMOVED}'"),
        ("https://me:hunter2@host.test/x", f"https://{REMOVED}@host.test/x"),
        ("https://ghost@host.test/x", f"https://{REMOVED}@host.test/x"),
        ("postgres://u:p@h/db", f"postgres://{REMOVED}@h/db"),
        ("Server=s;Password=hunter2;Db=d", f"Server=s;Password={REMOVED};Db=d"),
        ('{"password": "hun ter2"}', f'{{"password": {REMOVED}}}'),
        (r"{\"password\": \"hun ter2\", \"a\": 1}", rf"{{\"password\": {REMOVED}, \"a\": 1}}"),
        ('password="hun ter2 without an end', f"password={REMOVED}"),
        ("Cookie: a=b; session=hunter2\nAccept: x", f"Cookie: {REMOVED}\nAccept: x"),
        ("mysql --password hunter2 -e x", f"mysql --password {REMOVED} -e x"),
        ("terraform login -token hunter2", f"terraform login -token {REMOVED}"),
        ("-token hunter2", f"-token {REMOVED}"),
        ("curl\t-u me:hunter2", f"curl\t-u {REMOVED}"),
        ("login \\\n-token hunter2", f"login \\\n-token {REMOVED}"),
        ("curl -u me:hunter2 https://host.test", f"curl -u {REMOVED} https://host.test"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nAAAA", REMOVED),
        ("mrt_live_abcdefghijklmnopqrstuv", REMOVED),
        ("intendedops_acme_abcdefghijklmnopqrstuv", REMOVED),
        ("ps_abcdefghijklmnopqrstuv", REMOVED),
        ("export DB_TOKEN='x y' && run", f"export DB_TOKEN={REMOVED} && run"),
        ("pwd=abc", f"pwd={REMOVED}"),
        ("https://h.test/?sig=abc&x=1", f"https://h.test/?sig={REMOVED}&x=1"),
        ("0123456789abcdef0123456789abcdef", REMOVED),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY0", REMOVED),
    ],
)
def test_a_secret_within_a_text_is_removed(text: str, shown: str) -> None:
    """Issue, "Audit": secrets removed, by their shape, and the rest of the text stays."""
    assert redact({"text": [text]}) == {"text": [shown]}


@pytest.mark.parametrize(
    "text",
    [
        "hello world, this is a longer sentence about nothing: really",
        "/workspace/project/src/main/java/com/example/application/Main.java",
        "2026-11-22T08:00:00.000Z",
        "https://example.test/path?query=1",
        "someone@example.test",
        "123e4567-e89b-12d3-a456-426614174000",
        "00000000000000000000000000000000000000",
        "11112222333344445555666677778888",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1",
        "a_very_long_function_name_that_does_something_in_2_steps",
        "the basics of a token economy",
        "abcdefghijklmnopqrstuvwxyzabcdefghijkl",
        "ghostwriting-glossary-eye-sk-pk",
    ],
)
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    """Ours: what a record shows must be worth reading."""
    assert redact({"text": text}) == {"text": text}


def test_a_secret_used_as_a_key_is_removed() -> None:
    """Ours: maps by token exist."""
    assert redact({"ghp_abcdefghijklmnopqrstuvwxyz0123456789": 1}) == {REMOVED: 1}


def test_long_texts_keys_lists_and_objects_are_cut_with_their_size() -> None:
    """Issue, "Audit": bounded, and a cut can be seen."""
    shown = redact(
        {
            "text": "x y " * 100,
            "list": list(range(50)),
            "object": {f"k{number}": number for number in range(50)},
            "k " * 50: 1,
            "z " * 1000: 2,
        }
    )
    assert shown["text"] == "x y " * 64 + "… (400 characters)"
    assert shown["list"] == [*range(20), "… 30 more items"]
    assert shown["object"] == {f"k{number}": number for number in range(20)} | {"…": "30 more members"}
    assert shown["k " * 32 + "… (100 characters)"] == 1
    assert shown["z " * 32 + "… (2000 characters)"] == 2


def test_depth_is_cut() -> None:
    """Ours: a record is no place for thirty levels."""
    value: object = "deep"
    other: object = "deep"
    for _ in range(20):
        value, other = {"a": value}, [other]
    shown = json.dumps(redact({"value": value, "other": other}), ensure_ascii=False)
    assert "deep" not in shown
    assert '"…": "1 members"' in shown
    assert '"… 1 items"' in shown


def test_all_together_is_bounded() -> None:
    """Issue, "Audit": bodies stay small whatever an agent sends."""
    wide = {f"key{number}": ["word " * 50] * 20 for number in range(20)}
    shown = json.dumps(redact({"a": wide, "b": wide, "c": "more text"}), ensure_ascii=False)
    assert len(shown) < 6000
    assert "more members" in shown
    assert "more items" in shown


def test_a_secret_behind_others_never_slides_into_view() -> None:
    """Ours: removing shortens a text, and what was not searched must not move up into what is shown."""
    text = ("password=" + "x" * 100 + " ") * 12 + "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
    shown = redact({"text": text})["text"]
    assert "ghp_" not in shown
    assert "xxx" not in shown
    assert shown.endswith(f"… ({len(text)} characters)")
    key = "ghp_abcdefghijklmnopqrstuvwxyz0123456789 " * 40
    assert "abcdef" not in str(redact({key: 1}))


@given(st.dictionaries(TEXT, VALUES, max_size=6))
@settings(max_examples=50)
def test_the_arguments_are_never_changed_and_always_shown(arguments: JsonObject) -> None:
    """Design, section 1: what was decided is what is sent, so nobody may touch it; and no input breaks the record."""
    before = copy.deepcopy(arguments)
    shown = redact(arguments)
    assert arguments == before
    assert redact(arguments) == shown


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from([JWT, "ghp_abcdefghijklmnopqrstuvwxyz0123456789"]))
def test_a_secret_is_found_wherever_it_stands(before: str, after: str, secret: str) -> None:
    """Ours: what surrounds a token must not hide it, but for a letter or digit that makes it another word."""
    shown = json.dumps(redact({"t": f"{before} {secret} {after}"}), ensure_ascii=False)
    assert secret not in shown


@pytest.mark.parametrize(
    "text",
    [
        "sk-" + "a-" * 5000,
        "sk-" * 5000,
        "a." * 5000 + "=",
        "ey." * 5000,
        "//" + ":" * 5000 + "@",
        "a-" * 500 + "=",
        "-----BEGIN " + "A " * 5000,
    ],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    """Security, section 2 (ReDoS): every pattern is bounded, on a window of 1,024 characters."""
    assert len(redact({"t": text})["t"]) < 400


def test_a_telling_name_is_known_behind_whatever_stands_before_it() -> None:
    """Looking for where the name begins took seconds of hostile arguments, and missed names longer than its bound."""
    for before in ("", "x" * 60, "a-" * 40, "ä"):
        assert redact({"t": f"{before}password=hunter22"}) == {"t": f"{before}password=[removed]"}


def test_a_line_of_a_log_is_looked_through_and_cut() -> None:
    """Longer ones are not searched to their end, so that they are not shown to it."""
    assert "hunter22" not in redact_line("GET https://user:hunter22@x.example/ 503")
    assert redact_line("policies reloaded, digest 0123456789ab") == "policies reloaded, digest 0123456789ab"
    long = redact_line("word " * 1000)
    assert long.endswith("… (5000 characters)")
    assert len(long) < 1100
