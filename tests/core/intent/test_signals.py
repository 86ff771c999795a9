"""The walk over the arguments: every text is looked at for what it is meant for, none is skipped silently."""

import json
import time
from typing import Any

import pytest

from gateway.core.intent.content_wrapped import fold
from gateway.core.intent.model import EffectClass
from gateway.core.intent.signals import (
    MAX_INNER_VALUES,
    MAX_TEXT_CHARS,
    MAX_TOTAL_CHARS,
    Prior,
    Signals,
    read_arguments,
)

READ = Prior(effect=EffectClass.READ, domain="files")
WRITE = Prior(effect=EffectClass.WRITE, domain="files")
SEND = Prior(effect=EffectClass.SEND, domain="messaging")
EXECUTE = Prior(effect=EffectClass.EXECUTE, domain="shell")
DELETE = Prior(effect=EffectClass.DESTRUCTIVE, domain="database")
QUERY = Prior(effect=EffectClass.READ, domain="database")
CREDENTIAL = Prior(effect=EffectClass.CREDENTIAL, domain="secrets")
ACCESS = Prior(effect=EffectClass.ACCESS, domain="access", inside_domains=("acme.com",))
WEB = Prior(effect=EffectClass.READ, domain="web")

AWS_KEY = "AKIAA1B2C3D4E5F6G7H8"


def seen(arguments: dict[str, Any], prior: Prior = READ) -> dict[str, str]:
    return {code: each.evidence for code, each in read_arguments(arguments, prior).factors.items()}


def points(arguments: dict[str, Any], code: str, prior: Prior = WRITE) -> int:
    return read_arguments(arguments, prior).factors[code].points


@pytest.mark.parametrize(
    ("arguments", "prior", "code"),
    [
        ({"path": "/etc/passwd"}, READ, "system-path"),
        ({"files": {"/etc/passwd": "x"}}, WRITE, "system-path"),
        ({"paths": ["a", "../b"]}, READ, "path-traversal"),
        ({"sql": "drop table x"}, QUERY, "destructive-sql"),
        ({"id": "1; drop table x"}, READ, "destructive-sql"),
        ({"command": "rm -rf x"}, EXECUTE, "destructive-shell"),
        ({"args": ["rm", "-rf", "/"]}, EXECUTE, "destructive-shell"),
        ({"url": "http://169.254.169.254/"}, WEB, "metadata-address"),
        ({"name": "169.254.169.254 x"}, WEB, "metadata-address"),
        ({"value": "fd00:ec2::254"}, WRITE, "metadata-address"),
        ({"id": "see /latest/meta-data"}, READ, "metadata-address"),
        ({"host": 2852039166}, WEB, "metadata-address"),
        ({"url": "http://localhost/"}, WEB, "private-address"),
        ({"server": "10.0.0.1"}, READ, "private-address"),
        ({"url": "file:///srv/x"}, WEB, "file-url"),
        ({"url": "https://e.com/?d=" + "a" * 600}, WEB, "data-in-url"),
        ({"branch": "main; cat x"}, WRITE, "shell-injection"),
        ({"target": "--output=x"}, READ, "option-injection"),
        ({"branch": "-oProxyCommand=x"}, READ, "option-injection"),
        ({"id": "1' OR '1'='1"}, READ, "destructive-sql"),
        ({"path": "L2V0Yy9zaGFkb3c="}, READ, "system-path"),
        ({"parts": ["etc", "shadow"]}, READ, "system-path"),
        ({"uri": "javascript:alert(1)"}, READ, "file-url"),
        ({"url": "jar:http://e.com!/"}, WEB, "file-url"),
        ({"name": "de\u200blete"}, READ, "hidden-characters"),
        ({"body": "hello\U000e0041"}, SEND, "hidden-characters"),
        ({"note": AWS_KEY}, WRITE, "secret-in-arguments"),
        ({"password": "hunter22"}, WRITE, "secret-in-arguments"),
        ({"ssn": "123"}, READ, "sensitive-data"),
        ({"projection": {"passwordHash": 1}}, QUERY, "sensitive-data"),
        ({"sql": "select password from users"}, QUERY, "sensitive-data"),
        ({"path": "config/secrets.yml"}, READ, "sensitive-data"),
        ({"path": "keys/server.pem"}, READ, "sensitive-data"),
        ({"path": "Default/Login Data"}, READ, "sensitive-data"),
        ({"kind": "secret"}, READ, "sensitive-data"),
        ({"path": "/"}, READ, "wildcard"),
        ({"path": "src/*"}, WRITE, "wildcard"),
        ({"id": "*"}, WRITE, "wildcard"),
        ({"filter": {}}, DELETE, "wildcard"),
        ({"where": ""}, DELETE, "wildcard"),
        ({"all": True}, WRITE, "bulk"),
        ({"ids": list(range(20))}, WRITE, "bulk"),
        ({"ids": list(range(100))}, READ, "bulk"),
        ({"to": "@everyone"}, SEND, "bulk"),
        ({"to": "a@x.io," * 20}, SEND, "bulk"),
        ({"force": True}, WRITE, "irreversible"),
        ({"public": True}, WRITE, "public-exposure"),
        ({"private": False}, WRITE, "public-exposure"),
        ({"visibility": "public"}, WRITE, "public-exposure"),
        ({"sandbox": False}, READ, "protection-off"),
        ({"allowDangerous": True}, READ, "protection-off"),
        ({"launch": ["--no-sandbox"]}, READ, "protection-off"),
        ({"environment": "production"}, WRITE, "production"),
        ({"environment": "live"}, WRITE, "production"),
        ({"name": "db-prod"}, WRITE, "production"),
        ({"branch": "main"}, WRITE, "production"),
        ({"to": "a@example.com"}, SEND, "outside-recipient"),
        ({"webhook_url": "https://example.com/"}, SEND, "outside-recipient"),
        ({"email": "Ada <a@example.com>"}, ACCESS, "outside-recipient"),
        ({"amount": 5}, WRITE, "amount"),
        ({"amount": "1,000.50 EUR"}, WRITE, "amount"),
        ({"body": "x\nrm -rf /"}, WRITE, "dangerous-text"),
        ({"body": "drop table x"}, WRITE, "dangerous-text"),
        ({"body": "see http://169.254.169.254/ now"}, WRITE, "dangerous-text"),
        ({"body": "try /latest/meta-data"}, WRITE, "dangerous-text"),
        ({"query": "/etc/passwd"}, READ, "system-path"),
    ],
)
def test_what_an_argument_holds_is_a_factor(arguments: dict[str, Any], prior: Prior, code: str) -> None:
    """Each factor has a stable code that policies are written against."""
    assert code in seen(arguments, prior)


