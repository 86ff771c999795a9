"""A compiled match: keys are AND, items are OR, absent is any."""

import pytest

from gateway.core.policy.bundle import Match, RuleIndex
from gateway.core.policy.glob import Globs
from gateway.core.principal import TrustTier

ANY = {"upstreams": None, "tools": None, "uris": None, "agents": None, "tiers": None, "intents": None, "domains": None}
CALL = {"upstream": "files", "name": "read_file", "uri": "", "agent": "local", "tier": TrustTier.T1}


def match(**keys: object) -> Match:
    return Match(**{**ANY, **keys})  # type: ignore[arg-type]


def test_a_match_without_keys_applies_to_everything() -> None:
    """Absent is any (design, section 4)."""
    assert match().may_apply(**CALL)  # type: ignore[arg-type]
    assert match().fits_intent("a.b", "a", "read", ())
    assert not match().judged


@pytest.mark.parametrize(
    ("key", "fits", "differs"),
    [
        ("upstreams", Globs.of(["files"]), Globs.of(["Files"])),
        ("tools", Globs.of(["read_*"]), Globs.of(["write_*"])),
        ("uris", Globs.of(["*"]), Globs.of(["file:*"])),
        ("agents", Globs.of(["local"]), Globs.of(["other"])),
        ("tiers", frozenset({TrustTier.T1}), frozenset({TrustTier.T4})),
    ],
)
def test_every_key_must_fit(key: str, fits: object, differs: object) -> None:
    """Keys are AND: one that does not fit takes the rule out."""
    assert match(**{key: fits}).may_apply(**CALL)  # type: ignore[arg-type]
    assert not match(**{key: differs}).may_apply(**CALL)  # type: ignore[arg-type]


def test_intents_and_domains_are_known_only_after_classification() -> None:
    """A rule that asks for them may apply to any tool before."""
    asked = match(intents=frozenset({"files.read"}), domains=frozenset({"files"}))
    assert asked.judged
    assert match(domains=frozenset({"files"})).judged
    assert asked.may_apply(**CALL)  # type: ignore[arg-type]
    assert asked.fits_intent("files.read", "files", "read", ())
    assert not asked.fits_intent("files.write", "files", "read", ())
    assert not asked.fits_intent("files.read", "other", "read", ())


def test_effects_and_factors_are_known_only_after_classification_too() -> None:
    """One of the factors is enough, the effect class must be among those named; both keys must hold."""
    effects, factors = frozenset({"read", "write"}), frozenset({"system-path", "bulk"})
    assert match(effects=effects).judged
    assert match(factors=factors).judged
    asked = match(effects=effects, factors=factors)
    assert asked.may_apply(**CALL)  # type: ignore[arg-type]
    assert asked.fits_intent("a.b", "a", "write", ["novel", "bulk"])
    assert not asked.fits_intent("a.b", "a", "send", ["bulk"])
    assert not asked.fits_intent("a.b", "a", "read", ["novel"])
    assert not asked.fits_intent("a.b", "a", "read", [])


def test_the_index_falls_back_to_the_rules_that_name_no_tool() -> None:
    """A tool that no rule names is judged by the general rules, not by none."""
    index = RuleIndex(by_name={"x": ()}, others=())
    assert index.candidates("x") is index.by_name["x"]
    assert index.candidates("y") is index.others


def test_the_index_falls_back_to_all_rules_for_an_effect_that_it_does_not_know() -> None:
    """It only narrows: what it does not know must lose no rule."""
    narrow = RuleIndex(by_name={}, others=())
    index = RuleIndex(by_name={}, others=(), by_effect={"read": narrow})
    assert index.judged("read") is narrow
    assert index.judged("new") is index
