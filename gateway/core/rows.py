"""The state rows of intents and approvals: their keys, and the values as JSON.

Owns what is kept between two entries of one intent. Which change is allowed is `core/approvals.py`'s and
`core/submission.py`'s; that each is durable with its entry, the services'.
"""

from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Final

import orjson

from gateway.core.approvals import Approval, ApprovalState, Granted
from gateway.core.audit.body import shown_place
from gateway.core.audit.canonical import digest
from gateway.core.call import Call
from gateway.core.decision import ApprovalTerms
from gateway.core.intent.model import Intent
from gateway.core.jsonvalue import JsonObject
from gateway.core.submission import IntentStatus

__all__ = [
    "APPROVALS",
    "IDEMPOTENCY",
    "INPUTS",
    "INTENTS",
    "PENDING",
    "About",
    "HeldApproval",
    "IntentState",
    "Used",
    "Vote",
    "about",
    "approval_key",
    "asked_key",
    "call_key",
    "idempotency_key",
    "input_key",
    "intent_key",
    "pending_key",
    "read_approval",
    "read_groups",
    "read_intent",
    "read_used",
]

APPROVALS: Final = "approval:"
INTENTS: Final = "intent:"
IDEMPOTENCY: Final = "idem:"
INPUTS: Final = "approval-input:"
"""Of the sealed inputs, which are there as long as their approvals are open."""
PENDING: Final = "pending:"
"""Of the markers of approvals that await a human, so that these are found without the others."""


def approval_key(approval_id: str) -> str:
    """Return the key of an approval."""
    return f"{APPROVALS}{approval_id}"


def pending_key(approval_id: str) -> str:
    """Return the key of the marker that an approval awaits a human."""
    return f"{PENDING}{approval_id}"


def asked_key(approval_id: str) -> str:
    """Return the key of the counter that says how often the same call was asked for."""
    return f"asked:{approval_id}"


def input_key(approval_id: str) -> str:
    """Return the key of the exact call that an approval is about, sealed."""
    return f"{INPUTS}{approval_id}"


def intent_key(intent_id: str) -> str:
    """Return the key of what is kept of an intent."""
    return f"{INTENTS}{intent_id}"


def idempotency_key(text: str) -> str:
    """Return the key of a used idempotency key; a program may choose any text."""
    return f"{IDEMPOTENCY}{sha256(text.encode()).hexdigest()}"


def call_key(agent: str, call: Call) -> str:
    """Return the key under which the same call of the same agent finds its approval.

    The same: agent, upstream, method, target, the tool's definition, arguments and answers.
    """
    pin = call.tool.pin if call.tool is not None else ""
    same = [agent, call.upstream, call.method, call.name, call.uri, pin, call.arguments_digest, digest(call.answers)]
    return f"approval-key:{digest(same)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What an approval is about, as far as it may be kept in the clear, and how it was judged when it was opened.

    `group` is the same for calls of one agent to one target, whatever their arguments; `same` for equal calls, whoever
    makes them. Both only help people to look at many: neither is what a yes is for.
    """

    method: str
    upstream: str
    target: str
    pin: str
    args_digest: str
    risk: int
    factors: tuple[str, ...]
    tier: int
    group: str
    same: str

    @property
    def groups(self) -> bytes:
        """The value of the marker that the approval waits: what it is counted with."""
        return orjson.dumps([self.group, self.same])


def about(agent: str, call: Call, intent: Intent, tier: int) -> About:
    """Return what an approval of this call is about."""
    upstream, target = shown_place(call)
    pin = call.tool.pin if call.tool is not None else ""
    place = [call.method, call.upstream, call.action or call.target]
    return About(
        method=call.method,
        upstream=upstream,
        target=target,
        pin=pin,
        args_digest=call.arguments_digest,
        risk=intent.risk,
        factors=tuple(sorted({factor.code for factor in intent.factors})),
        tier=tier,
        group=f"grp_{digest([agent, *place])[:16]}",
        same=f"eq_{digest([*place, pin, call.arguments_digest, digest(call.answers)])[:16]}",
    )


def read_groups(marker: bytes) -> tuple[str, str]:
    """Return `group` and `same` of a marker; empty where it is of a release that kept none."""
    if not marker.startswith(b"["):
        return "", ""
    group, same = orjson.loads(marker)
    return group, same


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One yes or no. `claimed` is who a body said the approver was."""

    credential: str
    human: str
    time: str
    claimed: str = ""
    rationale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldApproval:
    """An approval with what its use needs. `version` is that of its row, 0 before it has one.

    `rules` are the escalating rules that a yes answers, by id and digest. `key` is that of the call, empty for an
    intent that was submitted by REST, which is its own. `human` is who was behind the credential that asked, where it
    was a portal session. `used` is True once the yes has been. `about` is None for one that an earlier release opened.
    `asked` is how often its call was made, of one whose rows were removed; before that a row of its own counts it.
    """

    approval: Approval
    rules: frozenset[tuple[str, str]] = frozenset()
    key: str = ""
    human: str = ""
    votes: tuple[Vote, ...] = ()
    used: bool = False
    about: About | None = None
    asked: int = 0
    version: int = 0

    @property
    def open(self) -> bool:
        """True while it awaits a human, or its yes awaits its use."""
        state = self.approval.state
        return state is ApprovalState.PENDING or (state is ApprovalState.APPROVED and not self.used)

    @property
    def granted(self) -> Granted:
        """The yes as a fact."""
        return Granted(id=self.approval.id, rules=self.rules)

    def as_state(self, state: ApprovalState) -> "HeldApproval":
        """Return the same approval in another state."""
        return replace(self, approval=replace(self.approval, state=state))

    def written(self) -> bytes:
        """Return the row's value."""
        one = self.approval
        return orjson.dumps(
            {
                "id": one.id,
                "intentId": one.intent_id,
                "agent": one.agent,
                "requestedBy": one.requested_by,
                "state": one.state,
                "reason": one.reason,
                "role": one.terms.role,
                "approvers": one.terms.approvers,
                "expiresS": one.terms.expires_s,
                "created": one.created,
                "expires": one.expires,
                "resolved": one.resolved,
                "resolvedBy": one.resolved_by,
                "resolvedByUser": one.resolved_by_user,
                "claimed": one.claimed,
                "rationale": one.rationale,
                "rules": sorted(self.rules),
                "key": self.key,
                "human": self.human,
                "votes": [
                    [vote.credential, vote.human, vote.time, vote.claimed, vote.rationale] for vote in self.votes
                ],
                "used": self.used,
                "about": None if self.about is None else asdict(self.about),
            }
        )


