"""The method table against the specification's own lists, and what gated messages are aimed at."""

from typing import Any

import pytest
from mcp.shared.inbound import NAME_BEARING_METHODS
from mcp_types import methods as sdk
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from gateway.core.call import Era
from gateway.core.message import Kind, Rejection
from gateway.core.methods import (
    EMBEDDED_METHODS,
    INPUT_REQUIRED_METHODS,
    NAME_MEMBER,
    TABLE,
    Direction,
    Subject,
    Treatment,
    listen_uris,
    subject,
    treatment,
)

MAPS = {
    (Direction.FROM_AGENT, Kind.REQUEST): sdk.CLIENT_REQUESTS,
    (Direction.FROM_AGENT, Kind.NOTIFICATION): sdk.CLIENT_NOTIFICATIONS,
    (Direction.FROM_UPSTREAM, Kind.REQUEST): sdk.SERVER_REQUESTS,
    (Direction.FROM_UPSTREAM, Kind.NOTIFICATION): sdk.SERVER_NOTIFICATIONS,
}
ROWS = {(row.method, era, row.direction, row.kind): row for row in TABLE for era in row.eras}


def test_every_method_of_every_revision_that_the_sdk_knows_is_in_the_table() -> None:
    """A new SDK with a new method must be looked at, and not be answered by accident."""
    known = {
        (method, Era.HANDSHAKE if version in HANDSHAKE_PROTOCOL_VERSIONS else Era.MODERN, direction, kind)
        for (direction, kind), methods in MAPS.items()
        for method, version in methods
    }
    assert known - ROWS.keys() == set()


def test_no_message_has_two_rows() -> None:
    """The later one would win unseen."""
    assert len(ROWS) == sum(len(row.eras) for row in TABLE)


def test_what_the_specification_does_not_have_in_an_era_is_never_forwarded_in_it() -> None:
    """A row of ours that the revision lacks may only refuse, drop or (session keeping) answer here."""
    closed = {Treatment.REJECT, Treatment.DROP}
    for (method, era, direction, kind), row in ROWS.items():
        versions = HANDSHAKE_PROTOCOL_VERSIONS if era is Era.HANDSHAKE else ("2026-07-28",)
        if not any((method, version) in MAPS[direction, kind] for version in versions):
            assert row.treatment in closed, row


def test_requests_are_never_dropped_and_notifications_never_rejected() -> None:
    """A request is owed an answer, a notification cannot get one."""
    for row in TABLE:
        assert row.treatment is not (Treatment.DROP if row.kind is Kind.REQUEST else Treatment.REJECT), row


def test_lists_of_methods_are_those_of_the_sdk() -> None:
    """They decide which results and headers are taken."""
    assert sdk.INPUT_REQUIRED_METHODS == INPUT_REQUIRED_METHODS
    assert {method: NAME_MEMBER[method] for method in NAME_BEARING_METHODS} == dict(NAME_BEARING_METHODS)
    assert NAME_MEMBER.keys() - NAME_BEARING_METHODS == {"tasks/get", "tasks/update", "tasks/cancel"}
    assert {method for method, _ in sdk.SERVER_REQUESTS} - {"ping"} == EMBEDDED_METHODS


@pytest.mark.parametrize(
    "method", ["tools/Call", "Tools/call", " tools/call", "tools/call ", "tools\uff0fcall", "tools/call\x00", "x/y", ""]
)
@pytest.mark.parametrize("era", Era)
@pytest.mark.parametrize("direction", Direction)
def test_an_unknown_method_is_rejected_or_dropped(method: str, era: Era, direction: Direction) -> None:
    """Nobody taught the gateway what it does."""
    assert treatment(method, era, direction, Kind.REQUEST) is Treatment.REJECT
    assert treatment(method, era, direction, Kind.NOTIFICATION) is Treatment.DROP
    assert treatment(method, era, direction, Kind.RESPONSE) is Treatment.REJECT


