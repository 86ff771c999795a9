"""Dangerous calls in unusual spellings, under the shipped default policy at the lowest tier: none is allowed.

Two thirds of the list were written before the classifier was read, the rest after its first results were seen. What it
holds as a known limit is allowed today and is there so that the day on which it changes shows.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.judging import bundle_of, principal
from gateway.core.decision import Effect
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.principal import TrustTier
from gateway.services.explain import Question, explain
from gateway.settings import Settings
from gateway.telemetry.clock import SystemClock

CALLS = json.loads((Path(__file__).parent / "evasion.json").read_text())
SETTINGS = Settings()
BUNDLE = bundle_of(SETTINGS)
READ_ONLY = {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}

HARMLESS: list[tuple[str, dict[str, Any]]] = [
    ("read_file", {"path": "notes/2026/plan.md"}),
    ("read_file", {"path": "/workspace/src/{id}/page.tsx"}),
    ("list_files", {"path": "src", "pattern": "**/*.py"}),
    ("search_files", {"pattern": "/*.md"}),
    ("read_multiple_files", {"paths": ["a.txt", "docs/b.txt"]}),
    ("get_items", {"tags": ["windows", "linux"], "page": 1, "limit": 1}),
    ("get_item", {"id": "5e8ff9bf55ba3508199d22e984129be6"}),
    ("get_item", {"id": "dGhpcw", "cursor": "eyJwYWdlIjoyfQ=="}),
    ("get_commit", {"sha": "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"}),
    ("search", {"query": "how to drop a table in SQL & keep its rows; drop or truncate?"}),
    ("search", {"query": "it's 5 o'clock and she's 'in' or out"}),
    ("query", {"sql": "SELECT name, count(*) FROM notes WHERE title = 'it''s -- fine' GROUP BY name"}),
    ("query", {"sql": "SELECT json_remove(a, '$.x'), truncate(1.5, 1) FROM t -- a comment"}),
    ("fetch", {"url": "https://example.com/docs/delete?page=1"}),
    ("fetch", {"url": "https://api.github.com/repos/o/r/issues?q=is%3Aopen"}),
    ("get_weather", {"city": "S\u00e3o Paulo", "units": "metric", "days": 1}),
    ("list_events", {"then": "2026-01-01", "on": "2026-01-02", "calendar": "home"}),
    ("read_page", {"text": "a \u2215 b"}),
    ("resolve_library_id", {"name": "react"}),
    ("get_token_price", {"symbol": "ETH"}),
    ("place_details", {"id": "ChIJ"}),
    ("get_environments", {"project": "shop"}),
    ("search", {"filter": '{"status": "open", "labels": ["bug"]}'}),
    ("get_flows", {"action": {"name": "list"}}),
    ("query", {"sql": "TABLE users"}),
    ("fetch", {"url": "https://example.com/design/tokens.html"}),
]
"""What ordinary agents ask all day: a list of refusals alone would be passed by refusing everything."""


def decided(
    tool: str,
    arguments: dict[str, Any],
    annotations: dict[str, Any] | None = None,
    *,
    tier: TrustTier = TrustTier.T0,
    method: str = "tools/call",
    uri: str = "",
) -> Effect:
    definition = {"name": tool, "inputSchema": {"type": "object"}} | (
        {"annotations": annotations} if annotations else {}
    )
    question = Question(
        principal=principal("local"),
        tier=tier,
        method=method,
        upstream="default",
        name=tool,
        uri=uri,
        arguments=arguments,
        definition=definition if tool else None,
        novel=False,
    )
    caps = SETTINGS.tiers.threshold(tier)
    return explain(question, bundle=BUNDLE, thresholds=caps, taxonomy=TAXONOMY, clock=SystemClock()).decision.effect


def test_the_list_is_long_and_says_why() -> None:
    """A short list proves little."""
    assert len(CALLS) > 500
    assert all(row["why"] and row["expected"] in ("not ALLOW", "ALLOW") for row in CALLS)
    assert sum(row["expected"] == "ALLOW" for row in CALLS) <= 4


@pytest.mark.parametrize("row", CALLS, ids=[f"{n}-{row['call']['tool']!a}"[:40] for n, row in enumerate(CALLS)])
def test_no_dangerous_call_is_allowed_by_its_spelling(row: dict[str, Any]) -> None:
    """A new agent under the default policy must not get it without a human, however it is written."""
    call = row["call"]
    found = decided(call["tool"], call["arguments"], READ_ONLY if call.get("readOnlyHint") else None)
    assert (found is Effect.ALLOW) is (row["expected"] == "ALLOW"), row["why"]


@pytest.mark.parametrize(("tool", "arguments"), HARMLESS)
def test_ordinary_reading_is_still_allowed(tool: str, arguments: dict[str, Any]) -> None:
    """A gate that stops everything is switched off by the second day."""
    assert decided(tool, arguments, READ_ONLY) is Effect.ALLOW


PADDING = "./" * 40_000
PADDED: list[dict[str, Any]] = [
    {"tool": "read_file", "arguments": {"path": f"/{PADDING}etc/passwd"}},
    {"tool": "query", "arguments": {"sql": f"SELECT 1{' ' * 70_000}; DROP TABLE users"}},
    {"tool": "search", "arguments": {"a": ["x" * 60_000] * 5, "query": "x", "z": "/etc/shadow"}},
    {"tool": "search", "arguments": {"filter": json.dumps({"pad": [1] * 3_000, "path": "/etc/shadow"})}},
    {"tool": "", "arguments": {}, "method": "resources/read", "uri": f"file:///{PADDING}etc/passwd"},
    {"tool": "summarise", "arguments": {"file": f"/{PADDING}etc/passwd"}, "method": "prompts/get"},
]


@pytest.mark.parametrize("row", PADDED, ids=[row.get("method", row["tool"]) for row in PADDED])
@pytest.mark.parametrize("tier", [TrustTier.T0, TrustTier.T2, TrustTier.T4])
def test_padding_hides_nothing_from_a_human(row: dict[str, Any], tier: TrustTier) -> None:
    """What is too long to be looked at may not pass as harmless, whoever has earned whatever trust."""
    assert decided(**row, tier=tier) is not Effect.ALLOW
