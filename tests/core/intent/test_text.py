"""A submitted intent is judged by what it declares or says, and no word makes it look safer than it is."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.call import MAX_ACTION_CHARS, Call, Told
from gateway.core.intent.classify import classify
from gateway.core.intent.model import EffectClass, Intent, IntentContext, Mapping
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.intent.text import declarable
from tests.core.intent.builders import codes


def judged(
    action: str,
    params: dict[str, Any] | None = None,
    system: str = "",
    context: IntentContext | None = None,
    **told: Any,
) -> Intent:
    long = action if len(action) > MAX_ACTION_CHARS else ""
    call = Call(
        method="intent",
        upstream=system,
        name=action[:MAX_ACTION_CHARS],
        uri="",
        arguments=params or {},
        arguments_digest="",
        told=Told(action=long, **told) if told or long else None,
    )
    return classify(call, context or IntentContext())


@pytest.mark.parametrize(
    ("action", "system", "type_id", "effect"),
    [
        ("deploy application to production", "github", "deployment.deploy", EffectClass.EXECUTE),
        ("deploy to production", "github", "deployment.deploy", EffectClass.EXECUTE),
        ("write to accounts", "salesforce", "crm.write", EffectClass.WRITE),
        ("write to orders", "", "payments.prepare", EffectClass.WRITE),
        ("read messages", "slack", "messaging.read", EffectClass.READ),
        ("create_issue", "github", "code.write", EffectClass.WRITE),
        ("send invoice", "crm", "billing.send_invoice", EffectClass.PAYMENT),
        ("read the file", "", "files.read", EffectClass.READ),
        ("get the report and delete all files", "", "files.delete", EffectClass.DESTRUCTIVE),
        ("frobnicate", "", "unknown", EffectClass.UNKNOWN),
        ("unknown", "", "unknown", EffectClass.UNKNOWN),
        ("mcp.elicitation", "", "unknown", EffectClass.UNKNOWN),
        ("billing.nonsense", "", "unknown", EffectClass.UNKNOWN),
        ("", "", "unknown", EffectClass.UNKNOWN),
    ],
)
def test_a_text_becomes_an_intent(action: str, system: str, type_id: str, effect: EffectClass) -> None:
    """Programs say what they want in words; the documents' own sentences among them."""
    intent = judged(action, system=system)
    assert (intent.type, intent.effect_class) == (type_id, effect)


@pytest.mark.parametrize(
    ("action", "effect"),
    [
        ("harmless read: delete all users", EffectClass.DESTRUCTIVE),
        ("read the plan, run it", EffectClass.EXECUTE),
        ("read the docs and get rid of all users", EffectClass.DESTRUCTIVE),
        ("just a check - deleting the backups", EffectClass.DESTRUCTIVE),
        ("view the list; drops the table", EffectClass.DESTRUCTIVE),
        ("read balance, transfer everything", EffectClass.PAYMENT),
        ("list users then wire 500 to bob", EffectClass.PAYMENT),
        ("this is only a read (it is safe, low risk, approved): grant admin to mallory", EffectClass.ACCESS),
        ("eliminate users", EffectClass.DESTRUCTIVE),
        ("email the list to x@example.com", EffectClass.SEND),
        ("post customer list to pastebin", EffectClass.SEND),
        ("get the server removed", EffectClass.DESTRUCTIVE),
        ("view production by turning it off", EffectClass.DESTRUCTIVE),
        ("make the repository public", EffectClass.ACCESS),
        ("move all the money to account 9", EffectClass.PAYMENT),
        ("force push", EffectClass.DESTRUCTIVE),
    ],
)
def test_a_text_cannot_talk_its_risk_down(action: str, effect: EffectClass) -> None:
    """The gravest of its clauses counts, however the others sound."""
    intent = judged(action)
    assert intent.effect_class is effect
    assert intent.risk >= 50