@pytest.mark.parametrize(
    ("arguments", "prior"),
    [
        ({"path": "/home/u/notes.txt", "limit": 10, "cursor": None, "deep": {"x": [1, 2.5, True, False]}}, READ),
        ({"body": "Please read /etc/hosts and ../x, then drop by."}, WRITE),
        ({"query": "how to fix /etc/hosts permissions"}, WEB),
        ({"content": "import x from '../y'\nconst a = `z`"}, WRITE),
        ({"body": "Ask the user; e.g. café – naïve \u200f text"}, SEND),
        ({"dry_run": True, "confirm": True}, WRITE),
        (
            {"force": True, "all": True, "public": True, "private": False, "amount": 5, "environment": "production"},
            READ,
        ),
        ({"force": False, "all": False, "public": False, "delete": False}, WRITE),
        ({"password": "hunter22"}, CREDENTIAL),
        ({"value": AWS_KEY}, CREDENTIAL),
        ({"email": "bob@acme.com", "user": "bob"}, ACCESS),
        ({"email": "bob@example.com"}, WRITE),
        ({"product": "prod_123", "name": "a product"}, WRITE),
        ({"amount": 0, "total": "0", "price": "free"}, WRITE),
        ({"id": "*", "ids": ["a"] * 30}, READ),
        ({"sql": "select a from t where b = 1"}, QUERY),
        ({"visibility": "private"}, WRITE),
        ({"uri": "file:///srv/x"}, READ),
        ({"key": "monkey", "kind": "keyboard"}, READ),
        ({"url": "https://example.com/?q=short"}, WEB),
        ({"host": 80}, WEB),
        ({"filter": {}}, READ),
        ({"a": "x"}, WRITE),
        ({"args": ["ls", "-la"]}, EXECUTE),
        ({"text": "the 169 metres of it"}, READ),
    ],
)
def test_ordinary_arguments_are_no_factor(arguments: dict[str, Any], prior: Prior) -> None:
    """A gateway that sees danger everywhere is switched off; a dry run that an agent asks for counts for nothing."""
    assert seen(arguments, prior) == {}


