"""What a decision reads and writes with it adds up; nothing is the neutral part."""

from gateway.core.audit.entry import Expect, Put
from gateway.services.judged import NO_ROWS, Rows, Use
from tests.simulate.world import World


def test_rows_add_up_in_order() -> None:
    """Two parts of one decision write in one transaction."""
    first = Rows(expects=(Expect(key="a", version=1),), puts=(Put(key="a", value=b"x"),))
    second = Rows(puts=(Put(key="b", value=None),))
    assert first + second == Rows(
        expects=(Expect(key="a", version=1),), puts=(Put(key="a", value=b"x"), Put(key="b", value=None))
    )
    assert first + NO_ROWS == NO_ROWS + first == first


async def test_an_attempt_has_nobody_who_hears_it_before_it_has_begun() -> None:
    """An answer that nobody is known to hear is kept."""
    use = Use(World().desk, attempt="a", key="outcome:x", approval_id="apr_1")
    assert (use.heard(), use.done.is_set(), use.outcome) == (False, False, None)
