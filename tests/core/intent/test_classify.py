"""Calls become intents: explained, deterministic, and never safer for what is added to them."""

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.call import Call, Review
from gateway.core.intent.classify import _KNOWN as known_tools
from gateway.core.intent.classify import CACHED_TOOLS, METHOD_TYPES, classify
from gateway.core.intent.model import EffectClass, IntentContext, Mapping
from gateway.core.intent.risk import RISK_FACTORS
from gateway.core.intent.taxonomy import TAXONOMY, IntentType
from tests.core.intent.builders import PIN, codes, judge, tool_call

KEYS = st.sampled_from(
    [
        "path",
        "sql",
        "command",
        "to",
        "body",
        "amount",
        "action",
        "url",
        "filter",
        "delete",
        "all",
        "branch",
        "x",
        "content",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "/etc/passwd",
        "../x",
        "drop table x",
        "rm -rf /",
        "http://169.254.169.254",
        "*",
        "delete",
        "GET",
        "a@b.io",
        "main",
        "%2e%2e/",
    ]
)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=12,
)
ARGUMENTS = st.dictionaries(KEYS | st.text(max_size=12), VALUES, max_size=6)
NAMES = st.sampled_from(
    ["get_file", "write_file", "delete_file", "run_query", "send_email", "manage_thing", "frob", "create_refund"]
)
SELECTOR = {"action": {"enum": ["list", "delete", "send", "frob"]}, "sql": {"type": "string"}}
DANGERS: list[dict[str, Any]] = [
    {"zz_path": "/etc/shadow"},
    {"zz_path": "../../x"},
    {"zz_sql": "drop table users"},
    {"zz_command": "rm -rf /"},
    {"zz_url": "http://169.254.169.254/"},
    {"zz_url": "http://10.0.0.1/"},
    {"zz_secret": "ghp_" + "a1" * 20},
    {"zz_to": "x@evil.example"},
    {"zz_ids": ["x"] * 200},
    {"zz_all": True},
    {"zz_amount": 50_000},
    {"zz_environment": "production"},
    {"delete_it": True},
    {"zz_op": "delete"},
]


def call_of(method: str, arguments: dict[str, Any] | None = None, *, uri: str = "") -> Call:
    return Call(method=method, upstream="srv", name="", uri=uri, arguments=arguments or {}, arguments_digest="")


@given(name=NAMES, arguments=ARGUMENTS)
@settings(max_examples=150, deadline=None)
def test_no_arguments_make_it_raise_and_risk_and_confidence_stay_in_bounds(
    name: str, arguments: dict[str, Any]
) -> None:
    """A classifier that raises is a denied call; one out of bounds is a wrong threshold."""
    intent = judge(name, arguments, properties=SELECTOR)
    assert 0 <= intent.risk <= 100
    assert 0 <= intent.confidence <= 1
    assert codes(intent) <= set(RISK_FACTORS)
    assert intent == judge(name, arguments, properties=SELECTOR)


@given(name=NAMES, arguments=ARGUMENTS, danger=st.sampled_from(DANGERS))
@settings(max_examples=150, deadline=None)
def test_a_dangerous_argument_never_lowers_the_risk(
    name: str, arguments: dict[str, Any], danger: dict[str, Any]
) -> None:
    """Otherwise an attacker would add what makes the rest look safe."""
    assert judge(name, {**arguments, **danger}).risk >= judge(name, arguments).risk


def test_an_ordinary_read_of_a_new_tool_is_allowed_at_the_lowest_tier() -> None:
    """The calibration that makes the default policy useful from the first minute."""
    intent = judge("read_file", {"path": "/srv/project/readme.md"})
    assert (intent.type, intent.domain, intent.effect_class) == ("files.read", "files", EffectClass.READ)
    assert intent.risk < 30
    assert codes(intent) == {"effect-read", "unreviewed-tool", "novel"}
    assert [each.source for each in intent.evidence] == ["name"]


def test_an_ordinary_write_is_between_the_two_lowest_tiers() -> None:
    """A new agent's write waits for a human, the next tier's does not."""
    assert 35 <= judge("create_note", {"title": "x", "text": "y"}).risk < 45


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("delete_file", {"path": "a"}), ("send_email", {"to": "a@b.io"}), ("run_command", {"command": "ls"}),
        ("create_refund", {"charge": "c"}), ("get_secret", {"name": "x"}), ("grant_role", {"user": "x"}), ("frob", {}),
        ("manage_users", {"action": "delete"}), ("read_query", {"sql": "delete from t where id=1"}),
    ],
)  # fmt: skip
def test_everything_consequential_is_fifty_or_more(name: str, arguments: dict[str, Any]) -> None:
    """Above T1's cap, so that the two lowest tiers need a human."""
    assert judge(name, arguments).risk >= 50


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read_file", {"path": "/etc/shadow"}), ("read_file", {"path": "a/../../b"}), ("query",
        {"sql": "drop table users"}),
        ("fetch", {"url": "http://169.254.169.254/"}), ("list_files", {"path": "~/.ssh"}), ("get_thing",
        {"id": "x; rm -rf /"}),
    ],
)  # fmt: skip
def test_plainly_dangerous_content_is_ninety_or_more_whatever_the_tool_is_called(
    name: str, arguments: dict[str, Any]
) -> None:
    """What the arguments say outranks the tool's name."""
    assert judge(name, arguments).risk >= 90