def read_approval(tenant: str, value: bytes, version: int) -> HeldApproval:
    """Return the approval of a row."""
    row: JsonObject = orjson.loads(value)
    return HeldApproval(
        approval=Approval(
            id=row["id"],
            tenant=tenant,
            intent_id=row["intentId"],
            agent=row["agent"],
            requested_by=row["requestedBy"],
            state=ApprovalState(row["state"]),
            reason=row["reason"],
            terms=ApprovalTerms(role=row["role"], approvers=row["approvers"], expires_s=row["expiresS"]),
            created=row["created"],
            expires=row["expires"],
            resolved=row["resolved"],
            resolved_by=row["resolvedBy"],
            resolved_by_user=_user(row),
            claimed=row["claimed"],
            rationale=row["rationale"],
        ),
        rules=frozenset((rule, text) for rule, text in row["rules"]),
        key=row["key"],
        human=row["human"],
        votes=tuple(
            Vote(credential=credential, human=human, time=time, claimed=claimed, rationale=rationale)
            for credential, human, time, claimed, rationale in row["votes"]
        ),
        used=row["used"],
        about=_about(row.get("about")),
        version=version,
    )


def _user(row: JsonObject) -> str:
    """Return the user who resolved it. An earlier release kept no more than who was behind each yes."""
    kept = row.get("resolvedByUser")
    if kept is None:
        kept = next((human for credential, human, *_ in row["votes"] if credential == row["resolvedBy"]), "")
    return str(kept)


def _about(row: JsonObject | None) -> About | None:
    return None if row is None else About(**{**row, "factors": tuple(row["factors"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentState:
    """What is kept of an intent that was submitted by REST, or that waits or waited for a human.

    The status is here to be checked in the transaction that changes it; it is shown from the entries
    (`core/projection.py`), which say the same. `credential` is the one that submitted it, `issued` True once its token
    has been. `version` is that of its row.
    """

    status: IntentStatus
    agent: str
    credential: str
    submitted: bool
    approval_id: str = ""
    issued: bool = False
    version: int = field(default=0, compare=False)

    def written(self) -> bytes:
        """Return the row's value."""
        return orjson.dumps(
            {
                "status": self.status,
                "agent": self.agent,
                "credential": self.credential,
                "submitted": self.submitted,
                "approvalId": self.approval_id,
                "issued": self.issued,
            }
        )


def read_intent(value: bytes, version: int) -> IntentState:
    """Return what a row keeps of an intent."""
    row: JsonObject = orjson.loads(value)
    return IntentState(
        status=IntentStatus(row["status"]),
        agent=row["agent"],
        credential=row["credential"],
        submitted=row["submitted"],
        approval_id=row["approvalId"],
        issued=row["issued"],
        version=version,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A used idempotency key: for which body, of which intent, until when (RFC 3339)."""

    intent_id: str
    body: str
    expires: str
    version: int = field(default=0, compare=False)

    def written(self) -> bytes:
        """Return the row's value."""
        return orjson.dumps({"intentId": self.intent_id, "body": self.body, "expires": self.expires})


def read_used(value: bytes, version: int) -> Used:
    """Return the used key of a row."""
    row: JsonObject = orjson.loads(value)
    return Used(intent_id=row["intentId"], body=row["body"], expires=row["expires"], version=version)