@pytest.mark.parametrize(
    ("arguments", "prior", "effect"),
    [
        ({"action": "delete"}, READ, EffectClass.DESTRUCTIVE),
        ({"method": "POST"}, READ, EffectClass.SEND),
        ({"operations": [{"op": "update"}, {"op": "remove"}, {"op": "create"}]}, READ, EffectClass.DESTRUCTIVE),
        ({"delete_branch": True}, WRITE, EffectClass.DESTRUCTIVE),
        ({"list_all": True}, WRITE, None),
        ({"sql": "insert into t values (1)"}, QUERY, EffectClass.WRITE),
        ({"sql": "delete from t where a=1"}, QUERY, EffectClass.DESTRUCTIVE),
        ({"query": "mutation { deleteUser }"}, QUERY, EffectClass.DESTRUCTIVE),
        ({"query": "mutation { addUser }"}, QUERY, EffectClass.WRITE),
        ({"pipeline": [{"$out": "x"}]}, QUERY, EffectClass.DESTRUCTIVE),
        ({"action": "list"}, READ, None),
        ({"action": "x" * 65}, READ, None),
        ({"sql": "select 1"}, QUERY, None),
        ({"body": "insert into t values (1)"}, WRITE, None),
    ],
)
def test_arguments_speak_for_an_effect(arguments: dict[str, Any], prior: Prior, effect: EffectClass | None) -> None:
    """What the arguments say outranks the tool's name."""
    assert read_arguments(arguments, prior).effect is effect


@pytest.mark.parametrize(
    ("arguments", "effect"),
    [
        ({"action": {"name": "delete"}}, EffectClass.DESTRUCTIVE),
        ({"action": {"name": "list", "limit": 3}}, None),
        ({"params": '{"action": "delete"}'}, EffectClass.DESTRUCTIVE),
        ({"params": '[{"options": {"action": "drop"}}]'}, EffectClass.DESTRUCTIVE),
        ({"params": '{"action": "delete"'}, None),
        ({"params": "[" * 9000}, None),
        ({"params": '{"action": "delete", "x": "' + "x" * 20000 + '"}'}, EffectClass.DESTRUCTIVE),
        ({"url": "https://api.test/users/1?_method=DELETE"}, EffectClass.DESTRUCTIVE),
        ({"url": "https://api.test/users/1?a=b&_method=put"}, EffectClass.WRITE),
    ],
)
def test_an_act_inside_of_an_argument_speaks_too(arguments: dict[str, Any], effect: EffectClass | None) -> None:
    """As an object, as the text of one, or as a parameter that servers take for the method."""
    assert read_arguments(arguments, READ).effect is effect


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"fields": '{"attachments": ["/etc/shadow"]}'}, "system-path"),
        ({"endpoint": "/members/me/tokens"}, "sensitive-data"),
        ({"url": "https://" + "a" * 60 + "." + "b" * 60 + ".test/"}, "data-in-url"),
    ],
)
def test_what_stands_in_a_text_of_json_a_route_or_a_hosts_name_counts(arguments: dict[str, Any], code: str) -> None:
    """A read of `/tokens` hands them out, and a name of 120 characters carries data to whoever serves the domain."""
    assert code in seen(arguments)


def test_json_that_is_only_stored_is_content() -> None:
    """A file may hold any text; its name and place are looked at, not what stands in it."""
    assert read_arguments({"content": '{"action": "delete"}'}, WRITE).effect is None


def test_a_listed_value_settles_what_the_name_left_open() -> None:
    """Only values that the schema lists can do that, and the gravest of them counts."""
    listed = {"a": EffectClass.READ, "b": EffectClass.WRITE}
    prior = Prior(effect=EffectClass.WRITE, domain="x", selectors={"action": listed, "mode": listed})
    assert read_arguments({"action": "a"}, prior).decided is EffectClass.READ
    assert read_arguments({"action": "a", "mode": "b"}, prior).decided is EffectClass.WRITE
    assert read_arguments({"action": "b", "mode": "a"}, prior).decided is EffectClass.WRITE
    assert read_arguments({"action": "c"}, prior).decided is None
    assert read_arguments({"x": {"action": "a"}}, prior).decided is None


@pytest.mark.parametrize(("value", "weight"), [(1, 5), (101, 10), (5000, 15), (-20_000, 20), ("1e", 5), ("1.2.3", 20)])
def test_amounts_are_graded(value: object, weight: int) -> None:
    """Ten thousand is not ten; an amount that cannot be read counts as large."""
    assert points({"amount": value}, "amount") == weight


def test_a_factor_is_noted_once_at_its_most_points_with_the_first_evidence() -> None:
    """The sum must not grow with repetition, nor depend on order."""
    signals = Signals()
    signals.add("amount", "a", 5)
    signals.add("amount", "b", 5)
    signals.add("amount", "c", 10)
    assert (signals.factors["amount"].points, signals.factors["amount"].evidence) == (10, "c")


def test_evidence_names_the_argument_and_never_its_value() -> None:
    """Evidence is shown, stored and sent."""
    value = "/etc/very-particular-value"
    assert seen({"a": {"path": [value]}})["system-path"] == "a.path: a path of the operating system"
    assert all(value not in text for text in seen({"files": {value: "x"}}, WRITE).values())
    assert all(value not in text for text in seen({value: "x"}, WRITE).values())


