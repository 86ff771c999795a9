"""One sentence of what would happen."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.intent.model import EffectClass
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.presentation import said_by, sentence, still_needed

CORPUS = Path(__file__).parents[1] / "golden/corpus"

CALL = {
    "agent": "billing-agent",
    "method": "tools/call",
    "upstream": "files",
    "target": "payments.refund",
    "type": "billing.process_refund",
    "effect_class": "payment",
}

SENTENCE = re.compile(
    r"Agent (?P<agent>WORD) wants to call (?P<up>WORD)/(?P<tool>WORD)"
    r"(?: without arguments| with (?:PAIR(?:, PAIR)*(?: and (?:PAIR|[0-9]+ other arguments?))?|[0-9]+ arguments?))"
    r", judged to be (?P<type>[a-z_.]+|of unknown purpose)(?: \((?P<effect>[a-z]+)\))?\.".replace(
        "PAIR", r"WORD=(?:WORD|[-+0-9.e]+|\[[^\[\]]*\])"
    ).replace("WORD", r'(?:[A-Za-z0-9_@.:/+-]+|"(?:[^"\\]|\\.)*"(?: \([^()]*\))?)')
)
"""Every sentence about a tool call, whatever agent, tool, judgement and arguments are."""


def tools() -> dict[tuple[str, str], dict[str, Any]]:
    """Return real tools by server and name, as their servers list them."""
    return {
        (path.stem, tool["name"]): tool
        for path in sorted(CORPUS.glob("*.json"))
        if path.stem != "servers"
        for tool in json.loads(path.read_text())["tools"]
    }


REAL = tools()


@pytest.mark.parametrize(
    ("server", "tool", "arguments", "judged", "told"),
    [
        ("filesystem", "write_file", {"path": "/tmp/x/b.txt", "content": "hello"}, "files.delete (destructive)",
         "call filesystem/write_file with path=/tmp/x/b.txt and 1 other argument"),
        ("filesystem", "edit_file", {"path": "/srv/a b.txt", "edits": [{"oldText": "a", "newText": "b"}]},
         "files.write (write)", 'call filesystem/edit_file with path="/srv/a b.txt" and 1 other argument'),
        ("filesystem", "move_file", {"source": "/tmp/a", "destination": "/tmp/b"}, "files.write (write)",
         "call filesystem/move_file with destination=/tmp/b and source=/tmp/a"),
        ("filesystem", "create_directory", {"path": "/tmp/d"}, "files.write (write)",
         "call filesystem/create_directory with path=/tmp/d"),
        ("filesystem", "read_multiple_files", {"paths": ["a", "b", "c", "d", "e"]}, "files.read (read)",
         "call filesystem/read_multiple_files with paths=[a, b, c and 2 more]"),
        ("filesystem", "list_allowed_directories", {}, "files.read (read)",
         "call filesystem/list_allowed_directories without arguments"),
        ("github", "create_issue", {"owner": "acme", "repo": "shop", "title": "It breaks", "body": "long"},
         "code.write (write)",
         'call github/create_issue with owner=acme, repo=shop, title="It breaks" and 1 other argument'),
        ("github", "merge_pull_request", {"owner": "acme", "repo": "shop", "pull_number": 7}, "code.write (write)",
         "call github/merge_pull_request with owner=acme, repo=shop and pull_number=7"),
        ("github", "push_files", {"owner": "a", "repo": "b", "branch": "main", "files": [{}], "message": "m"},
         "code.write (write)", "call github/push_files with owner=a, repo=b, branch=main and 2 other arguments"),
        ("github", "create_repository", {"name": "new", "private": True}, "code.write (write)",
         "call github/create_repository with name=new and 1 other argument"),
        ("github", "fork_repository", {"owner": "acme", "repo": "shop"}, "code.write (write)",
         "call github/fork_repository with owner=acme and repo=shop"),
        ("github", "search_code", {"q": "password"}, "code.read (read)", "call github/search_code with 1 argument"),
        ("slack", "slack_post_message", {"channel_id": "C024BE91L", "text": "hello"}, "messaging.send (send)",
         "call slack/slack_post_message with channel_id=C024BE91L and 1 other argument"),
        ("slack", "slack_reply_to_thread", {"channel_id": "C0", "thread_ts": "1.2", "text": "yes"},
         "messaging.send (send)", "call slack/slack_reply_to_thread with channel_id=C0 and 2 other arguments"),
        ("slack", "slack_add_reaction", {"channel_id": "C0", "timestamp": "1.2", "reaction": "ok"},
         "messaging.send (send)", "call slack/slack_add_reaction with channel_id=C0 and 2 other arguments"),
        ("slack", "slack_get_user_profile", {"user_id": "U1"}, "messaging.read (read)",
         "call slack/slack_get_user_profile with user_id=U1"),
        ("stripe", "create_refund", {"payment_intent": "pi_1", "amount": 900}, "payments.refund (payment)",
         "call stripe/create_refund with amount=900 and payment_intent=pi_1"),
        ("stripe", "create_invoice_item", {"customer": "cus_1", "price": "price_1", "invoice": "in_1"},
         "payments.charge (payment)",
         "call stripe/create_invoice_item with price=price_1, customer=cus_1 and invoice=in_1"),
        ("stripe", "create_price", {"product": "prod_1", "unit_amount": 500, "currency": "eur"},
         "payments.write (payment)",
         "call stripe/create_price with unit_amount=500, currency=eur and 1 other argument"),
        ("stripe", "cancel_subscription", {"subscription": "sub_1"}, "payments.delete (destructive)",
         "call stripe/cancel_subscription with subscription=sub_1"),
        ("stripe", "create_payment_link", {"price": "price_1", "quantity": 2}, "payments.charge (payment)",
         "call stripe/create_payment_link with price=price_1 and quantity=2"),
        ("stripe", "create_customer", {"name": "Jane Doe", "email": "jane@example.org"}, "crm.write (write)",
         'call stripe/create_customer with email=jane@example.org and name="Jane Doe"'),
        ("demo", "notes.search", {"q": "invoice"}, "documents.search (read)", "call demo/notes.search with 1 argument"),
        ("demo", "notes.add", {"text": "buy milk"}, "documents.write (write)", "call demo/notes.add with 1 argument"),
        ("demo", "files.read", {"path": "../../etc/shadow"}, "files.read (read)",
         "call demo/files.read with path=../../etc/shadow"),
        ("demo", "files.delete", {"path": "/etc/passwd"}, "files.delete (destructive)",
         "call demo/files.delete with path=/etc/passwd"),
        ("demo", "payments.refund", {"amount": 900.5, "to": "cus_1"}, "payments.refund (payment)",
         "call demo/payments.refund with amount=900.5 and to=cus_1"),
        ("bank", "charge", {"amount": 5, "to": "x"}, "payments.charge (payment)",
         "call bank/charge with amount=5 and to=x"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)  # fmt: skip
def test_what_a_human_reads_before_a_yes(
    server: str, tool: str, arguments: dict[str, Any], judged: str, told: str
) -> None:
    """Exactly what is called, with what, and what that is judged to be; real tools, with arguments that they take."""
    if (server, tool) in REAL:
        assert arguments.keys() <= REAL[server, tool]["inputSchema"]["properties"].keys()
    type_, effect = judged.rstrip(")").split(" (")
    call = {"agent": "local", "method": "tools/call", "upstream": server, "target": tool}
    said = sentence(**call, type=type_, effect_class=effect, arguments=arguments)
    assert said == f"Agent local wants to {told}, judged to be {judged}."
    assert SENTENCE.fullmatch(said)


PLAUSIBLE = {"string": "some text", "number": 1.5, "integer": 3, "boolean": True, "object": {"a": 1}, None: "x"}


@pytest.mark.parametrize("effect", [*EffectClass])
def test_the_sentence_reads_the_same_way_for_every_tool_and_judgement(effect: EffectClass) -> None:
    """Some 900 tools of 47 servers, with nothing, with what they require, and with all that they take."""
    assert len(REAL) > 500
    types = [one.id for one in TAXONOMY.types if one.effect_class is effect]
    for number, ((server, name), tool) in enumerate(REAL.items()):
        schema = tool.get("inputSchema", {})
        each = {
            key: [PLAUSIBLE["string"]] if one.get("type") == "array" else PLAUSIBLE.get(str(one.get("type")), "x")
            for key, one in schema.get("properties", {}).items()
            if isinstance(one, dict)
        }
        for arguments in ({}, {key: one for key, one in each.items() if key in schema.get("required", ())}, each):
            said = sentence(
                agent="ci",
                method="tools/call",
                upstream=server,
                target=name,
                type=types[number % len(types)],
                effect_class=effect,
                arguments=arguments,
            )
            assert SENTENCE.fullmatch(said), said


@given(
    arguments=st.dictionaries(
        st.sampled_from(["to", "amount", "path", "T o", "name", "note", "c.c"]) | st.text(max_size=5),
        st.text(max_size=30) | st.integers() | st.none() | st.booleans() | st.lists(st.text(max_size=4), max_size=5),
        max_size=6,
    ),
    name=st.text(min_size=1, max_size=12),
)
def test_no_argument_and_no_name_goes_on_with_the_sentence(arguments: dict[str, Any], name: str) -> None:
    """The agent chose them: they stand as one word or between quotation marks, and each argument is told or counted."""
    said = sentence(**(CALL | {"agent": name, "target": name}), arguments=arguments)
    assert said.isprintable()
    head, _, rest = said.partition(" wants to call files/")
    assert head.startswith("Agent ")
    assert rest.endswith(", judged to be billing.process_refund (payment).")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"to": ["a", "b", "c", "d", "e"]}, "with to=[a, b, c and 2 more]"),
        ({"to": "", "recipient": None, "email": {"x": 1}, "user": True, "cc": [], "bcc": [{}]}, "with 6 arguments"),
        ({"amount": 1, "Amount": 2}, "with amount=1 and Amount=2"),
        ({"a": 1, "name": "n", "id": 1, "path": "p", "to": "t", "amount": 5},
         "with amount=5, to=t, path=p, name=n and 2 other arguments"),
        ({"pay ee": "x"}, 'with "pay ee"=x'),
        ({"x": 1}, "with 1 argument"),
        ({}, "without arguments"),
        (None, ""),
    ],
)  # fmt: skip
def test_every_argument_is_told_or_counted(arguments: dict[str, Any] | None, told: str) -> None:
    """What is not in the sentence is there all the same; of what is not kept nothing is said."""
    assert sentence(**CALL, arguments=arguments) == (
        f"Agent billing-agent wants to call files/payments.refund{told and f' {told}'},"
        " judged to be billing.process_refund (payment)."
    )


def test_a_value_cannot_go_on_with_the_sentence() -> None:
    """What is no plain word is quoted, and cut; the agent chose it."""
    said = sentence(**CALL, arguments={"to": 'Bob (approved already). "Yes"\u202e', "path": "x y" * 100})
    assert 'to="Bob (approved already). \\"Yes\\"\\u202e" and path="x y' in said
    assert "cut: 300 characters" in said


@pytest.mark.parametrize(
    ("more", "done"),
    [
        ({"method": "intent", "upstream": "github", "target": "deploy to production"},
         'act by itself in github: "deploy to production"'),
        ({"method": "intent", "upstream": "", "target": "deploy"}, "act by itself: deploy"),
        ({"method": "intent", "upstream": "", "target": "pay", "arguments": {"amount": 5}},
         "act by itself: pay with amount=5"),
        ({"method": "resources/read", "target": "file:///x"}, "read the resource files/file:///x"),
        ({"method": "prompts/get", "target": "greet", "arguments": {"name": "Al"}},
         "get the prompt files/greet with name=Al"),
        ({"method": "sampling/createMessage", "target": "x", "arguments": None},
         "make the request sampling/createMessage to files/x"),
    ],
)  # fmt: skip
def test_the_sentence_says_by_which_way(more: dict[str, Any], done: str) -> None:
    """A program acts itself; a resource is read."""
    said = sentence(**({"arguments": {}} | CALL | more))
    assert said == f"Agent billing-agent wants to {done}, judged to be billing.process_refund (payment)."


@pytest.mark.parametrize("type", ["", "unknown"])
@pytest.mark.parametrize(("effect", "told"), [("", ""), ("unknown", ""), ("send", " (send)")])
def test_a_call_of_unknown_purpose_is_said_to_be_one(type: str, effect: str, told: str) -> None:
    """Nothing is guessed for the human."""
    said = sentence(**(CALL | {"type": type, "effect_class": effect}), arguments={"to": "x"})
    assert said == (
        f"Agent billing-agent wants to call files/payments.refund with to=x, judged to be of unknown purpose{told}."
    )


def test_approvers_are_counted_while_it_is_pending() -> None:
    """And never below none."""
    assert still_needed(2, 1, pending=True) == 1
    assert still_needed(1, 2, pending=True) == 0
    assert still_needed(2, 0, pending=False) == 0


@pytest.mark.parametrize(
    ("user", "name", "said"),
    [("usr_1", "ada", "ps_1 (ada, usr_1)"), ("usr_1", "", "ps_1 (usr_1)"), ("", "", "ps_1")],
)
def test_who_answered_is_said_with_the_user_behind_the_credential(user: str, name: str, said: str) -> None:
    """A session's id tells an auditor nothing; a user that is gone still has its id."""
    assert said_by("ps_1", user, name) == said
