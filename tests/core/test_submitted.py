"""A submission becomes the call that is decided, or is refused with every reason why not."""

from dataclasses import replace

import pytest

from gateway.core.audit.canonical import digest
from gateway.core.call import MAX_ACTION_CHARS
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.submission import Submission
from gateway.core.submitted import MAX_TEXT_CHARS, MAX_WORD_CHARS, body_digest, call_of, problems_of

REF = Submission(agent="github-actions", action="deploy to production", system="github", params={"repo": "acme/shop"})
OPS = Submission(
    agent="billing-agent",
    action="billing.send_invoice",
    declared_type="billing.send_invoice",
    domain="billing",
    params={"amount": 99.99},
    description="Send it",
    justification="it is due",
)


def paths(submission: Submission) -> list[str]:
    return [".".join(map(str, one.path)) for one in problems_of(submission, TAXONOMY)]


def test_the_documents_own_submissions_are_fine() -> None:
    """Both dialects' first examples."""
    assert paths(REF) == paths(OPS) == []


@pytest.mark.parametrize(
    ("submission", "fields"),
    [
        (replace(REF, action=" ", agent=""), ["actor", "action"]),
        (replace(REF, action="\ud800"), ["action"]),
        (replace(REF, system="x" * (MAX_WORD_CHARS + 1)), ["system"]),
        (replace(REF, idempotency_key="\udfff"), ["idempotencyKey"]),
        (replace(REF, params={"a": 2**60}), ["metadata"]),
        (replace(REF, declared_type="x" * (MAX_TEXT_CHARS + 1)), ["action"]),
        (replace(OPS, params={"a": float("nan")}), ["params"]),
        (replace(OPS, agent="", action=""), ["agentId", "type"]),
        (
            replace(OPS, description="x" * (MAX_TEXT_CHARS + 1), justification="\ud800"),
            ["description", "justification"],
        ),
        (replace(OPS, declared_type="billing.nonsense"), ["type"]),
        (replace(OPS, declared_type="unknown", domain="unknown"), ["type"]),
        (replace(OPS, declared_type="mcp.sampling", domain="mcp"), ["type"]),
        (replace(OPS, domain="biling"), ["domain"]),
        (replace(OPS, domain="sales"), ["type"]),
        (replace(OPS, declared_type="x", domain="y"), ["type", "domain"]),
    ],
)
def test_every_field_that_cannot_be_used_is_named_as_its_dialect_has_it(
    submission: Submission, fields: list[str]
) -> None:
    """A program mends all of them at once."""
    assert paths(submission) == fields


def test_what_ref_cannot_classify_is_no_problem() -> None:
    """The contract: it is decided, as unknown."""
    assert paths(replace(REF, action="frobnicate", declared_type="frob.nicate")) == []
    assert paths(replace(REF, action="x" * 100_000)) == []


def test_a_submission_is_one_call() -> None:
    """System, action and params stand where upstream, tool and arguments do."""
    call = call_of(OPS)
    assert (call.method, call.upstream, call.name) == ("intent", "", "billing.send_invoice")
    assert call.arguments_digest == digest({"amount": 99.99})
    assert call.told is not None
    assert (call.told.type, call.told.description, call.told.justification) == (
        "billing.send_invoice",
        "Send it",
        "it is due",
    )
    long = call_of(replace(REF, action="x" * 600))
    assert (len(long.name), len(long.action)) == (MAX_ACTION_CHARS, 600)
    assert call_of(REF).action == "deploy to production"


@pytest.mark.parametrize(
    "change",
    [
        {"agent": "x"},
        {"action": "x"},
        {"declared_type": "x"},
        {"domain": "x"},
        {"system": "x"},
        {"params": {}},
        {"description": "x"},
        {"justification": "x"},
    ],
)
def test_another_body_has_another_digest_and_the_key_is_no_part_of_it(change: dict[str, object]) -> None:
    """The same key with another body is a mistake that must not be answered with somebody else's intent."""
    assert body_digest(replace(REF, **change)) != body_digest(REF)  # type: ignore[arg-type]
    assert body_digest(replace(REF, idempotency_key="k")) == body_digest(REF)
