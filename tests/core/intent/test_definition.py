"""A tool's definition gives a profile: name first, schema next, description and annotations only to raise."""

from typing import Any

import pytest

from gateway.core.intent.definition import Definition, Profile, profile
from gateway.core.intent.model import EffectClass
from gateway.core.intent.taxonomy import TAXONOMY, Taxonomy
from tests.core.intent.builders import definition

TEXT = {"type": "string"}


def profiled(
    name: str, properties: dict[str, Any] | None = None, *, upstream: str = "srv", reviewed: bool = False, **more: Any
) -> Profile:
    body = definition(name, properties, **more)
    return profile(Definition(upstream=upstream, name=name, pin="p", reviewed=reviewed, taxonomy=TAXONOMY, body=body))


def factor_codes(judged: Profile) -> list[str]:
    return [each.code for each in judged.factors]


@pytest.mark.parametrize(
    ("name", "properties", "effect"),
    [
        ("fetch", {"url": TEXT}, EffectClass.READ),
        ("frob", {"command": TEXT}, EffectClass.EXECUTE),
        ("read_command", {"command": TEXT}, EffectClass.EXECUTE),
        ("create_thing", {"script": TEXT}, EffectClass.EXECUTE),
        ("create_thing", {"script_name": TEXT}, EffectClass.WRITE),
        ("save_thing", {"to": TEXT, "subject": TEXT, "body": TEXT}, EffectClass.SEND),
        ("create_draft", {"to": TEXT, "subject": TEXT, "body": TEXT}, EffectClass.WRITE),
        ("create_thing", {"amount": TEXT, "currency": TEXT, "customer": TEXT}, EffectClass.PAYMENT),
        ("create_price", {"amount": TEXT, "currency": TEXT}, EffectClass.WRITE),
        ("download_attachment", {"path": TEXT}, EffectClass.WRITE),
        ("take_screenshot", {"output_path": TEXT}, EffectClass.WRITE),
        ("convert_to_pdf", {"output_filename": TEXT}, EffectClass.WRITE),
        ("query", {"sql": TEXT}, EffectClass.EXECUTE),
        ("query", {"query": {"type": "string", "description": "The SQL query to run"}}, EffectClass.EXECUTE),
        ("weather_info", {"city": TEXT}, EffectClass.READ),
    ],
)
def test_what_a_tool_takes_says_what_it_does(name: str, properties: dict[str, Any], effect: EffectClass) -> None:
    """A harmless name in front of a command line is still a command line."""
    assert profiled(name, properties).effect is effect


def test_a_query_that_is_said_to_be_read_only_is_a_read_until_its_sql_says_otherwise() -> None:
    """The SQL itself is read at each call, so that this word cannot hide anything."""
    judged = profiled("query", {"sql": TEXT}, description="Run a read-only SQL query")
    assert judged.effect is EffectClass.READ


@pytest.mark.parametrize(
    ("name", "description", "effect"),
    [
        ("get_thing", "Deletes the thing", EffectClass.DESTRUCTIVE),
        ("run_thing", "Deletes the thing", EffectClass.EXECUTE),
        ("get_thing", "Sends a request for the thing", EffectClass.READ),
        ("set_thing", "Sets it. This cannot be undone.", EffectClass.DESTRUCTIVE),
        ("write_thing", "Will overwrite what is there", EffectClass.DESTRUCTIVE),
        ("write_thing", "Does not overwrite what is there", EffectClass.WRITE),
        ("thing_info", "Creates a thing", EffectClass.WRITE),
        ("get_thing", "Gets the thing", EffectClass.READ),
        ("frob", "Reads the thing", EffectClass.READ),
        ("frob", "Beautiful", EffectClass.UNKNOWN),
    ],
)
def test_a_description_may_only_raise_a_clear_name(name: str, description: str, effect: EffectClass) -> None:
    """An upstream writes its descriptions itself."""
    assert profiled(name, description=description).effect is effect


def test_an_effect_that_only_a_description_or_a_schema_tells_weighs_as_much_as_an_unknown_one() -> None:
    """Naming an effect must not make a call look safer than not naming it."""
    for judged in (profiled("frob", description="Reads a thing"), profiled("frob", {"to": TEXT, "body": TEXT})):
        base = {EffectClass.READ: 10, EffectClass.SEND: 52}[judged.effect]
        assert base + sum(each.points for each in judged.factors if each.code == "low-confidence") == 60


def test_agreement_raises_confidence() -> None:
    """Two independent pieces of evidence are better than one."""
    assert profiled("get_file", description="Gets it").confidence > profiled("get_file").confidence


def test_listed_values_decide_what_the_name_leaves_open() -> None:
    """One tool with an `action` is how many servers are built; its gravest action is its effect."""
    judged = profiled("manage_thing", {"action": {"type": "string", "enum": ["list", "delete", "frob", 3]}})
    assert judged.effect is EffectClass.DESTRUCTIVE
    assert judged.selectors["action"] == {
        "list": EffectClass.READ,
        "delete": EffectClass.DESTRUCTIVE,
        "frob": EffectClass.UNKNOWN,
    }


