"""What is asked: one gated call, the definition of the tool it refers to, and their digests.

A call is any message that an intent is made of: a tool call, a resource read, a prompt, or what an upstream asks of
the agent. Names and URIs are the upstream's own, never the gateway's prefixed ones (design, section 4).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.core.jsonvalue import JsonObject
from gateway.core.schema import ArgumentSchema
from gateway.core.value import value

__all__ = ["INTENT_METHOD", "MAX_ACTION_CHARS", "Call", "Era", "HeaderMark", "PinnedTool", "Review", "Told"]

INTENT_METHOD = "intent"
"""The method of a call that no MCP message is: an intent that a program submits by REST, to be told yes or no."""

MAX_ACTION_CHARS = 512
"""Of an action so much is the call's name, as entries and policies see it; a longer one is classified as unknown."""


class Era(StrEnum):
    """The two generations of MCP: with an `initialize` handshake and session, and stateless per request."""

    HANDSHAKE = "handshake"
    MODERN = "modern"


class Review(StrEnum):
    """What an operator has said about a tool's definition as it is now."""

    UNREVIEWED = "unreviewed"
    CHANGED = "changed"
    """Known under another definition before; the new one is unreviewed and raises risk."""
    REVIEWED = "reviewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderMark:
    """One property that a header repeats (`x-mcp-header`). `path` is the chain of property names from the root."""

    path: tuple[str, ...]
    header: str
    integer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedTool:
    """A tool's definition as an upstream last listed it, under the digest that stands for it.

    `pin` is the lower-case hex SHA-256 of the RFC 8785 form of `definition`.
    `schema` is the compiled input schema. Where it is None the tool is withheld, and `schema_problem` says why.
    `header_marks` are read once, when the tool is pinned; a text says why they cannot be used.
    """

    upstream: str
    name: str
    pin: str
    definition: JsonObject
    review: Review = Review.UNREVIEWED
    schema: ArgumentSchema | None = field(default=None, compare=False, repr=False)
    schema_problem: str = ""
    header_marks: tuple[HeaderMark, ...] | str = field(default="its header marks were not read", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a program says of the intent that it submits, beside the action and its arguments. It can only raise.

    `type` is the intent type that it declares, empty where it does not. `action` is the whole text where the call's
    name is only its beginning, else empty.
    """

    type: str = ""
    action: str = ""
    description: str = ""
    justification: str = ""


@value
class Call:
    """One message that needs a decision, as the single strict parse read it.

    `arguments` is the very object that is evaluated, digested, stored and forwarded. For methods other than
    `tools/call` it holds what the message carries to the other side (a prompt's arguments, a sampling request's
    params); it is empty for a resource read.
    An intent that a program submits (`INTENT_METHOD`) has its system in `upstream`, its action in `name`, its params in
    `arguments`, and what else it says in `told`.
    `name` is a tool's or prompt's own name, `uri` a resource's; the one that does not apply is empty.
    `arguments_digest` is the lower-case hex SHA-256 of the RFC 8785 form of `arguments`.
    `answers` are those to questions of an earlier round (`inputResponses`): they go to the upstream like arguments,
    so they are looked at and recorded like them.
    """

    method: str
    upstream: str
    name: str
    uri: str
    arguments: JsonObject
    arguments_digest: str
    tool: PinnedTool | None = None
    answers: JsonObject = field(default_factory=dict)
    told: Told | None = None

    @property
    def action(self) -> str:
        """The whole action of a submitted intent."""
        return (self.told.action if self.told is not None else "") or self.name

    @property
    def target(self) -> str:
        """What the call is aimed at, for people: the tool, prompt or resource by its own name, else the method."""
        return self.name or self.uri or self.method
