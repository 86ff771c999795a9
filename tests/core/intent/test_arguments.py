"""Names of arguments say what their values are for."""

import pytest

from gateway.core.intent.arguments import argument_name
from gateway.core.intent.model import EffectClass


@pytest.mark.parametrize(
    ("name", "quality"),
    [
        ("filePath", "place"), ("sql", "sql"), ("command", "command"), ("webhookUrl", "recipient"), ("body", "text"),
        ("base_url", "host"), ("unit_amount", "money"), ("environment", "environment"), ("branch", "branch"),
        ("where", "selection"), ("visibility", "exposure"), ("force", "force"), ("deleteAll", "all"),
        ("isPrivate", "private"), ("public", "public"), ("client_secret", "secret"), ("ssn", "sensitive"),
        ("action", "selector"), ("operation_type", "selector"), ("verifySsl", "protection"), ("allowDangerous",
        "danger"),
        ("emails", "addressee"),
    ],
)  # fmt: skip
def test_a_name_tells_the_purpose(name: str, quality: str) -> None:
    """Which detector is asked, and how strictly, follows from the purpose."""
    assert getattr(argument_name(name), quality)


def test_a_reference_to_a_secret_is_no_secret() -> None:
    """`secret_name` holds the name of one."""
    assert not argument_name("secret_name").secret


def test_a_flag_is_what_its_first_verb_does() -> None:
    """`delete_branch: true` deletes; `include_deleted: true` does not."""
    assert argument_name("delete_branch").flag is EffectClass.DESTRUCTIVE
    assert argument_name("include_deleted").flag is None
    assert argument_name("").flag is None


def test_names_that_may_be_data_are_read_as_values_and_not_shown() -> None:
    """Maps are keyed by paths and addresses; evidence must not repeat them."""
    for name in ("/etc/passwd", "a" * 65, "gehört", ""):
        assert argument_name(name).shown == "?"
        assert argument_name(name).odd


def test_operators_of_query_languages_have_effects() -> None:
    """`$out` in an aggregation writes a collection."""
    assert argument_name("$out").operator is EffectClass.DESTRUCTIVE
    assert argument_name("$match").operator is None
