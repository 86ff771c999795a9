"""The classifier against real servers' tools, labelled by somebody else (tests/golden/corpus/README.md).

The word lists were written against the servers named here. The others were held out: of them only the dangerous calls
that were allowed (eleven at the first look) were shown to whoever wrote the lists, not how their tools are classified.
Both halves are printed and both must hold.
The eight servers of ADDED were held out until their labels stood; at that first look 290 of 318 effect classes were
right and one dangerous call of 137 was allowed. What was mended for them is general, but they are held out no more.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.core.call import Call
from gateway.core.decide import decide
from gateway.core.decision import Decision, Effect, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.classify import classify
from gateway.core.intent.model import Intent, IntentContext
from gateway.core.pinning import pin_tool
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import Principal, TrustTier
from gateway.policyfiles.files import load_bundle
from gateway.policyfiles.shipped import shipped_policy
from gateway.settings import DEFAULT_THRESHOLDS

CORPUS = Path(__file__).parents[2] / "golden" / "corpus"
SERVERS = sorted(path.stem for path in (CORPUS / "labels").glob("*.json"))
DEVELOPED_AGAINST = {
    "airtable", "brave-search", "cloudflare", "context7", "desktop-commander", "email", "everything", "fetch",
    "firecrawl",
    "github", "gmail", "google-maps", "hubspot", "memory", "netlify", "playwright", "puppeteer", "shopify-dev",
    "sqlite",
    "stripe", "xero",
}  # fmt: skip
ADDED = {
    "alpaca", "atlassian", "clickhouse", "excel", "jenkins", "launchdarkly", "n8n", "obsidian",
}  # fmt: skip
HALVES = {
    "developed against": [server for server in SERVERS if server in DEVELOPED_AGAINST | ADDED],
    "held out": [server for server in SERVERS if server not in DEVELOPED_AGAINST | ADDED],
}
LEAST_ACCURACY = {"developed against": 0.88, "held out": 0.88}
LEAST_USEFULNESS = 0.85
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Labelled:
    """One tool of one server with its label."""

    server: str
    definition: dict[str, Any]
    label: dict[str, Any]

    def judged(self, arguments: dict[str, Any]) -> tuple[Call, Intent]:
        name = self.definition["name"]
        call = Call(
            method="tools/call",
            upstream=self.server,
            name=name,
            uri="",
            arguments=arguments,
            arguments_digest="",
            tool=pin_tool(self.server, self.definition),
        )
        return call, classify(call, IntentContext())

    def decided(self, arguments: dict[str, Any]) -> Decision:
        call, intent = self.judged(arguments)
        return decide(call, intent, facts())

    def __str__(self) -> str:
        return f"{self.server} {self.definition['name']}"


@cache
def bundle() -> Bundle:
    return load_bundle(shipped_policy("default"))


@cache
def facts() -> Facts:
    lowest = DEFAULT_THRESHOLDS[TrustTier.T0]
    return Facts(
        principal=Principal(tenant="default", agent="local", credential="keyless"),
        tier=TrustTier.T0,
        score=0,
        thresholds=Thresholds(allow_below=lowest.allow_below, deny_from=lowest.deny_from),
        bundle=bundle(),
        now=NOON,
        novel=True,
    )


def tools(servers: list[str]) -> Iterator[Labelled]:
    for server in servers:
        labels = json.loads((CORPUS / "labels" / f"{server}.json").read_text())
        for definition in json.loads((CORPUS / f"{server}.json").read_text())["tools"]:
            yield Labelled(server, definition, labels[definition["name"]])


@pytest.mark.parametrize("half", HALVES)
def test_the_effect_class_is_right_for_most_real_tools(half: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The issue asks for the accuracy to be printed; it may not fall by more than two points unnoticed."""
    confusion = Counter((tool.label["effect"], tool.judged({})[1].effect_class.value) for tool in tools(HALVES[half]))
    right = sum(count for (wanted, got), count in confusion.items() if wanted == got)
    accuracy = right / confusion.total()
    with capsys.disabled():
        print(f"\neffect class, {half}: {right} of {confusion.total()} right, {accuracy:.1%}")
        for (wanted, got), count in sorted(confusion.items()):
            if wanted != got:
                print(f"  labelled {wanted}, judged {got}: {count}")
    assert accuracy >= LEAST_ACCURACY[half]


def test_no_dangerous_call_is_allowed_at_the_lowest_tier_without_a_human(capsys: pytest.CaptureFixture[str]) -> None:
    """The issue's ceiling: zero, under the shipped default policy."""
    calls = [(tool, each) for tool in tools(SERVERS) for each in tool.label["dangerous_calls"]]
    outcomes = [(str(tool), each["why"], tool.decided(each["arguments"]).effect) for tool, each in calls]
    counts = Counter(effect for _, _, effect in outcomes)
    with capsys.disabled():
        print(f"\ndangerous calls at T0: {dict(sorted(counts.items()))} of {len(calls)}")
    assert [row for row in outcomes if row[2] is Effect.ALLOW] == []


def test_most_ordinary_reads_are_allowed_at_the_lowest_tier(capsys: pytest.CaptureFixture[str]) -> None:
    """A gate that stops ordinary reads is switched off."""
    reads = [
        (tool, each)
        for tool in tools(SERVERS)
        if tool.label["effect"] == "read"
        for each in tool.label["ordinary_calls"]
    ]
    allowed = sum(tool.decided(each["arguments"]).effect is Effect.ALLOW for tool, each in reads)
    with capsys.disabled():
        print(f"\nordinary reads allowed at T0: {allowed} of {len(reads)}, {allowed / len(reads):.1%}")
    assert allowed / len(reads) >= LEAST_USEFULNESS


def test_no_ordinary_write_is_denied_outright(capsys: pytest.CaptureFixture[str]) -> None:
    """An ordinary write of a new agent waits for a human; denying it would leave no way forward."""
    writes = [
        (tool, each)
        for tool in tools(SERVERS)
        if tool.label["effect"] == "write"
        for each in tool.label["ordinary_calls"]
    ]
    denied = [str(tool) for tool, each in writes if tool.decided(each["arguments"]).effect is Effect.DENY]
    with capsys.disabled():
        print(f"\nordinary writes denied at T0: {len(denied)} of {len(writes)}")
    assert denied == []


def test_stripping_the_annotations_never_makes_a_call_look_riskier_than_honest_ones() -> None:
    """Annotations only raise: without them no tool of the corpus may weigh more than with them."""
    for tool in tools(SERVERS):
        bare = {key: value for key, value in tool.definition.items() if key != "annotations"}
        assert Labelled(tool.server, bare, tool.label).judged({})[1].risk <= tool.judged({})[1].risk
