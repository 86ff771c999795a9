"""Budgets in Ops' words: what is spent and left of each account, and what counts into one. An addition to the guide.

What counts is the audit trail's, so that it takes the scope of that; what is left takes that of agents alone.
"""

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import Answer, PageQuery, Query, Word, paged
from gateway.api.operation import Call, Operation
from gateway.core.accounts import AccountView
from gateway.core.audit.body import timestamp
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.errors import InvalidRequest, NotFound
from gateway.services.accounts import Charge

__all__ = ["OPERATIONS"]

TAG: Final = "Budgets"


class BudgetsQuery(PageQuery):
    """Whose accounts: those that count the calls of this agent, or to this upstream."""

    agent: Word | None = Field(default=None, description="Slug, name or id: its own accounts, and those it shares.")
    upstream: Word | None = Field(default=None, description="An upstream, or a system as intents name it.")


class BudgetQuery(Query):
    """Which of a budget's accounts."""

    agent: Word | None = Field(default=None, description="Slug, name or id; of a budget per agent.")
    upstream: Word | None = Field(default=None, description="Of a budget per upstream.")


class BudgetLimit(Answer):
    """A number that a rule compares with what is spent."""

    rule: str
    policySet: str
    effect: Literal["ALLOW", "ESCALATE", "DENY"]
    limit: float = Field(description="Beyond it the rule denies, escalates, or allows no more.")


class BudgetAccount(Answer):
    """One account of a budget."""

    budget: str
    counts: str = Field(description="`calls`, or the expression that says what one call adds.")
    per: Literal["agent", "upstream", "tenant"]
    account: str | None = Field(
        description="The agent, upstream or tenant whose it is; `#` and a digest: a system as intents name it; null:"
        " nobody has spent anything."
    )
    submitted: bool = Field(description="Of intents for a system of that name, not of tool calls.")
    spent: float
    limit: float | None = Field(description="The lowest of `limits`.")
    left: float | None = Field(description="Null where no rule names a limit in a form that leaves no doubt.")
    limits: list[BudgetLimit] = Field(description="Lowest first. Rules for some agents only where that one is named.")
    windowSeconds: int
    nextAt: str | None = Field(description="When the oldest part of what is spent falls out of the window.")
    nextAmount: float = Field(description="How much that is.")
    clearAt: str | None = Field(description="When all of it has, if nothing more is spent.")
    file: str = Field(description="Where it is declared.")
    line: int


class BudgetPage(Answer):
    """A page of accounts, in the order in which policies declare their budgets."""

    items: list[BudgetAccount]
    total: int
    page: int
    pageSize: int


class BudgetEntry(Answer):
    """An allowed call that counts."""

    seq: int
    entryId: str
    at: str
    intentId: str
    agent: str
    upstream: str
    tool: str
    amount: float
    backAt: str = Field(description="When it does not count any more.")


class BudgetStatement(BudgetAccount):
    """One account with what counts into it."""

    entries: list[BudgetEntry] = Field(description="Newest first.")
    entriesComplete: bool = Field(description="False where there may be more; the audit trail has them all.")


async def list_budgets(call: Call, query: BudgetsQuery) -> JsonObject:
    """What is spent of each, and what is left. What has fallen out of its window is not there."""
    found = await call.services.accounts.list(
        call.principal,
        agent=query.agent or "",
        upstream=query.upstream or "",
        page=query.page,
        page_size=query.pageSize,
    )
    return paged(map(_view, found.items), total=found.total, query=query)


async def get_budget(call: Call, name: str, query: BudgetQuery) -> JsonObject:
    """With the entries of the chain that count. A budget per agent, or per upstream, takes which one."""
    found = await call.services.accounts.show(
        call.principal, name, agent=query.agent or "", upstream=query.upstream or ""
    )
    entries = [_entry(one) for one in found.charges]
    return {**_view(found.account), "entries": entries, "entriesComplete": found.complete}


def _view(account: AccountView) -> JsonObject:
    budget = account.budget
    return {
        "budget": budget.name,
        "counts": "calls" if budget.amount is None else budget.amount.text,
        "per": budget.per,
        "account": account.whose or None,
        "submitted": account.submitted,
        "spent": account.spent,
        "limit": account.limit,
        "left": account.left,
        "limits": [
            {"rule": one.rule, "policySet": one.policy_set, "effect": one.effect, "limit": one.most}
            for one in account.limits
        ],
        "windowSeconds": budget.window_s,
        "nextAt": _moment(account.next_at),
        "nextAmount": account.next_amount,
        "clearAt": _moment(account.clear_at),
        "file": budget.file,
        "line": budget.line,
    }


def _entry(charge: Charge) -> JsonObject:
    return {
        "seq": charge.seq,
        "entryId": charge.id,
        "at": charge.at,
        "intentId": charge.intent_id,
        "agent": charge.agent,
        "upstream": charge.upstream,
        "tool": charge.tool,
        "amount": charge.amount,
        "backAt": timestamp(charge.back_at),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/budgets",
        name="list_budgets",
        summary="List what is left of budgets",
        endpoint=list_budgets,
        answers=BudgetPage,
        scope=Scope.AGENTS_READ,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/budgets/{name}",
        name="get_budget",
        summary="Get one account of a budget",
        endpoint=get_budget,
        answers=BudgetStatement,
        scope=Scope.AUDIT_READ,
        also=(InvalidRequest, NotFound),
        tag=TAG,
    ),
)