def test_an_argument_that_decides_the_effect_is_named_as_evidence() -> None:
    """`manage_thing` with `delete` deletes."""
    intent = judge("manage_thing", {"action": "delete"})
    assert intent.effect_class is EffectClass.DESTRUCTIVE
    assert "action-argument" in codes(intent)
    assert intent.evidence[-1].detail == "action raises the effect"


def test_a_listed_value_may_show_that_a_call_only_reads() -> None:
    """A tool with a listed `action` is many tools; its `list` is a read."""
    listed = {"action": {"enum": ["list", "delete"]}}
    assert judge("manage_thing", {"action": "list"}, properties=listed).effect_class is EffectClass.READ
    assert judge("manage_thing", {}, properties=listed).effect_class is EffectClass.DESTRUCTIVE
    assert judge("manage_thing", {"action": "list"}).effect_class is EffectClass.UNKNOWN
    assert judge("delete_thing", {"action": "list"}, properties=listed).effect_class is EffectClass.DESTRUCTIVE


def test_a_dry_run_or_a_confirmation_that_the_agent_fills_in_lowers_nothing() -> None:
    """Whoever makes the call could simply say so."""
    plain = judge("delete_file", {"path": "a"}).risk
    assert judge("delete_file", {"path": "a", "dry_run": True, "confirm": True}).risk >= plain


def test_novelty_and_review_are_factors() -> None:
    """Who acts, and by which tool, counts as much as content."""
    assert "novel" not in codes(judge("read_file", novel=False))
    assert codes(judge("read_file", review=Review.CHANGED)) >= {"changed-tool"}
    assert "unreviewed-tool" not in codes(judge("read_file", review=Review.REVIEWED))


def test_a_call_of_a_tool_that_nobody_listed_is_still_judged_by_its_name() -> None:
    """The ladder denies it; the judgement is recorded all the same."""
    call = Call(method="tools/call", upstream="s", name="delete_x", uri="", arguments={}, arguments_digest="")
    assert classify(call, IntentContext()).effect_class is EffectClass.DESTRUCTIVE


@pytest.mark.parametrize(("method", "type_id"), sorted(METHOD_TYPES.items()))
def test_every_gated_method_has_its_type(method: str, type_id: str) -> None:
    """Every path passes the one decision point, and a decision needs an intent."""
    intent = classify(call_of(method), IntentContext())
    assert intent.type == type_id
    assert intent.confidence == 0.9


def test_a_method_that_nobody_taught_us_is_unknown() -> None:
    """It is refused elsewhere; should it get here, it must not look harmless."""
    intent = classify(call_of("tasks/cancel"), IntentContext())
    assert (intent.type, intent.risk >= 60) == ("unknown", True)


def test_a_method_whose_type_a_taxonomy_lacks_is_unknown() -> None:
    """A hand-made taxonomy must not make a method harmless by leaving its type out."""
    small = type(TAXONOMY)(domains=(), types=(TAXONOMY.by_id["unknown"],))
    assert classify(call_of("roots/list"), IntentContext(), small).type == "unknown"


def test_reading_resources_prompts_and_completing_is_a_read_below_the_lowest_tier() -> None:
    """Context is what agents are for."""
    for method in ("resources/read", "resources/subscribe", "prompts/get", "completion/complete"):
        assert classify(call_of(method, uri="notes://1"), IntentContext()).risk < 30


def test_a_form_is_shown_to_a_human_anyway_and_the_model_is_lent_only_with_risk() -> None:
    """Elicitation asks a person; sampling spends the agent's model and context."""
    assert classify(call_of("elicitation/create"), IntentContext()).risk < 30
    assert classify(call_of("sampling/createMessage"), IntentContext()).risk >= 50
    assert 30 <= classify(call_of("roots/list"), IntentContext()).risk < 45


def test_a_dangerous_uri_is_dangerous_as_a_resource_too() -> None:
    """A resource is a path by another name."""
    for uri in ("file:///etc/passwd", "file:///srv/../../x", "http://169.254.169.254/"):
        assert classify(call_of("resources/read", uri=uri), IntentContext()).risk >= 90


