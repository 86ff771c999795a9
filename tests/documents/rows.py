"""Every code block and table row of the two published documents, and the test that shows it works.

The documents lie word for word in `tests/fixtures/documents/`; lines count from 1. A row names its test, or the part of
the product that it waits for; `test_rows.py` holds the table to the documents and to the tests. What no row covers is
prose: `python -m tests.documents.rows` prints it, for whoever wants to look whether something was passed over, and
writes `docs/documents.md`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "fixtures" / "documents"
OPS, REF = "ops_guide", "api_reference"

ENDPOINT = r"([A-Z]+)((?:/:?[a-z-]+(?:Id)?)+)"
"""The columns of the reference's tables run into each other."""
STATUS_AND_CODE = (
    r"(\d{3})"
    r"(INVALID_INTENT|UNAUTHORIZED|FORBIDDEN|NOT_FOUND|CONFLICT|RATE_LIMITED|INTERNAL_ERROR|SERVICE_UNAVAILABLE)"
)

HERE = "tests/documents/"
CURL = HERE + "test_curl.py::test_the_line_runs_as_written"
SHAPES = HERE + "test_shapes.py::"
TYPESCRIPT = "tests/clients/test_documents_typescript.py::"
WEBHOOKS = HERE + "test_webhooks.py::"
METRICS = HERE + "test_metrics.py::"
PYTHON = HERE + "test_python.py::"
UNFORESEEN = "tests/api/test_operation.py::test_what_a_use_case_raises_is_answered_in_the_dialect"
FRAMEWORKS = "tests/clients/test_frameworks.py::"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One code block or table row. `test` is `file::function`; exactly one of `test`, `waits` and `outside` is set."""

    id: str
    document: str
    first: int
    last: int
    test: str = ""
    waits: str = ""
    outside: str = ""

    @property
    def text(self) -> str:
        """What the document says there."""
        return "\n".join(lines(self.document)[self.first - 1 : self.last])


def lines(document: str) -> list[str]:
    """Return the lines of a document."""
    return (FOLDER / f"{document}.txt").read_text("utf-8").splitlines()


def block(id_: str, document: str, first: int, last: int, **where: str) -> Iterator[Row]:
    """One row of several lines."""
    yield Row(id=id_, document=document, first=first, last=last, **where)


def table(prefix: str, document: str, first: int, last: int, *, name: str = r"\W*(\S+)", **where: str) -> Iterator[Row]:
    """A row for each line, named after what `name` finds at its beginning."""
    for number in range(first, last + 1):
        found = re.match(name, lines(document)[number - 1])
        if found is None:
            raise ValueError(f"{document}, line {number} is no row of {prefix}")
        words = "-".join(found.groups()).replace(" ", "-")
        yield Row(id=f"{prefix}/{words}", document=document, first=number, last=number, **where)


def _ops() -> Iterator[Row]:
    yield from block("key-format", OPS, 31, 33, test=SHAPES + "test_a_key_of_the_guide_names_its_tenant")
    yield from block("curl/key-in-header", OPS, 41, 42, test=CURL)
    yield from block("curl/separate-tenant", OPS, 48, 50, test=CURL)
    yield from block("curl/health", OPS, 65, 65, test=CURL)
    yield from block("answer/health", OPS, 69, 74, test=SHAPES + "test_an_answer_has_the_shape_of_the_example")
    yield from block("curl/stats", OPS, 78, 79, test=CURL)
    yield from block("answer/stats", OPS, 83, 90, test=SHAPES + "test_an_answer_has_the_shape_of_the_example")
    yield from block("curl/register-agent", OPS, 94, 103, test=CURL)
    yield from block("curl/submit-intent", OPS, 107, 121, test=CURL)
    yield from block("answer/submit-intent", OPS, 125, 131, test=SHAPES + "test_an_answer_has_the_shape_of_the_example")
    yield from table("domain", OPS, 140, 146, test=SHAPES + "test_a_domain_of_the_guide_takes_intents")
    for first, last in ((151, 160), (165, 174), (179, 188), (193, 202), (207, 216), (221, 230), (235, 249)):
        yield from table(
            "intent-type", OPS, first, last, test=SHAPES + "test_an_intent_type_is_taken_and_has_its_value"
        )
    yield from block("curl/sales-create-opportunity", OPS, 255, 271, test=CURL)
    yield from block("curl/compliance-process-dsar", OPS, 275, 290, test=CURL)
    yield from block("curl/identity-initiate-access-review", OPS, 294, 309, test=CURL)
    yield from block("curl/contracts-send-for-signature", OPS, 313, 331, test=CURL)
    yield from table("metric", OPS, 340, 356, test=METRICS + "test_a_metric_of_the_guide_is_exported_as_what_it_is")
    yield from table("label", OPS, 363, 368, test=METRICS + "test_a_label_of_the_guide_is_on_its_metrics")
    yield from block("code/metrics", OPS, 372, 398, test=METRICS + "test_using_metrics_in_code")
    yield from block("code/collector", OPS, 404, 427, test=METRICS + "test_a_custom_metrics_collector")
    yield from block("answer/error", OPS, 435, 441, test=SHAPES + "test_an_error_has_the_shape_of_the_guide")
    yield from table("error", OPS, 446, 452, test=SHAPES + "test_an_error_code_of_the_guide_is_answered")
    yield from table("error", OPS, 453, 453, test=UNFORESEEN)
    yield from block("answer/validation-error", OPS, 459, 474, test=SHAPES + "test_the_validation_error_of_the_guide")
    yield from block("typescript/submit-intent", OPS, 480, 509, test=TYPESCRIPT + "test_the_guides_function_runs")
    yield from block("python/submit-intent", OPS, 513, 541, test=PYTHON + "test_the_guides_function_runs_as_written")
    yield from table(
        "limit", OPS, 547, 548, name=r"\W*(\w+ \w+)", test=SHAPES + "test_a_thousand_requests_a_minute_and_then_none"
    )
    yield from block(
        "answer/rate-limit", OPS, 554, 559, test=SHAPES + "test_a_thousand_requests_a_minute_and_then_none"
    )
    yield from block("typescript/retry", OPS, 564, 583, test=TYPESCRIPT + "test_the_guides_retry_gets_through_a_limit")
    yield from block("answer/webhook", OPS, 607, 618, test=WEBHOOKS + "test_the_body_of_the_documents")
    yield from table("webhook-event", OPS, 623, 629, test=WEBHOOKS + "test_an_event_of_the_documents_arrives")
    yield from block(
        "code/verify-webhook",
        OPS,
        635,
        667,
        test="tests/clients/test_documents_webhooks.py::test_the_guides_receiver_runs_as_written",
    )
    yield from block("curl/list-intents", OPS, 675, 676, test=CURL)
    yield from block("curl/pending-approvals", OPS, 680, 681, test=CURL)
    yield from block("curl/approve", OPS, 685, 687, test=CURL)
    yield from block("curl/reject", OPS, 691, 695, test=CURL)
    yield from block("curl/verify-audit", OPS, 699, 700, test=CURL)
    yield from block("typescript/client", OPS, 706, 894, test=TYPESCRIPT + "test_the_guides_client_runs_as_written")
    yield from block("python/client", OPS, 900, 1069, test=PYTHON + "test_the_guides_client_runs_as_written")


def _ref() -> Iterator[Row]:
    yield from block(
        "header/bearer", REF, 17, 17, test=SHAPES + "test_a_credential_goes_in_the_header_of_the_reference"
    )
    yield from block("header/key", REF, 21, 21, test=SHAPES + "test_a_credential_goes_in_the_header_of_the_reference")
    yield from block(
        "header/session", REF, 27, 27, test=SHAPES + "test_a_credential_goes_in_the_header_of_the_reference"
    )
    yield from block("header/tenant", REF, 33, 33, test=SHAPES + "test_another_tenants_header_is_refused")
    yield from block("curl/intent", REF, 36, 48, test=CURL)
    for first, last in ((57, 58), (63, 65), (69, 70), (74, 75), (79, 79)):
        yield from table(
            "endpoint", REF, first, last, name=ENDPOINT, test=SHAPES + "test_an_endpoint_of_the_reference_answers"
        )
    yield from table(
        "endpoint", REF, 59, 59, name=ENDPOINT, test=HERE + "test_evidence.py::test_a_bundle_is_downloaded_and_checked"
    )
    yield from block("body/intent", REF, 86, 94, test=SHAPES + "test_the_decision_of_the_reference")
    yield from block("answer/decision", REF, 97, 108, test=SHAPES + "test_the_decision_of_the_reference")
    yield from block("npm/gateway", REF, 117, 117, outside="npm packages")
    yield from block("embed", REF, 120, 128, test=PYTHON + "test_the_five_lines_of_the_gateway_in_python")
    yield from block(
        "pip/intended", REF, 141, 141, test="tests/clients/test_published_client.py::test_it_is_the_published_one"
    )
    yield from block("python/quick-start", REF, 144, 154, test=PYTHON + "test_the_quick_start_runs_as_written")
    yield from block("python/langchain", REF, 162, 178, test=FRAMEWORKS + "test_the_langchain_snippet_runs_as_written")
    yield from block(
        "python/pydantic-ai", REF, 186, 202, test=FRAMEWORKS + "test_the_pydantic_ai_snippet_runs_as_written"
    )
    yield from block("sdk/typescript", REF, 209, 213, outside="npm packages")
    yield from block("sdk/python", REF, 215, 219, test=PYTHON + "test_the_quick_start_runs_as_written")
    yield from block("sdk/gateway", REF, 221, 225, test=PYTHON + "test_the_five_lines_of_the_gateway_in_python")
    yield from block("sdk/go", REF, 227, 229, outside="Go packages")
    yield from table("plan", REF, 236, 239, name=r"([A-Z][a-z]+)", test=SHAPES + "test_a_plan_has_its_limit")
    yield from block("answer/error", REF, 246, 250, test=SHAPES + "test_an_error_has_the_shape_of_the_reference")
    for first, last in ((253, 258), (260, 260)):
        where = (
            "test_what_is_missing_is_never_allowed"
            if first == 260
            else "test_an_error_code_of_the_reference_is_answered"
        )
        yield from table("error", REF, first, last, name=STATUS_AND_CODE, test=SHAPES + where)
    yield from table("error", REF, 259, 259, name=STATUS_AND_CODE, test=UNFORESEEN)
    yield from table(
        "webhook-event",
        REF,
        268,
        272,
        name=r"\W*([a-z.]+)",
        test=WEBHOOKS + "test_an_event_of_the_documents_arrives",
    )
    yield from block("answer/webhook", REF, 279, 286, test=WEBHOOKS + "test_the_body_of_the_documents")
    yield from block(
        "fact/latency", REF, 291, 295, test="tests/benchmarks/test_decisions.py::test_the_benchmark_prints_both_figures"
    )
    yield from block("fact/tokens", REF, 297, 301, test=SHAPES + "test_a_token_is_signed_as_the_reference_says")
    yield from block("fact/limits", REF, 303, 307, test=SHAPES + "test_a_plan_has_its_limit")
    yield from block("fact/fail-closed", REF, 309, 313, test=SHAPES + "test_what_is_missing_is_never_allowed")


ROWS: tuple[Row, ...] = (*_ops(), *_ref())


def rows_of(test: str) -> list[Row]:
    """Return the rows that a test (`file::function`) is named by."""
    return [row for row in ROWS if row.test.endswith(test)]


def prose(document: str) -> list[str]:
    """Return the lines that no row covers, with their numbers."""
    covered = {n for row in ROWS if row.document == document for n in range(row.first, row.last + 1)}
    return [f"{n}: {text}" for n, text in enumerate(lines(document), 1) if text.strip() and n not in covered]


def page() -> str:
    """Return docs/documents.md as it should be."""
    titles = {OPS: "IntendedOps API guide", REF: "Intended API reference"}
    out = [
        "# What the two published documents show, and the test of each",
        "",
        "Generated from `tests/documents/rows.py` by `python -m tests.documents.rows`.",
        "",
        "Every code block and table row has its test, or waits for a part of the product that is not there yet.",
        "Lines are those of the copies in `tests/fixtures/documents/`.",
    ]
    for document, title in titles.items():
        out += ["", f"## {title}", "", "| row | lines | test |", "| --- | --- | --- |"]
        for row in (row for row in ROWS if row.document == document):
            where = (
                f"`{row.test}`" if row.test else f"waits for {row.waits}" if row.waits else f"no part: {row.outside}"
            )
            place = f"{row.first}" if row.first == row.last else f"{row.first} to {row.last}"
            out.append(f"| {row.id} | {place} | {where} |")
    return "\n".join([*out, ""])


PAGE = Path(__file__).parents[2] / "docs" / "documents.md"

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    for name in (OPS, REF):
        print(f"# prose of {name}", *prose(name), sep="\n")