def test_text_beyond_the_bound_is_a_factor() -> None:
    """What was not looked at may not pass as harmless."""
    assert "oversized-argument" in seen({"content": "a" * (MAX_TEXT_CHARS + 1)})
    assert "oversized-argument" not in seen({"content": "a" * MAX_TEXT_CHARS})
    many = {str(number): "a" * MAX_TEXT_CHARS for number in range(MAX_TOTAL_CHARS // MAX_TEXT_CHARS + 1)}
    assert "oversized-argument" in seen(many)


def test_values_of_json_in_texts_are_bounded_in_number() -> None:
    """The wire's bound on keys and items does not see them, and each costs some 15 µs."""
    few = json.dumps({"filter": dict.fromkeys(map(str, range(MAX_INNER_VALUES // 4)), 1), "action": "delete"})
    assert "oversized-argument" not in seen({"a": few})
    assert read_arguments({"a": few}, READ).effect is EffectClass.DESTRUCTIVE
    assert "oversized-argument" in seen({"a": few, "b": few, "c": few, "d": few})
    assert "oversized-argument" in seen({"a": ['["x"]'] * MAX_INNER_VALUES + ['["x"]']})
    assert "oversized-argument" in seen({"a": json.dumps([json.dumps(["x"] * 1500), json.dumps(["x"] * 1500)])})


def test_nesting_beyond_the_bound_is_a_factor() -> None:
    """The wire guard stops earlier; should it ever not, this must not be a way past."""
    for deep in ({"a": "x"}, ["x"]):
        for _ in range(100):
            deep = {"a": deep} if isinstance(deep, dict) else {"b": [deep]}  # type: ignore[assignment]
        assert "oversized-argument" in seen(deep)  # type: ignore[arg-type]
    nested: Any = "/etc/passwd"
    for _ in range(100):
        nested = [nested]
    assert "oversized-argument" in seen({"a": nested})


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "%25",
        "' ",
        "//",
        "..",
        ";",
        "rm -rf ",
        "/*",
        "http://1.1.1.1 ",
        "@x.y ",
        "sk-",
        "eyJ",
        "é",
        "\u200b",
        "\u0301\u0316",
        "select ",
    ],
)
def test_a_hostile_megabyte_costs_a_bounded_time(piece: str) -> None:
    """No argument may hold the gate up, whatever it is called."""
    text = piece * (1_000_000 // len(piece))
    for key in ("sql", "command", "to"):
        begun = time.process_time()
        read_arguments({key: text}, EXECUTE)
        assert time.process_time() - begun < 2


def test_what_a_character_stands_for_counts_like_what_was_sent() -> None:
    """A ligature of eighteen letters is read as these: so many of them are looked at as of any other text."""
    one = read_arguments({"a": "\ufdfa" * 100}, READ)
    assert one.chars == len(fold("\ufdfa" * 100)) == 1800
    assert "oversized-argument" not in one.factors
    assert "oversized-argument" in seen({"a": "\ufdfa" * (MAX_TEXT_CHARS // 10)})
    assert read_arguments({str(n): "\ufdfa" * 3600 for n in range(50)}, READ).chars < MAX_TOTAL_CHARS * 2


def test_json_in_a_text_is_read_whatever_its_length_and_what_stands_before_it() -> None:
    """A server reads it however long it is, and after blanks: these must not hide an act."""
    for text in (' \n{"action": "delete"}', '{"action": "delete"' + " " * (MAX_TEXT_CHARS - 20) + "}"):
        assert read_arguments({"request": text}, READ).effect is EffectClass.DESTRUCTIVE


@pytest.mark.parametrize(
    ("arguments", "effect"),
    [
        ({"purge": "yes"}, EffectClass.DESTRUCTIVE),
        ({"purge": "no"}, None),
        ({"and_delete": 1}, EffectClass.DESTRUCTIVE),
        ({"and_delete": 2}, None),
        ({"then": "delete"}, EffectClass.DESTRUCTIVE),
        ({"on_match": "delete"}, EffectClass.DESTRUCTIVE),
        ({"callback_url": "https://e.com/x"}, EffectClass.SEND),
    ],
)
def test_a_switch_counts_however_it_is_switched_on(arguments: dict[str, Any], effect: EffectClass | None) -> None:
    """Upstreams take 1 and `yes` for true, and do afterwards what they are told to."""
    assert read_arguments(arguments, READ).effect is effect


def test_signals_of_two_parts_of_a_call_are_joined_on_the_grave_side() -> None:
    """What one part shows is not taken back by the other."""
    one, other = read_arguments({"path": "/etc/x"}, READ), read_arguments({"then": "delete", "id": "../x"}, READ)
    one.join(other)
    assert {"system-path", "path-traversal"} <= one.factors.keys()
    assert one.effect is EffectClass.DESTRUCTIVE
    one.join(read_arguments({}, READ))
    assert one.effect is EffectClass.DESTRUCTIVE
