"""Many approvals as people look at them: which belong together, how often each was asked for, who waits for it now.

Owns the lists. Grouping only folds: each approval is answered by itself, and nothing answers a group. Two keys say what
belongs together (`core/rows.py:About`): one agent's calls to one target, and equal calls whoever makes them.
"""

from collections import Counter
from collections.abc import Sequence

from gateway.core.approvals import ApprovalState
from gateway.core.presentation import Alike, Listed
from gateway.core.principal import Principal
from gateway.core.rows import PENDING, HeldApproval, asked_key, read_groups
from gateway.ports import Page, StateStore
from gateway.services.approvals import Approvals
from gateway.services.wakeups import Wakeups

__all__ = ["ApprovalList"]

_Marks = dict[str, tuple[str, str]]
"""Of each approval that awaits a human: its group, and what equal calls share."""


class ApprovalList:
    """Looks at approvals; changes nothing, but that what is due expires."""

    def __init__(self, *, approvals: Approvals, state: StateStore, wakeups: Wakeups) -> None:
        self._approvals = approvals
        self._state = state
        self._wakeups = wakeups

    async def list(
        self,
        principal: Principal,
        *,
        state: ApprovalState | None = ApprovalState.PENDING,
        group: str = "",
        page: int,
        page_size: int,
    ) -> Page[Listed]:
        """Return one page (from 1) of the tenant's approvals in that state (None: in any), newest first.

        `group` asks for those of one group. Raises StoreError.
        """
        tenant, first = principal.tenant, (page - 1) * page_size
        await self._approvals.sweep(tenant)
        marks = await self._marks(tenant)
        if state is ApprovalState.PENDING:
            ids = [one for one in reversed(marks) if group in ("", marks[one][0])]
            looked = [await self._approvals.current(tenant, one) for one in ids[first : first + page_size]]
            found = Page(items=tuple(one for one in looked if one is not None), total=len(ids))
        else:
            found = await self._approvals.listed(tenant, state, group, page=page, page_size=page_size)
        counted = _counted(marks)
        return Page(items=tuple([await self._listed(one, counted) for one in found.items]), total=found.total)

    async def alike(self, held: HeldApproval) -> Alike:
        """Return how one approval stands among those that await a human. Raises StoreError."""
        return (await self._listed(held, _counted(await self._marks(held.approval.tenant)))).alike

    async def _marks(self, tenant: str) -> _Marks:
        rows: Sequence[tuple[str, bytes]] = [(row.key, row.value) for row in await self._state.scan(tenant, PENDING)]
        return {key.removeprefix(PENDING): read_groups(value) for key, value in rows}

    async def _listed(self, held: HeldApproval, counted: Counter[str]) -> Listed:
        one, about = held.approval, held.about
        row = await self._state.get(one.tenant, asked_key(one.id))
        waiting, asked = self._wakeups.count(one.id), held.asked if row is None else int(row.value)
        if about is None:
            return Listed(approval=one, alike=Alike(asked=asked, waiting=waiting))
        alike = Alike(
            target="/".join(part for part in (about.upstream, about.target) if part),
            group=about.group,
            group_size=counted[about.group],
            equal=counted[about.same],
            asked=asked,
            waiting=waiting,
        )
        return Listed(approval=one, alike=alike)


def _counted(marks: _Marks) -> Counter[str]:
    """Count the members of each group, and equal calls; the two kinds of keys are never the same."""
    return Counter(key for keys in marks.values() for key in keys)
