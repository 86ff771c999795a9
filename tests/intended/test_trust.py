"""What an agent has earned is read strictly."""

import pytest

from intended.reading import Fields, Nonsense
from intended.trust import AgentTrust
from tests.intended.routes_of_agents import TRUST


def test_an_empty_object_is_no_trust() -> None:
    """It has members without which it says nothing."""
    with pytest.raises(Nonsense):
        AgentTrust.read(Fields({}))


def test_what_it_rests_on_is_there_for_who_wants_it() -> None:
    """And takes no room where it is printed."""
    found = AgentTrust.read(Fields({**TRUST, "promotion": []}))
    assert found.raw["promotion"] == []
    assert "promotion" not in repr(found)
