"""The simulated year: what becomes of each agent, as the command prints it."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(__file__).parents[2] / "examples" / "trust_year" / "year.py"


@cache
def printed(*flags: str) -> str:
    run = subprocess.run([sys.executable, str(COMMAND), *flags], capture_output=True, timeout=60, check=True)
    assert run.stderr == b""
    return run.stdout.decode()


def agents(*flags: str) -> dict[str, Any]:
    return {agent["agent"]: agent for agent in json.loads(printed("--json", *flags))}


def highest(agent: dict[str, Any]) -> str:
    return max(agent["tiers"])


def test_the_steady_one_reaches_the_highest_tier() -> None:
    """Under a ceiling that a human set to it; one tier after the other."""
    steady = agents()["steady"]
    assert [change["tier"] for change in steady["changes"]] == ["T1", "T2", "T3", "T4"]
    assert steady["tiers"][-1] == "T4"


def test_the_one_that_games_with_harmless_calls_never_passes_the_first_tier() -> None:
    """73,000 of them in a year, all different."""
    gaming = agents()["gaming"]
    assert (gaming["acts"], gaming["ceiling"]) == (73_000, "T4")
    assert set(gaming["tiers"]) == {"T0", "T1"}


def test_the_one_that_turned_is_down_within_its_first_three_bad_acts() -> None:
    """From the highest tier to the second lowest; it never comes back while it goes on."""
    turned = agents()["turned"]
    down = [change for change in turned["changes"] if change["kind"] == "demoted"]
    assert (down[0]["from"], down[0]["badActs"]) == ("T4", 1)
    assert min(change["tier"] for change in down if change["badActs"] <= 3) == "T1"
    assert turned["tiers"][-1] == "T0"
    assert all(change["kind"] == "demoted" for change in turned["changes"] if change["day"] >= down[0]["day"])


def test_the_one_that_comes_in_bursts_is_not_taken_for_steady() -> None:
    """6,000 faultless calls on twelve days are twelve days."""
    assert highest(agents()["bursting"]) == "T1"


def test_the_one_that_learns_rises_late_and_stops_at_its_ceiling() -> None:
    """Its early mistakes fade; the ceiling that a human set does not."""
    learning = agents()["learning"]
    assert [change["tier"] for change in learning["changes"]] == ["T1", "T2", "T3"]
    assert learning["changes"][0]["day"] > 30
    assert (learning["ceiling"], learning["tiers"][-1]) == ("T3", "T3")


def test_each_change_cites_the_entries_that_it_rests_on() -> None:
    """Whoever doubts a tier can look them up."""
    for agent in agents().values():
        assert all(change["entries"] for change in agent["changes"])


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        ("patient", "T2"),
        ("replaying", "T1"),
        ("colluding", "T1"),
        ("alternating", "T1"),
        ("failing", "T2"),
        ("probing", "T0"),
        ("midnight", "T1"),
    ],
)
def test_no_adversary_gets_more_than_its_acts_are_worth(name: str, tier: str) -> None:
    """Each has the ceiling T4, and a year."""
    assert highest(agents("--adversaries")[name]) == tier


def test_old_merit_keeps_no_high_tier() -> None:
    """Who lay still for half a year does not come back as what it was."""
    sleeping = agents("--adversaries")["sleeping"]
    assert (highest(sleeping), sleeping["tiers"][335]) == ("T4", "T2")


def test_a_forbidden_act_in_small_parts_costs_what_a_great_one_does() -> None:
    """Eight of risk 25 a day: the highest tier is lost on the second day, and all of it within a week."""
    splitting = agents("--adversaries")["splitting"]
    down = [(change["day"], change["tier"]) for change in splitting["changes"] if change["kind"] == "demoted"]
    assert down[0] == (151, "T3")
    assert [tier for day, tier in down if day < 157] == ["T3", "T2", "T1", "T0"]


def test_the_plot_shows_tier_score_and_changes_of_each() -> None:
    """In plain text, so that it can be read in any terminal and in a log."""
    text = printed()
    for agent in agents().values():
        lines = text.split(f"\n{agent['agent']}: ")[-1] if not text.startswith(agent["agent"]) else text
        assert f"ceiling {agent['ceiling']}, {agent['acts']} acts" in lines
    steady = text.splitlines()[:8]
    assert [line.split()[0] for line in steady[2:7]] == ["T4", "T3", "T2", "T1", "T0"]
    assert steady[2].endswith("█")
    assert "2026-08-29  demoted T4 to T3" in text


def test_every_run_says_the_same() -> None:
    """Else nobody could check what the page says."""
    again = subprocess.run([sys.executable, str(COMMAND)], capture_output=True, timeout=60, check=True)
    assert again.stdout.decode() == printed()