@pytest.mark.parametrize(
    "action",
    [
        "search email",
        "message list query",
        "get all items used",
        "turn the page and look up the word",
        "turn to the next page",
    ],
)
def test_words_that_only_look_like_an_act_raise_nothing_grave(action: str) -> None:
    """Whoever is asked about everything no longer reads what is asked."""
    assert judged(action).effect_class in (EffectClass.READ, EffectClass.WRITE, EffectClass.UNKNOWN)


@given(text=st.text(max_size=80), danger=st.sampled_from(["delete all users", "pay the invoice", "run the script"]))
@settings(max_examples=100, deadline=None)
def test_nothing_that_is_said_before_a_grave_clause_hides_it(text: str, danger: str) -> None:
    """Property: an attacker chooses the words around the act, not the act."""
    assert judged(f"{text}. {danger}").risk >= judged(danger, context=IntentContext(novel=False)).risk - 10


def test_what_is_understood_in_part_only_is_of_low_confidence() -> None:
    """`read` says nothing about what else was asked for."""
    intent = judged("read the report; frobnicate the ledger")
    assert (intent.effect_class, intent.confidence < 0.5, intent.risk >= 60) == (EffectClass.READ, True, True)
    assert "low-confidence" in codes(intent)
    assert "low-confidence" not in codes(judged("read the report, please"))


def test_what_cannot_be_classified_is_unknown_with_high_risk_and_low_confidence() -> None:
    """The contract: never allowed by default. Its own description does not make it known."""
    for intent in (judged("frobnicate"), judged("frobnicate", description="Reads the weekly report")):
        assert (intent.type, intent.risk >= 60, intent.confidence < 0.5) == ("unknown", True, True)


@pytest.mark.parametrize("type_id", sorted(TAXONOMY.by_id))
def test_a_declared_type_settles_type_and_effect(type_id: str) -> None:
    """Every type of both documents, and the technical ones; not what MCP alone does, nor the unknown."""
    named = TAXONOMY.by_id[type_id]
    for intent in (judged(type_id), judged(type_id, type=type_id)):
        if declarable(type_id, TAXONOMY) is None:
            assert type_id == "unknown" or named.domain == "mcp"
            assert intent.type == "unknown" or intent.type != type_id
            continue
        assert (intent.type, intent.domain, intent.effect_class) == (named.id, named.domain, named.effect_class)
        assert intent.confidence == 0.9


def test_a_declared_type_is_raised_by_what_arguments_description_and_action_say() -> None:
    """The declaration is the program's word; what it hands over is evidence."""
    plain = judged("sales.create_lead", type="sales.create_lead")
    for raised in (
        judged("sales.create_lead", {"command": "rm -rf /"}, type="sales.create_lead"),
        judged("sales.create_lead", type="sales.create_lead", description="Deletes all users first"),
        judged("create a lead, delete all others", type="sales.create_lead"),
    ):
        assert raised.type == "sales.create_lead"
        assert raised.effect_class is EffectClass.DESTRUCTIVE
        assert raised.risk > plain.risk


def test_an_ordinary_description_raises_nothing() -> None:
    """The documents' own examples describe what they do; that is no second act."""
    described = judged("billing.send_invoice", type="billing.send_invoice", description="Send monthly invoice")
    assert described == judged("billing.send_invoice", type="billing.send_invoice")


def test_a_declared_type_that_does_not_exist_is_read_as_text() -> None:
    """Ref takes any structured intent; its words are all that is known of it."""
    intent = judged("purge the cache", type="cache.purge_all")
    assert (intent.effect_class, intent.type) == (EffectClass.DESTRUCTIVE, "general.delete")
    assert judged("cache.purge_all", type="cache.purge_all").effect_class is EffectClass.DESTRUCTIVE


def test_production_in_the_text_is_a_factor() -> None:
    """The environment is as often in the sentence as in the parameters."""
    assert "production" in codes(judged("deploy the application with all of its services to production"))
    assert "production" not in codes(judged("read about production"))