def mapping(intent: str, *, pin: str = "", tool: str = "frob*", upstream: str = "*") -> Mapping:
    return Mapping(upstream=upstream, tool=tool, intent=intent, pin=pin)


def test_a_mapping_settles_the_type() -> None:
    """The operator knows what the tool is."""
    intent = judge("frob_it", mappings=(mapping("files.read"),))
    assert (intent.type, intent.effect_class, intent.risk) == ("files.read", EffectClass.READ, 20)
    assert intent.evidence[0].source == "mapping"


def test_a_mapping_answers_what_an_upstream_says_of_the_effect() -> None:
    """The operator has said that it is a write; a blanket `destructiveHint` would make the mapping useless."""
    mapping = Mapping(upstream="*", tool="write_file", intent="files.write")
    hinted: dict[str, Any] = {"annotations": {"destructiveHint": True, "readOnlyHint": False}}
    assert "destructive-annotation" in codes(judge("write_file", **hinted))
    assert "destructive-annotation" not in codes(judge("write_file", mappings=(mapping,), **hinted))
    reading = Mapping(upstream="*", tool="get_x", intent="files.read")
    assert "not-read-only" not in codes(judge("get_x", mappings=(reading,), **hinted))


def test_what_was_unsure_weighs_less_once_an_argument_has_raised_the_effect() -> None:
    """Both together would deny an ordinary write outright: 28 for it and 50 for having been taken for a read."""
    listing, creating = ({"operation": "list"}, {"operation": "create", "name": "Later"})
    told: dict[str, Any] = {"description": "List, get or create boards.", "properties": {"operation": {}}}
    assert judge("manage_boards", listing, **told).risk == 70
    created = judge("manage_boards", creating, **told)
    assert (created.effect_class, created.risk) == (EffectClass.WRITE, 75)


def test_landing_code_weighs_more_than_an_ordinary_write() -> None:
    """At T1 nobody would be asked: a merge speaks for the human who should have reviewed it."""
    merged, created = judge("merge_pull_request", upstream="github"), judge("create_branch", upstream="github")
    assert (merged.type, merged.risk, created.risk) == ("code.merge", 50, 38)


def test_a_mapping_with_the_tools_pin_is_a_review() -> None:
    """Then the points of an unreviewed tool drop, and its annotations count."""
    reviewed = judge("frob_it", mappings=(mapping("files.read", pin=PIN),))
    assert (reviewed.risk, reviewed.confidence) == (15, 1.0)
    assert judge("frob_it", mappings=(mapping("files.read", pin=PIN),), review=Review.REVIEWED) == reviewed


def test_a_mapping_for_another_definition_can_only_raise() -> None:
    """A changed tool must not pass for a reviewed tool, nor lose a grave type by changing."""
    stale = judge("read_it", mappings=(mapping("files.delete", pin="b" * 64, tool="*"),))
    assert stale.effect_class is EffectClass.DESTRUCTIVE
    assert "changed-tool" in codes(stale)
    harmless = judge("delete_it", mappings=(mapping("files.read", pin="b" * 64, tool="*"),))
    assert harmless.effect_class is EffectClass.DESTRUCTIVE


def test_the_first_mapping_that_holds_wins() -> None:
    """Order is the operator's."""
    rows = (
        mapping("files.write", upstream="other"),
        mapping("files.delete", pin="b" * 64),
        mapping("files.read"),
        mapping("files.move"),
    )
    assert judge("frob_it", mappings=rows).type == "files.read"


def test_a_mapping_to_a_type_that_does_not_exist_is_unknown() -> None:
    """A misspelt type must not allow anything."""
    assert judge("get_it", mappings=(mapping("files.raed", tool="*"),)).effect_class is EffectClass.UNKNOWN


def test_a_read_only_mapping_hides_no_dangerous_argument() -> None:
    """An operator reviews a tool, never the arguments that an agent will send."""
    rows = (mapping("database.read", pin=PIN, tool="*"),)
    drop = judge("frob", {"sql": "drop table users"}, mappings=rows)
    assert drop.type == "database.read"
    assert drop.effect_class is EffectClass.DESTRUCTIVE
    assert drop.risk >= 90
    assert judge("frob", {"action": "delete"}, mappings=rows).effect_class is EffectClass.DESTRUCTIVE


def test_hidden_characters_survive_a_mapping_without_a_pin() -> None:
    """Nothing was reviewed by it."""
    assert "hidden-characters" in codes(judge("re\u200bad", mappings=(mapping("files.read", tool="*"),)))


