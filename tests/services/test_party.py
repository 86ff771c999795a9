"""What both eras share: replies, and the marks of an answer that depends on who asks."""

import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.services.party import Interests, Reply, for_one_principal, internal_error, reply_error


def test_an_error_carries_data_only_where_there_is_some() -> None:
    """`data: null` would be another answer than none."""
    assert reply_error(-32602, "no") == Reply(message={"error": {"code": -32602, "message": "no"}})
    assert reply_error(-32022, "no", data={"supported": []}).message["error"]["data"] == {"supported": []}
    assert internal_error("broken").message == {"error": {"code": -32603, "message": "broken"}}


@pytest.mark.parametrize(
    ("given", "told"), [(0, 0), (4999, 4999), (60_000, 5000), (-1, 5000), (True, 5000), ("1", 5000)]
)
def test_a_filtered_answer_is_private_and_short_lived(given: object, told: int) -> None:
    """A shared cache would hand one principal's list to another; a long one would outlive a change of policy."""
    result: JsonObject = {"tools": [], "ttlMs": given, "cacheScope": "public", "x": 1}
    assert for_one_principal(result) == {"tools": [], "ttlMs": told, "cacheScope": "private", "x": 1}
    assert result["cacheScope"] == "public"


def test_an_answer_without_caching_gets_it() -> None:
    """Both members are required in the modern era."""
    assert for_one_principal({}) == {"ttlMs": 5000, "cacheScope": "private"}


def test_nobody_hears_more_than_asked_for_by_default() -> None:
    """Resources and elicitations are told only once they were subscribed to, or relayed."""
    quiet = Interests()
    assert (quiet.resources, quiet.elicitations, quiet.questions) == (set(), {}, set())
