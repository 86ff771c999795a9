"""The schema of a policy file: what an operator may write.

Owns names, bounds and shape. How text becomes a document, and what is said where it does not, is `reading.py`; what a
condition means is `cel.py`, how documents become one bundle `compile.py`.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from gateway.core.call import INTENT_METHOD
from gateway.core.intent.model import EffectClass

__all__ = [
    "CONDITION_CHARS",
    "DEFAULT_METHODS",
    "GATED_METHODS",
    "ID_PATTERN",
    "MAX_WINDOW_S",
    "NAMED_METHODS",
    "NAME_PATTERN",
    "PIN_PATTERN",
    "URI_METHODS",
    "ApprovalDocument",
    "BudgetDocument",
    "MappingDocument",
    "MatchDocument",
    "PolicyDocument",
    "RuleDocument",
    "Section",
    "duration_s",
    "nearest",
]

CONDITION_CHARS = 4096
"""Length of one condition: what is longer is a program, and the engine's parser recurses over it."""

RULES = 2000
"""Rules of one file: a thousand evaluated conditions cost 15 ms (research/building-blocks.md 1.1)."""

ITEMS = 1000
"""Items of one list in `match`, and mappings of one file times ten."""

GATED_METHODS = (
    "tools/call",
    INTENT_METHOD,
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "completion/complete",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
)
"""The methods that are decided (research/protocol.md 1.2, and intents submitted by REST); `*` in a rule stands for all.
"""

DEFAULT_METHODS = ("tools/call", INTENT_METHOD)
"""What a rule is about that names no methods: acts, whichever front they come through."""

NAMED_METHODS = frozenset({"tools/call", INTENT_METHOD, "prompts/get", "completion/complete"})
"""Methods that carry the name of a tool, an action or a prompt, which `match.tools` reads."""

URI_METHODS = frozenset({"resources/read", "resources/subscribe", "completion/complete", "elicitation/create"})
"""Methods that carry a URI (of a resource, or the page that a person is asked to open): `match.uris` reads it."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

MAX_WINDOW_S = 31 * 86_400
"""The longest window of a budget; no account need be kept for longer (`core/retention.py`)."""

_EXPIRES_S = (60, 7 * 86_400)
"""An approval that is open for less than a minute cannot be given, one for over a week is forgotten."""

ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,31}$"
"""Of a budget: part of a variable in conditions, hence no `-` and no `.`."""
PIN_PATTERN = r"^[0-9a-f]{64}$"


# --- words, names, durations ------------------------------------------------------------------------------------------


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)`, or an empty string where nothing is near."""
    close = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def duration_s(text: str) -> int:
    """Return the seconds of `90s`, `15m`, `8h` or `1d`.

    Raises:
        PydanticCustomError: it is none of these.
    """
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or not 0 < len(number) <= 6:
        raise PydanticCustomError("duration", "expected a whole number and a unit, for example 90s, 15m, 8h or 1d")
    return int(number) * _UNITS[unit]


def _known_method(method: str) -> str:
    if method != "*" and method not in GATED_METHODS:
        names = ", ".join(GATED_METHODS)
        raise PydanticCustomError(
            "method",
            "'{method}' is not a method that is decided{hint}; expected one of {names} or '*'",
            {"method": method, "hint": nearest(method, GATED_METHODS), "names": names},
        )
    return method


def _approval_time(text: str) -> str:
    seconds = duration_s(text)
    if not _EXPIRES_S[0] <= seconds <= _EXPIRES_S[1]:
        raise PydanticCustomError("duration", "an approval may be open for 1m to 7d")
    return text


def _window(text: str) -> str:
    seconds = duration_s(text)
    if not 60 <= seconds <= MAX_WINDOW_S:
        raise PydanticCustomError("duration", "a budget's window is 1m to 31d")
    return text


Id = Annotated[str, Field(pattern=ID_PATTERN)]
Glob = Annotated[str, Field(min_length=1, max_length=512)]
"""Case-sensitive; only `*` (any characters) and `?` (one character) are special."""
Word = Annotated[str, Field(min_length=1, max_length=128)]
Method = Annotated[str, AfterValidator(_known_method), Field(json_schema_extra={"enum": [*GATED_METHODS, "*"]})]
Tier = Literal["T0", "T1", "T2", "T3", "T4"]
Condition = Annotated[str, Field(min_length=1, max_length=CONDITION_CHARS)]
Sentence = Annotated[str, Field(min_length=1, max_length=500)]
_Item = TypeVar("_Item")
Several = Annotated[tuple[_Item, ...], Field(min_length=1, max_length=ITEMS)]


# --- the documents ----------------------------------------------------------------------------------------------------


