"""The schema of a case file: calls with the decision that an operator wants for each (golden cases beside a policy).

Owns shape and defaults of cases. Reading them is `policyfiles`, running them `services/policy_check.py`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, StrictBool, StrictFloat, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from gateway.core.call import INTENT_METHOD, MAX_ACTION_CHARS
from gateway.core.intent.model import EffectClass
from gateway.core.policy.bundle import Bundle
from gateway.core.policy.document import GATED_METHODS, NAMED_METHODS, Method, Section, Sentence, Tier, Word

__all__ = [
    "CallDocument",
    "CaseDocument",
    "CaseFileDocument",
    "CaseSuite",
    "ExpectDocument",
    "FactsDocument",
    "IntentDocument",
]

Number = StrictInt | StrictFloat

MONDAY_NOON = datetime.fromisoformat("2026-01-05T12:00:00+00:00")
"""When a case happens unless it says otherwise; a case must not depend on when it is run."""


class CallDocument(Section):
    """The call of a case, by the upstream's own names."""

    method: Method = "tools/call"
    upstream: Word = Field(default="default", description="Id of the upstream; intent: the system, none by default.")
    tool: Annotated[str, Field(min_length=1, max_length=MAX_ACTION_CHARS)] | None = Field(
        default=None, description="Name of the tool, of the prompt for prompts/get, or the action for intent."
    )
    type: Word | None = Field(default=None, description="The intent type that an intent declares.")
    description: Annotated[str, Field(max_length=4096)] = Field(default="", description="The description of an intent.")
    uri: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    definition: dict[str, Any] = Field(
        default_factory=dict, description="Of the tool as its upstream lists it: description, inputSchema, annotations."
    )
    review: Literal["unreviewed", "changed", "reviewed"] = "unreviewed"

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        """Refuse a call that could never be made."""
        if self.method not in GATED_METHODS:
            raise PydanticCustomError("case", "a case is of one method, not of `*`")
        if self.method in NAMED_METHODS and self.tool is None and self.uri is None:
            raise PydanticCustomError("case", "`tool` is missing: the name of the tool or prompt, or the action")
        if self.method != INTENT_METHOD and (self.type is not None or self.description):
            raise PydanticCustomError("case", "`type` and `description` belong to `method: intent`")
        return self

    @property
    def place(self) -> str:
        """The upstream of the call; of an intent the system, which it need not name."""
        named = self.method != INTENT_METHOD or "upstream" in self.model_fields_set
        return self.upstream if named else ""


class IntentDocument(Section):
    """A judgement to be taken instead of the classifier's, where a case is about the policy alone."""

    type: Word = "unknown"
    domain: Word = "unknown"
    effect: EffectClass
    confidence: Annotated[float, Field(ge=0, le=1)] = 1.0
    risk: Annotated[StrictInt, Field(ge=0, le=100)] = 0
    factors: tuple[Word, ...] = ()


class FactsDocument(Section):
    """What a decision depends on besides call and agent."""

    now: AwareDatetime = MONDAY_NOON
    novel: StrictBool = Field(default=True, description="`call.first_use`: the agent was never allowed this before.")
    failures_in_row: Annotated[StrictInt, Field(ge=0)] = Field(default=0, description="`agent.failures_in_row`.")
    session: dict[str, Any] = Field(default_factory=dict)
    budgets: dict[str, Number] = Field(default_factory=dict, description="Spent before the call; else nothing was.")
    counts: dict[str, StrictInt] = Field(
        default_factory=dict, description="Calls before this one; else there were none."
    )


class AgentDocument(Section):
    """Who makes the call."""

    id: Word = "agent"
    tier: Tier = "T0"
    score: Annotated[StrictInt, Field(ge=0, le=100)] = 0


class ExpectDocument(Section):
    """What must come out. `rules` are ids of rules that must have held, in any order; others may have held too."""

    effect: Literal["ALLOW", "ESCALATE", "DENY"]
    rules: Annotated[tuple[Word, ...], Field(min_length=1, max_length=50)] | None = None
    reason: Word | None = Field(default=None, description="The decision's reason code, for example condition-error.")


class CaseDocument(Section):
    """One case."""

    name: Sentence = Field(description="A sentence about the behaviour.")
    call: CallDocument
    agent: AgentDocument = Field(default_factory=AgentDocument)
    facts: FactsDocument = Field(default_factory=FactsDocument)
    intent: IntentDocument | None = None
    expect: ExpectDocument


class CaseFileDocument(Section):
    """One case file, `NAME_test.yaml` beside the policy file `NAME.yaml` that it tests."""

    apiVersion: Literal["intended/v1"]
    policies: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="The policy file or folder to test, relative to this file. Default: NAME.yaml beside it, or else"
        " the folder that this file lies in.",
    )
    cases: Annotated[tuple[CaseDocument, ...], Field(min_length=1, max_length=5000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSuite:
    """The cases of one file, each with its line, and the bundle that they are about."""

    source: str
    bundle: Bundle
    cases: tuple[tuple[int, CaseDocument], ...]
