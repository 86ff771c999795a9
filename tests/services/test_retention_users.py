"""Who answered is told with the user behind it, also once the rows are gone."""

import pytest

from gateway.core.principal import Principal, Scope
from tests.services.submitting import HUMAN
from tests.services.test_retention import answer, keys, long_after, pay, world


@pytest.mark.parametrize("approve", [True, False])
async def test_the_user_behind_an_answer_is_told_when_its_rows_are_gone(approve: bool) -> None:
    """An auditor asks years later which human it was; a key has none."""
    made = world()
    by_user, by_key = await pay(made, 1), await pay(made, 2)
    await answer(made, by_user, approve=approve)
    by = Principal(tenant="default", agent="ops", credential="key_9", scopes=frozenset({Scope.APPROVALS_WRITE}))
    await made.approvals.resolve(by, approval_id=by_key, approve=approve)
    if approve:  # a yes that is not used expires, and it is the gateway then that closes it
        assert [await pay(made, 1), await pay(made, 2)] == ["", ""]
    for _ in range(2):
        shown = [await made.approvals.show(HUMAN, one) for one in (by_user, by_key)]
        assert [(one.resolved_by, one.resolved_by_user) for one in shown] == [("ps_1", "usr_1"), ("key_9", "")]
        await long_after(made)
        await made.retention.round()
    assert keys(made)["approval"] == 0
