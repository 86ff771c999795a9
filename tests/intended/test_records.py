"""What the service answers beside decisions. The readers themselves are gone through in `routes.py`."""

from collections.abc import Callable
from typing import Any

import pytest

from intended import records
from intended.reading import Fields, Nonsense
from intended.results import Lease


@pytest.mark.parametrize(
    "read",
    [
        records.Agent.read,
        records.AgentMetrics.read,
        records.AuditEntry.read,
        records.BreakPoint.read,
        records.ChainReport.read,
        records.Connector.read,
        records.CreatedKey.read,
        records.Health.read,
        records.Key.read,
        Lease.read,
        records.Stats.read,
        records.Thresholds.read,
        records.TierThreshold.read,
        records.Timeline.read,
        records.LoginLink.read,
        records.PortalSession.read,
        records.SigningKey.read,
        records.Switch.read,
        records.TimelineEvent.read,
        records.User.read,
    ],
    ids=lambda read: read.__self__.__name__,
)
def test_an_empty_object_is_none_of_them(read: Callable[[Fields], Any]) -> None:
    """Each has members without which it says nothing."""
    with pytest.raises(Nonsense):
        read(Fields({}))