@pytest.mark.parametrize(
    ("method", "era", "direction", "kind", "expected"),
    [
        ("tools/call", Era.HANDSHAKE, Direction.FROM_AGENT, Kind.REQUEST, Treatment.GATE),
        ("tools/call", Era.MODERN, Direction.FROM_AGENT, Kind.REQUEST, Treatment.GATE),
        ("tools/call", Era.MODERN, Direction.FROM_UPSTREAM, Kind.REQUEST, Treatment.REJECT),
        ("tools/call", Era.MODERN, Direction.FROM_AGENT, Kind.NOTIFICATION, Treatment.DROP),
        ("initialize", Era.HANDSHAKE, Direction.FROM_AGENT, Kind.REQUEST, Treatment.LOCAL),
        ("initialize", Era.MODERN, Direction.FROM_AGENT, Kind.REQUEST, Treatment.REJECT),
        ("ping", Era.MODERN, Direction.FROM_AGENT, Kind.REQUEST, Treatment.REJECT),
        ("notifications/cancelled", Era.MODERN, Direction.FROM_AGENT, Kind.NOTIFICATION, Treatment.DROP),
        ("sampling/createMessage", Era.HANDSHAKE, Direction.FROM_UPSTREAM, Kind.REQUEST, Treatment.GATE),
        ("sampling/createMessage", Era.MODERN, Direction.FROM_UPSTREAM, Kind.REQUEST, Treatment.REJECT),
        ("tasks/list", Era.HANDSHAKE, Direction.FROM_AGENT, Kind.REQUEST, Treatment.REJECT),
    ],
)
def test_the_treatments_that_matter_most(
    method: str, era: Era, direction: Direction, kind: Kind, expected: Treatment
) -> None:
    """Written out a second time, so that a slip in the table shows."""
    assert treatment(method, era, direction, kind) is expected


# --- subjects ---------------------------------------------------------------------------------------------------------

PROMPT_REF = {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "v"}}
RESOURCE_REF = {"ref": {"type": "ref/resource", "uri": "db://{table}"}, "argument": {"name": "table", "value": "x"}}

SUBJECTS: list[tuple[str, dict[str, Any], Subject]] = [
    ("tools/call", {"name": "x", "arguments": {"a": 1}}, Subject(name="x", uri="", arguments={"a": 1})),
    ("tools/call", {"name": " X ", "vendor": 1}, Subject(name=" X ", uri="", arguments={})),
    ("prompts/get", {"name": "x", "arguments": {"a": "1"}}, Subject(name="x", uri="", arguments={"a": "1"})),
    ("resources/read", {"uri": "FILE:///a%62"}, Subject(name="", uri="file:///ab", arguments={})),
    ("resources/subscribe", {"uri": "test://x"}, Subject(name="", uri="test://x", arguments={})),
    (
        "completion/complete",
        PROMPT_REF | {"context": {"arguments": {}}, "_meta": {}},
        Subject(name="p", uri="", arguments={"argument": PROMPT_REF["argument"], "context": {"arguments": {}}}),
    ),
    (
        "completion/complete",
        RESOURCE_REF,
        Subject(name="", uri="db://{table}", arguments={"argument": RESOURCE_REF["argument"]}),
    ),
    ("sampling/createMessage", {"messages": []}, Subject(name="", uri="", arguments={"messages": []})),
    ("roots/list", {}, Subject(name="", uri="", arguments={})),
    ("elicitation/create", {"message": "?"}, Subject(name="", uri="", arguments={"message": "?"})),
    (
        "elicitation/create",
        {"mode": "url", "message": "?", "url": "https://A.test/x"},
        Subject(name="", uri="https://a.test/x", arguments={"mode": "url", "message": "?", "url": "https://A.test/x"}),
    ),
]

ILL_TYPED: list[tuple[str, dict[str, Any]]] = [
    *(("tools/call", params) for params in (
        {}, {"name": ""}, {"name": 1}, {"name": None}, {"name": ["x"]}, {"name": "x", "arguments": None},
        {"name": "x", "arguments": []}, {"name": "x", "arguments": "{}"},
    )),
    *(("prompts/get", params) for params in (
        {}, {"name": ""}, {"name": "x", "arguments": []}, {"name": "x", "arguments": {"a": 1}},
    )),
    *(("resources/read", params) for params in ({}, {"uri": 1}, {"uri": ""}, {"uri": "x"}, {"uri": "file:///../x"})),
    ("resources/subscribe", {"uri": None}),
    *(("completion/complete", params) for params in (
        {}, {"ref": PROMPT_REF["ref"]}, PROMPT_REF | {"argument": {"name": "a"}}, PROMPT_REF | {"argument": []},
        PROMPT_REF | {"ref": None}, PROMPT_REF | {"ref": {"type": "ref/tool", "name": "x"}},
        PROMPT_REF | {"ref": {"type": "ref/prompt", "name": ""}}, PROMPT_REF | {"ref": {"type": "ref/prompt"}},
        PROMPT_REF | {"ref": {"type": "ref/resource", "uri": ""}},
        PROMPT_REF | {"ref": {"type": "ref/resource", "uri": 5}},
        PROMPT_REF | {"ref": {"type": "ref/resource", "uri": "a\n"}},
    )),
    *(("elicitation/create", params) for params in (
        {}, {"message": 1}, {"message": "?", "mode": "other"}, {"message": "?", "mode": "url"},
        {"message": "?", "mode": "url", "url": "https://u@a.test/"},
    )),
    ("tools/list", {}),
    ("x/y", {}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "params", "expected"), SUBJECTS)