def test_a_type_may_bring_its_own_base_risk_which_a_raised_effect_does_not_lower() -> None:
    """An operator may weigh a type; arguments that make it graver still weigh more."""
    own = IntentType(id="files.stamp", domain="files", value=None, effect_class=EffectClass.WRITE, base_risk=70)
    taxonomy = TAXONOMY.extended([own])
    context = IntentContext(mappings=(mapping("files.stamp"),), novel=False)
    assert classify(tool_call("frob_it"), context, taxonomy).risk == 75
    assert classify(tool_call("frob_it", {"action": "delete"}), context, taxonomy).risk >= 75


def test_inside_domains_are_no_outside_recipients() -> None:
    """A colleague is not the world."""
    assert "outside-recipient" not in codes(judge("send_email", {"to": "a@acme.com"}, inside=("acme.com",)))
    assert "outside-recipient" in codes(judge("send_email", {"to": "a@acme.com"}))


def test_mappings_compare_by_identity_only_with_mappings() -> None:
    """A cache key must not equal anything else."""
    from gateway.core.intent.classify import Mappings

    rows = (mapping("files.read"),)
    assert Mappings(rows) == Mappings(rows)
    assert Mappings(rows) != Mappings((mapping("files.read"),))
    assert Mappings(rows) != rows


def test_what_is_remembered_is_bounded_in_size() -> None:
    """Caches keyed by what agents send must not hold their megabytes."""
    long = "delete_" + "x" * 100_000
    call = Call(method="tools/call", upstream="s", name=long, uri="", arguments={long: 1}, arguments_digest="")
    intent = classify(call, IntentContext())
    assert intent.effect_class is EffectClass.DESTRUCTIVE
    assert all(len(each.detail) < 500 for each in intent.evidence)
    assert all(len(each.evidence) < 500 for each in intent.factors)


def test_a_tool_that_is_known_is_judged_as_when_it_was_new() -> None:
    """Ours: what is remembered of a tool saves time and changes nothing; other mappings are another judgement."""
    call, mapping = tool_call("get_file", {"path": "a.txt"}), Mapping(upstream="srv", tool="*", intent="files.delete")
    for context in (IntentContext(), IntentContext(novel=False), IntentContext(mappings=(mapping,))):
        afresh = classify(replace(call, tool=tool_call("get_file").tool), context)
        assert classify(call, context) == classify(call, context) == afresh
    assert classify(call, IntentContext()).effect_class is EffectClass.READ
    assert classify(call, IntentContext(mappings=(mapping,))).effect_class is EffectClass.DESTRUCTIVE


def test_a_judgement_of_dangerous_arguments_is_never_remembered() -> None:
    """Ours: the next harmless call of the same tool must not carry it, nor this one the harmless call's."""
    harmless = tool_call("get_file", {"path": "a.txt"})
    dangerous = replace(harmless, arguments={"path": "/etc/shadow"})
    before = classify(harmless, IntentContext())
    assert "system-path" in codes(classify(dangerous, IntentContext()))
    assert classify(harmless, IntentContext()) == before
    assert "system-path" in codes(classify(dangerous, IntentContext()))


def test_the_tools_that_are_known_are_bounded_in_number() -> None:
    """Ours: upstreams may list new tools for ever."""
    for number in range(CACHED_TOOLS + 10):
        classify(tool_call(f"get_{number}"), IntentContext())
    assert len(known_tools) <= CACHED_TOOLS


def test_a_small_call_costs_microseconds() -> None:
    """The gate's whole budget is a fraction of a millisecond; this bound is loose, the benchmark measures."""
    call, context = tool_call("read_file", {"path": "/srv/readme.md"}), IntentContext()
    classify(call, context)
    best = 1.0
    for _ in range(5):
        begun = time.process_time()
        for _ in range(200):
            classify(call, context)
        best = min(best, (time.process_time() - begun) / 200)
    assert best < 0.0005


@pytest.mark.parametrize(
    ("answers", "factor", "effect"),
    [
        ({"q": {"action": "accept", "content": {"path": "/etc/shadow"}}}, "system-path", EffectClass.READ),
        ({"q": "/etc/shadow"}, "system-path", EffectClass.READ),
        ({"q": {"action": "delete"}}, "action-argument", EffectClass.DESTRUCTIVE),
        ({"q": {"action": "cancel"}}, "effect-read", EffectClass.READ),
        ({}, "effect-read", EffectClass.READ),
    ],
)
def test_the_answers_of_a_round_count_like_arguments(answers: dict[str, Any], factor: str, effect: EffectClass) -> None:
    """They reach the upstream with the call, whether it has asked for them or not."""
    call = replace(tool_call("get_file", {"path": "a.txt"}), answers=answers)
    judged = classify(call, IntentContext())
    assert factor in codes(judged)
    assert judged.effect_class is effect