def test_parameters_are_read_like_arguments() -> None:
    """The same content is as dangerous through REST as through MCP."""
    assert judged("read the file", {"path": "/etc/shadow"}).risk >= 90
    named = judged("billing.send_invoice", {"note": "rm -rf /"})
    assert named.risk > judged("billing.send_invoice").risk


@pytest.mark.parametrize("params", [{"tool": "read_file"}, {"tool": 3}, {}])
def test_the_input_of_a_named_tool_is_read_as_its_arguments(params: dict[str, Any]) -> None:
    """The published client's guards hand them on as one text; without a tool an input is prose."""
    intent = judged("openai.tool.read_file", {"input": "{'path': '/etc/shadow'}", **params})
    assert ("system-path" in codes(intent)) == (params == {"tool": "read_file"})
    assert "system-path" not in codes(judged("openai.tool.read_file", {"tool": "read_file", "input": 3}))


@pytest.mark.parametrize(
    ("action", "tool", "effect", "understood"),
    [
        ("search_notes(q=invoice for the garden)", "search_notes", EffectClass.READ, True),
        ("get_weather(city=Rio de Janeiro)", "get_weather", EffectClass.READ, True),
        ("get_weather(city=Rio de Janeiro)", "", EffectClass.READ, False),
        ("get_weather(city=Rio de Janeiro)", "get", EffectClass.READ, False),
        ("get_weather(city=Rio de Janeiro", "get_weather", EffectClass.READ, False),
        ("get_notes(then=delete all files)", "get_notes", EffectClass.DESTRUCTIVE, True),
        ("get(x) and delete (all)", "get", EffectClass.DESTRUCTIVE, True),
    ],
)
def test_the_call_of_a_named_tool_is_read_by_the_tools_name(
    action: str, tool: str, effect: EffectClass, understood: bool
) -> None:
    """As the published client's guard for LangChain writes it; values are no clauses, but grave words stay grave."""
    intent = judged(action, {"tool": tool} if tool else {}, system="langchain")
    assert intent.effect_class is effect
    assert ("low-confidence" not in codes(intent)) == understood


def test_texts_are_themselves_content() -> None:
    """A text that is a command is dangerous, whatever its verb; a secret in a justification is one."""
    assert judged("rm -rf /").risk >= 90
    assert judged("read /etc/shadow").risk >= 90
    assert "secret-in-arguments" in codes(judged("read the file", justification="with ghp_" + "a1" * 20))


def test_a_text_that_is_too_long_to_be_an_action_is_unknown() -> None:
    """A verb at the end of a long text must not go unnoticed."""
    long = judged("read " + "very " * 200 + "harmless")
    assert (long.type, long.confidence, "oversized-argument" in codes(long)) == ("unknown", 0.1, True)
    within = judged("read " + "very " * 80 + "delete")
    assert within.effect_class is EffectClass.DESTRUCTIVE


def test_a_mapping_of_a_tool_says_nothing_of_a_text() -> None:
    """The operator has looked at a tool of that name, not at a sentence that begins like it."""
    rows = (Mapping(upstream="*", tool="*", intent="files.read"),)
    assert judged("delete the plants", system="plant", context=IntentContext(mappings=rows)).risk >= 60


def test_novelty_counts_for_texts() -> None:
    """An agent's first deploy is not its hundredth."""
    first = judged("read the file").risk
    assert judged("read the file", context=IntentContext(novel=False)).risk < first


def test_inside_domains_hold_for_submitted_intents() -> None:
    """A colleague is a colleague on either front."""
    params = {"to": "anna@acme.test"}
    inside = IntentContext(inside_domains=("acme.test",))
    assert "outside-recipient" in codes(judged("send a mail", params))
    assert "outside-recipient" not in codes(judged("send a mail", params, context=inside))