class Section(BaseModel):
    """A part of an operator's file: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MatchDocument(Section):
    """To which calls a rule applies: all keys must hold (AND), one item of a list is enough (OR), absent is any."""

    methods: Several[Method] = Field(
        default=DEFAULT_METHODS,
        description="MCP methods, and `intent` for what is submitted by REST; `*` is every decided one.",
    )
    intents: Several[Word] | None = Field(default=None, description="Intent types of the taxonomy.")
    domains: Several[Word] | None = Field(default=None, description="Domains of the taxonomy.")
    effects: Several[EffectClass] | None = Field(
        default=None, description="Effect classes: what kind of thing happens if the call runs."
    )
    factors: Several[Word] | None = Field(
        default=None, description="Codes of risk factors, of which one must have been seen in the call."
    )
    upstreams: Several[Glob] | None = Field(
        default=None, description="Globs over upstream ids (intent: over the system that it names)."
    )
    tools: Several[Glob] | None = Field(
        default=None,
        description="Globs over the upstream's own tool names (prompts/get: prompt names; intent: the action).",
    )
    uris: Several[Glob] | None = Field(
        default=None, description="Globs over the URI of a resource, or of an elicitation's page."
    )
    agents: Several[Glob] | None = Field(
        default=None, description="Globs over agents, `TENANT/AGENT` beyond tenant `default`."
    )
    tiers: Several[Tier] | None = Field(default=None, description="Trust tiers, T0 (new) to T4 (proven).")

    @model_validator(mode="after")
    def can_apply(self) -> Self:
        """Refuse a match that no call can meet: a deny rule written so would be a silent hole."""
        methods = set(GATED_METHODS) if "*" in self.methods else set(self.methods)
        if self.tools:
            methods &= NAMED_METHODS
        if self.uris:
            methods &= URI_METHODS
        if not methods:
            raise PydanticCustomError(
                "match",
                "no call can match: none of the rule's methods has both the names and the URIs that it asks for"
                " (`tools` needs tools/call, intent or prompts/get, `uris` needs resources/read; `methods` defaults to"
                " tools/call and intent)",
            )
        return self


class ApprovalDocument(Section):
    """Who may approve an escalated call, how many of them, and for how long it stays open."""

    role: Id = "operator"
    approvers: Annotated[StrictInt, Field(ge=1, le=10)] = 1
    expires: Annotated[str, AfterValidator(_approval_time)] = Field(default="1h", description="For example 15m, 8h.")


class RuleDocument(Section):
    """One rule."""

    id: Id = Field(description="Unique across all files of a bundle.")
    effect: Literal["allow", "escalate", "deny"] = Field(description="Deny beats escalate, escalate beats allow.")
    match: MatchDocument = Field(default_factory=MatchDocument)
    when: Condition | None = Field(default=None, description="A condition in CEL. An error in it denies the call.")
    reason: Sentence | None = Field(default=None, description="Shown to the agent and the human; no secrets.")
    obligations: Several[Id] | None = Field(default=None, description="Duties attached to an allowed call.")
    approval: ApprovalDocument | None = Field(default=None, description="Only for `escalate`.")

    @model_validator(mode="after")
    def fits_effect(self) -> Self:
        """Refuse what the effect would silently ignore."""
        if self.approval is not None and self.effect != "escalate":
            raise PydanticCustomError("approval", "`approval` belongs to `effect: escalate`")
        if self.obligations is not None and self.effect == "deny":
            raise PydanticCustomError("obligations", "`obligations` belong to `effect: allow` or `escalate`")
        return self


class MappingDocument(Section):
    """An operator's word that a tool is of an intent type."""

    tool: Glob = Field(description="Glob over the upstream's own tool names.")
    intent: Word = Field(description="An intent type of the taxonomy.")
    upstream: Glob = Field(default="*", description="Glob over upstream ids.")
    pin: Annotated[str, Field(pattern=PIN_PATTERN)] | None = Field(
        default=None, description="Digest of the tool definition that was reviewed."
    )


class BudgetDocument(Section):
    """A sum or count over past calls, read by conditions as `budget.NAME` (sum) or `count.NAME` (count)."""

    sum: Condition | None = Field(
        default=None, description="What one call adds, in CEL, for example `args.amount`: zero or more."
    )
    count: Literal["calls"] | None = Field(default=None, description="Counts calls instead.")
    per: Literal["agent", "upstream", "tenant"] = Field(description="Whose account it is.")
    window: Annotated[str, AfterValidator(_window)] = Field(description="It slides: 1m to 31d.")
    match: MatchDocument = Field(default_factory=MatchDocument, description="Which calls count.")

    @model_validator(mode="after")
    def one_kind(self) -> Self:
        """Refuse a budget that sums nothing, or both sums and counts."""
        if (self.sum is None) == (self.count is None):
            raise PydanticCustomError("budget", "name either `sum: EXPRESSION` or `count: calls`, not both")
        return self


class PolicyDocument(Section):
    """One policy file."""

    apiVersion: Literal["intended/v1"]
    policySet: Id = Field(description="The name under which decisions are traced.")
    description: Annotated[str, Field(max_length=2000)] | None = None
    warning: Sentence | None = Field(default=None, description="Printed whenever the file is loaded.")
    mappings: Annotated[tuple[MappingDocument, ...], Field(min_length=1, max_length=10 * ITEMS)] | None = None
    budgets: (
        Annotated[
            dict[Annotated[str, Field(pattern=NAME_PATTERN)], BudgetDocument],
            Field(min_length=1, max_length=100),
        ]
        | None
    ) = None
    rules: Annotated[tuple[RuleDocument, ...], Field(min_length=1, max_length=RULES)]