def test_listed_values_never_do_less_than_the_name_says() -> None:
    """`delete_thing` with an action `list` is no read."""
    judged = profiled("update_thing", {"mode": {"enum": ["get", "delete", "fast"]}})
    assert judged.effect is EffectClass.DESTRUCTIVE
    assert judged.selectors["mode"] == {
        "get": EffectClass.WRITE,
        "delete": EffectClass.DESTRUCTIVE,
        "fast": EffectClass.WRITE,
    }


def test_odd_schemas_are_no_evidence_and_no_error() -> None:
    """Definitions come from outside; anything may stand where a schema should."""
    for schema in (
        None,
        [],
        {"properties": []},
        {"properties": {"action": True}},
        {"properties": {"action": {"enum": [1]}}},
    ):
        body = {"name": "frob", "inputSchema": schema, "description": 7, "annotations": []}
        odd = Definition(upstream="", name="frob", pin="p", reviewed=False, taxonomy=TAXONOMY, body=body)
        assert profile(odd).effect is EffectClass.UNKNOWN


def test_a_read_only_hint_changes_nothing_unless_reviewed() -> None:
    """Annotations are an upstream's own word; real servers get them wrong."""
    hint = {"annotations": {"readOnlyHint": True}}
    assert profiled("delete_file", **hint).effect is EffectClass.DESTRUCTIVE
    assert profiled("delete_file", reviewed=True, **hint).effect is EffectClass.READ


def test_hints_raise() -> None:
    """What an upstream admits about itself is believed."""
    destructive = {"annotations": {"destructiveHint": True}}
    assert "destructive-annotation" in factor_codes(profiled("get_file", **destructive))
    assert "destructive-annotation" not in factor_codes(profiled("delete_file", **destructive))
    writes = {"annotations": {"readOnlyHint": False}}
    assert "not-read-only" in factor_codes(profiled("get_file", **writes))
    assert profiled("file_info", **writes).effect is EffectClass.WRITE
    assert profiled("create_file", **writes).effect is EffectClass.WRITE


def test_hidden_characters_in_a_definition_are_a_factor() -> None:
    """A description that a human cannot see is an instruction to the model."""
    assert "hidden-characters" in factor_codes(profiled("re\u200bad_file"))
    assert profiled("re\u200bad_file").confidence < 0.5
    assert "hidden-characters" in factor_codes(profiled("read_file", description="Reads\U000e0041"))


def test_sensitive_data_by_its_name_is_a_factor() -> None:
    """Payroll is not an ordinary read."""
    assert "sensitive-data" in factor_codes(profiled("list_payroll"))
    assert "sensitive-data" not in factor_codes(profiled("delete_payroll"))


@pytest.mark.parametrize(
    ("name", "upstream", "type_id"),
    [
        ("send_invoice", "x", "billing.send_invoice"),
        ("create_support_ticket", "x", "support.create_ticket"),
        ("read_file", "x", "files.read"),
        ("delete_file", "x", "files.delete"),
        ("github_list_issues", "github", "code.read"),
        ("frob_get", "x", "general.read"),
        ("frob", "x", "unknown"),
        ("get_kubernetes", "x", "cloud.read"),
        ("geocode_delete", "x", "general.delete"),
        ("github", "github", "unknown"),
    ],
)
def test_a_tool_finds_its_intent_type(name: str, upstream: str, type_id: str) -> None:
    """Policies name types; a type must follow from general words."""
    judged = profiled(name, upstream=upstream)
    assert judged.types[judged.effect].id == type_id


def test_to_overwrite_is_to_write_however_grave_it_is() -> None:
    """The type says what the name says: `write_file` is no deletion because its description warns of overwriting."""
    found = profiled("write_file", upstream="files", description="Creates a file or overwrites an existing one.")
    assert (found.effect, found.types[found.effect].id) == (EffectClass.DESTRUCTIVE, "files.write")
    assert profiled("delete_file", upstream="files").types[EffectClass.DESTRUCTIVE].id == "files.delete"


def test_a_name_beyond_ascii_is_not_understood_by_its_first_verb_alone() -> None:
    """`get_删除` begins with a read and says the rest in another script."""
    assert "low-confidence" in factor_codes(profiled("get_删除"))


def test_environments_are_places_and_an_environment_holds_secrets() -> None:
    """A list of stages is no list of variables."""
    assert "sensitive-data" not in factor_codes(profiled("get_environments"))
    assert profiled("get_environment_variables").effect is EffectClass.CREDENTIAL


def test_a_published_type_brings_its_effect() -> None:
    """`track_performance` reads as a write, and the published type agrees or raises, never lowers."""
    assert profiled("process_dsar").effect is EffectClass.SEND


def test_a_taxonomy_without_general_types_falls_back_to_unknown() -> None:
    """A taxonomy made by hand may be small; the fallback is the type that nothing allows."""
    small = Taxonomy(domains=(), types=(TAXONOMY.by_id["unknown"],))
    body = definition("read_file")
    judged = profile(Definition(upstream="", name="read_file", pin="p", reviewed=False, taxonomy=small, body=body))
    assert judged.types[EffectClass.READ].id == "unknown"


def test_a_profile_follows_the_definition_and_not_the_pin_alone() -> None:
    """Were a pin ever wrong, a remembered profile must not hide another definition."""
    first = profiled("frob", {"command": TEXT})
    second = profiled("frob", {"colour": TEXT})
    assert (first.effect, second.effect) == (EffectClass.EXECUTE, EffectClass.UNKNOWN)
