"""A kill switch: what it stops, what a stopped call is told, and its row."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision import Reason
from gateway.core.switches import (
    MAX_NAME_CHARS,
    Switch,
    SwitchKind,
    is_switch_name,
    read_switch,
    stopping,
    switch_key,
)

BOT = Switch(kind=SwitchKind.AGENT, name="bot", who="usr_1", why="runs amok", since="2026-11-22T12:00:00.000Z")
BANK = Switch(kind=SwitchKind.UPSTREAM, name="bank", who="cli", why="migration", since="2026-11-22T13:00:00.000Z")
ACME = Switch(kind=SwitchKind.TENANT, name="acme", who="cli", why="incident 7", since="2026-11-22T14:00:00.000Z")
WORDS = st.sampled_from(["bot", "bank", "acme", "other", ""])


@given(tenant=WORDS, agent=WORDS, upstream=WORDS, thrown=st.sets(st.sampled_from(["bot", "bank", "acme"])))
def test_a_call_is_stopped_by_exactly_the_switches_that_name_it(
    tenant: str, agent: str, upstream: str, thrown: set[str]
) -> None:
    """A name stands for one kind of thing only: an agent called as an upstream is not stopped with that one."""
    on = {one.place: one for one in (BOT, BANK, ACME) if one.name in thrown}
    found = stopping(on, tenant, agent, upstream)
    stopped = [one for one in on.values() if one.stops(tenant, agent, upstream)]
    assert (found is not None) == bool(stopped)
    assert found is None or found in stopped
    assert BOT.stops(tenant, agent, upstream) == (agent == "bot")
    assert BANK.stops(tenant, agent, upstream) == (upstream == "bank")
    assert ACME.stops(tenant, agent, upstream) == (tenant == "acme")


def test_of_several_switches_the_widest_is_told() -> None:
    """Releasing a narrow one would change nothing, and whoever reads the answer should know."""
    on = {one.place: one for one in (BOT, BANK, ACME)}
    assert stopping(on, "acme", "bot", "bank") is ACME
    assert stopping({one.place: one for one in (BOT, BANK)}, "acme", "bot", "bank") is BANK


@pytest.mark.parametrize(
    ("switch", "told"),
    [
        (BOT, "The agent 'bot' has been switched off by a human since 2026-11-22T12:00:00.000Z: runs amok"),
        (BANK, "The upstream 'bank' has been switched off by a human since 2026-11-22T13:00:00.000Z: migration"),
        (ACME, "This tenant has been switched off by a human since 2026-11-22T14:00:00.000Z: incident 7"),
    ],
)
def test_a_stopped_call_is_told_since_when_and_why_and_not_by_whom(switch: Switch, told: str) -> None:
    """An agent has no use for the name of a human or of a credential."""
    assert (switch.stop.reason, switch.stop.explanation) == (Reason.SWITCHED_OFF, told)


@pytest.mark.parametrize("switch", [BOT, BANK, ACME])
def test_a_row_gives_the_switch_back(switch: Switch) -> None:
    """What a restart reads is what was thrown."""
    assert read_switch(orjson.dumps(switch.written())) == switch
    assert switch_key(switch.place) == f"switch:{switch.kind}:{switch.name}"


@pytest.mark.parametrize("name", ["bot", "key_01J", "a", "x" * MAX_NAME_CHARS, "_system", "a.b-c"])
def test_a_name_is_a_word(name: str) -> None:
    """Slugs, ids of credentials and names of upstreams alike."""
    assert is_switch_name(name)


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a/b", "é", "x" * (MAX_NAME_CHARS + 1), "a\n", "a?b", ".", "a:b", "a@b", "a%b"]
)
def test_anything_else_is_no_name(name: str) -> None:
    """No such agent can act, and a switch that stops nobody would be taken for one that does."""
    assert not is_switch_name(name)
