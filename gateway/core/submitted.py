"""A submission → the call that is decided, or everything that keeps it from being one.

Pure. Owns the bounds of what a program may say, and under which names the dialects say it. What a submission is, is
`core/submission.py`; what its words mean, `core/intent/text.py`.
"""

from collections.abc import Iterator
from typing import Final

from gateway.core.audit.canonical import digest
from gateway.core.call import INTENT_METHOD, MAX_ACTION_CHARS, Call, Told
from gateway.core.intent.taxonomy import Taxonomy
from gateway.core.intent.text import declarable
from gateway.core.submission import Submission
from gateway.errors import CanonicalError, FieldProblem

__all__ = ["MAX_TEXT_CHARS", "MAX_WORD_CHARS", "agent_field", "body_digest", "call_of", "is_text", "problems_of"]

MAX_TEXT_CHARS: Final = 4096
"""Of a description, a justification, a rationale, and the error of an outcome."""

MAX_WORD_CHARS: Final = 256
"""Of a system and an idempotency key, and of a type in Ops."""


def problems_of(submission: Submission, taxonomy: Taxonomy) -> Iterator[FieldProblem]:
    """Yield everything that keeps a submission from being decided at all.

    In Ops, which declares a domain, the type must be known and of that domain; in Ref it is then one more text.
    """
    closed = bool(submission.domain)
    action = "type" if closed else "action"
    for field, text in ((agent_field(submission), submission.agent), (action, submission.action)):
        if not text.strip() or not is_text(text, len(text)):
            yield FieldProblem(path=(field,), message="must be a text that is not empty")
    for field, text, most in (
        ("system", submission.system, MAX_WORD_CHARS),
        ("idempotencyKey", submission.idempotency_key, MAX_WORD_CHARS),
        ("description", submission.description, MAX_TEXT_CHARS),
        ("justification", submission.justification, MAX_TEXT_CHARS),
        (action, submission.declared_type, MAX_TEXT_CHARS),
    ):
        if not is_text(text, most):
            yield FieldProblem(path=(field,), message=f"must be a text of at most {most} characters")
    try:
        digest(submission.params)
    except CanonicalError as error:
        yield FieldProblem(path=("params" if closed else "metadata",), message=f"has no canonical form: {error}")
    if closed:
        yield from _undeclarable(submission, taxonomy)


def call_of(submission: Submission) -> Call:
    """Return the submission as a call. Raises CanonicalError where its params have no canonical form."""
    action = submission.action
    return Call(
        method=INTENT_METHOD,
        upstream=submission.system,
        name=action[:MAX_ACTION_CHARS],
        uri="",
        arguments=submission.params,
        arguments_digest=digest(submission.params),
        told=Told(
            type=submission.declared_type,
            action=action if len(action) > MAX_ACTION_CHARS else "",
            description=submission.description,
            justification=submission.justification,
        ),
    )


def body_digest(submission: Submission) -> str:
    """Return the digest of everything that a body says, but its idempotency key."""
    return digest(
        {
            "agent": submission.agent,
            "action": submission.action,
            "type": submission.declared_type,
            "domain": submission.domain,
            "system": submission.system,
            "params": submission.params,
            "description": submission.description,
            "justification": submission.justification,
        }
    )


def agent_field(submission: Submission) -> str:
    """Return what the dialect calls the agent."""
    return "agentId" if submission.domain else "actor"


def is_text(text: str, most: int) -> bool:
    """Return True where the text can be recorded: JSON may carry halves of characters, Unicode does not."""
    return len(text) <= most and not any("\ud800" <= char <= "\udfff" for char in text)


def _undeclarable(submission: Submission, taxonomy: Taxonomy) -> Iterator[FieldProblem]:
    """Say what is wrong with a type that is declared with its domain."""
    named = declarable(submission.declared_type, taxonomy)
    if named is None:
        yield FieldProblem(path=("type",), message="is not an intent type of the taxonomy")
    if submission.domain not in taxonomy.by_domain:
        yield FieldProblem(path=("domain",), message="is not a domain of the taxonomy")
    elif named is not None and named.domain != submission.domain:
        yield FieldProblem(path=("type",), message=f"is of the domain '{named.domain}', not of the one that is named")
