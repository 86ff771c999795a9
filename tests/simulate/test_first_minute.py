"""An agent that nobody knows does useful harmless work from its first minute, and nothing else."""

from pathlib import Path

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.principal import TrustTier
from gateway.policyfiles.shipped import shipped_policy
from gateway.settings import Settings, TierSettings
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool

HARMLESS = ("read_text_file", "list_directory", "search_files", "get_issue", "list_customers", "get_current_time")
HARMFUL = ("delete_file", "drop_table", "send_email", "create_payment", "run_command", "merge_pull_request")


def newcomer() -> World:
    """A world as it is shipped: the default policy, the default tier and its thresholds."""
    upstream = FakeUpstream(tools=[tool(name) for name in (*HARMLESS, *HARMFUL)])
    default = TierSettings().default
    assert Settings().policies == (Path("shipped:default"),)
    return World(
        upstreams=[upstream],
        policy=shipped_policy("default").read_text("utf-8"),
        tier=default,
        thresholds=TierSettings().threshold(default),
    )


@pytest.mark.parametrize("name", HARMLESS)
async def test_a_newcomer_reads_lists_and_searches_without_a_human(name: str) -> None:
    """Issue 5: at T0, by the shipped policy, on its very first call."""
    world = newcomer()
    await world.call(name, {"path": "notes/today.txt"})
    [decided] = world.bodies(EntryType.CALL_DECIDED)
    assert decided["facts"]["tier"] == TrustTier.T0
    assert decided["decision"]["effect"] == "ALLOW"
    assert len(world.upstream().calls()) == 1


@pytest.mark.parametrize("name", HARMFUL)
async def test_a_newcomer_does_no_harm(name: str) -> None:
    """What could do harm waits for a human or is denied; it does not reach the upstream."""
    world = newcomer()
    await world.call(name, {"path": "notes/today.txt"})
    assert world.bodies(EntryType.CALL_DECIDED)[0]["decision"]["effect"] in ("ESCALATE", "DENY")
    assert world.upstream().calls() == []