def test_a_gated_message_has_a_subject(method: str, params: dict[str, Any], expected: Subject) -> None:
    """Policies match on it."""
    assert subject(method, params) == expected


def test_the_arguments_of_a_subject_are_the_very_object_of_the_message() -> None:
    """What is evaluated is what is forwarded."""
    arguments = {"a": 1}
    answer = subject("tools/call", {"name": "x", "arguments": arguments})
    assert isinstance(answer, Subject)
    assert answer.arguments is arguments


@pytest.mark.parametrize(("method", "params"), ILL_TYPED)
def test_params_that_do_not_fit_are_refused(method: str, params: dict[str, Any]) -> None:
    """An upstream that is laxer would read something that policy did not."""
    answer = subject(method, params)
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.code) == (400, -32602)


def test_the_answers_of_a_round_belong_to_the_subject() -> None:
    """They go to the upstream with the call; other methods have no rounds."""
    answers = {"q": {"action": "accept"}}
    asked = subject("tools/call", {"name": "x", "inputResponses": answers})
    assert isinstance(asked, Subject)
    assert asked.answers is answers
    assert isinstance(subject("tools/call", {"name": "x", "inputResponses": []}), Rejection)
    other = subject("resources/subscribe", {"uri": "a://b", "inputResponses": []})
    assert isinstance(other, Subject)
    assert other.answers == {}


@pytest.mark.parametrize("length", [1024, 1025])
def test_a_name_is_no_place_for_a_megabyte(length: int) -> None:
    """Every decision writes the name into its entry and its line, so that one agent could fill both."""
    name = "x" * length
    ref = {"ref": {"type": "ref/prompt", "name": name}, "argument": {"name": "a", "value": "b"}}
    template = {"ref": {"type": "ref/resource", "uri": name * 8}, "argument": {"name": "a", "value": "b"}}
    taken = [
        *(subject(method, {"name": name}) for method in ("tools/call", "prompts/get")),
        *(subject("completion/complete", params) for params in (ref, template)),
    ]
    assert [isinstance(one, Rejection) for one in taken] == [length > 1024] * 4


def test_every_gated_method_has_a_subject_reader() -> None:
    """A GATE row without one would refuse every call, and nobody would know why."""
    for row in TABLE:
        answer = subject(row.method, {})
        unread = isinstance(answer, Rejection) and answer.message.endswith("has no subject")
        assert unread is (row.treatment is not Treatment.GATE and row.method not in EMBEDDED_METHODS | {
            "resources/subscribe"
        }), row  # fmt: skip


def test_the_uris_of_a_listen_request_are_read() -> None:
    """Each is gated as a read."""
    assert listen_uris({"notifications": {"resourceSubscriptions": ["TEST://a", "test://b"]}}) == (
        "test://a",
        "test://b",
    )
    assert listen_uris({"notifications": {"toolsListChanged": True}}) == ()


@pytest.mark.parametrize(
    "params",
    [{}, {"notifications": []}, {"notifications": {"resourceSubscriptions": "test://a"}},
     {"notifications": {"resourceSubscriptions": ["test://a", 1]}},
     {"notifications": {"resourceSubscriptions": ["../x"]}}],
)  # fmt: skip
def test_a_listen_request_that_does_not_fit_is_refused(params: dict[str, Any]) -> None:
    """One bad URI must not be left out in silence."""
    answer = listen_uris(params)
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.code) == (400, -32602)
