"""Routes as values. That each asks what it should is in `routes.py`, which both clients go through."""

import pytest

from intended import endpoints
from intended.reading import Nonsense


def test_only_what_is_safe_to_send_twice_is_repeatable() -> None:
    """Reading is; deciding is with an idempotency key; everything else is not."""
    assert endpoints.stats().repeatable
    assert endpoints.get_intent("int_1").repeatable
    assert endpoints.verify_chain(None).repeatable
    assert endpoints.submit_intent("a", "b", None, None, "key").repeatable
    assert endpoints.create_intent("t", "d", "a", None, None, None, "key").repeatable
    for call in (
        endpoints.submit_intent("a", "b", None, None, None),
        endpoints.submit_agent_intent("t", "a", "b", None),
        endpoints.create_intent("t", "d", "a", None, None, None, None),
        endpoints.report_outcome("int_1", "completed", None),
        endpoints.resolve_approval("apr_1", "approve", None),
        endpoints.record_approval("approve", "int_1", None, None, None),
        endpoints.register_agent("a", None, None, None),
        endpoints.put_thresholds("t", {}, 1),
        endpoints.create_key("k", None, None, None, None, None, None),
        endpoints.rotate_key("key_1", None),
    ):
        assert not call.repeatable, call.path


def test_an_ops_answer_lies_in_data() -> None:
    """The bare object would be the other dialect's."""
    with pytest.raises(Nonsense):
        endpoints.stats().read({"intentsToday": 1, "pendingApprovals": 1, "activeAgents": 1, "valueGenerated": 1})
