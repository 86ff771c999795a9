"""Run an operator's policy cases and say what differs from what was wanted.

Owns how a case becomes a call with its facts, and the report. The judgement is the gateway's own: `classify` and
`decide` are handed in, so that a case passes here exactly if the gateway would decide so.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.core.audit.canonical import digest
from gateway.core.budgets import nothing_counted, nothing_spent
from gateway.core.call import INTENT_METHOD, Call, PinnedTool, Review, Told
from gateway.core.decision import Decision, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent, IntentContext, RiskFactor
from gateway.core.pinning import pin_tool
from gateway.core.policy.bundle import Bundle, Match
from gateway.core.policy.cases import CallDocument, CaseDocument, CaseSuite, IntentDocument
from gateway.core.principal import DEFAULT_TENANT, Principal, TrustTier
from gateway.errors import CanonicalError

__all__ = ["CaseResult", "FileReport", "Judge", "check_cases", "explain_bundle", "render", "warn_of_unfit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The gateway's own judgement, as `app.py` wires it."""

    classify: Callable[[Call, IntentContext], Intent]
    decide: Callable[[Call, Intent, Facts], Decision]
    thresholds: Callable[[TrustTier], Thresholds]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case: empty `differences` mean that it passed. `rules` are the ids of the rules that held."""

    name: str
    line: int
    differences: tuple[str, ...]
    rules: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """The results of one case file, and the rules of its bundle that no case has made hold."""

    source: str
    results: tuple[CaseResult, ...]
    rules: int
    untested: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """True where every case passed; untested rules do not count against it."""
        return not any(result.differences for result in self.results)


def check_cases(suites: Sequence[CaseSuite], judge: Judge) -> tuple[FileReport, ...]:
    """Decide every case and compare. Never raises for anything that a case can hold."""
    return tuple(_check_suite(suite, judge) for suite in suites)


def render(reports: Sequence[FileReport]) -> Iterator[str]:
    """Yield the report for people: a line per case, the differences below, the coverage of rules, the sum."""
    for report in reports:
        for result in report.results:
            verdict = "FAIL" if result.differences else "PASS"
            yield f"{verdict}  {report.source}:{result.line}  {result.name}"
            yield from (f"      {difference}" for difference in result.differences)
        hit = report.rules - len(report.untested)
        yield f"      {report.source}: {hit} of {report.rules} rules held in at least one case"
        if report.untested:
            yield f"      never held: {', '.join(report.untested)}"
    results = [result for report in reports for result in report.results]
    failed = sum(1 for result in results if result.differences)
    yield f"{len(results) - failed} passed, {failed} failed"


def explain_bundle(bundle: Bundle) -> Iterator[str]:
    """Yield what `intended check` says of policies that are sound."""
    counts: Mapping[str, int] = {
        effect: sum(1 for rule in bundle.rules if rule.matched.effect == effect)
        for effect in ("ALLOW", "ESCALATE", "DENY")
    }
    for path, sha256 in bundle.files:
        rules = sum(1 for rule in bundle.rules if rule.file == path)
        yield f"policy {path}: {rules} {'rule' if rules == 1 else 'rules'}, sha256 {sha256[:12]}"
    spread = ", ".join(f"{count} {effect.lower()}" for effect, count in counts.items())
    yield f"bundle {bundle.digest[:12]}: {spread}, {len(bundle.mappings)} mappings, {len(bundle.budgets)} budgets"
    yield from (f"warning: {warning}" for warning in bundle.warnings)


def warn_of_unfit(bundle: Bundle, listed: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield a warning for each rule and budget of tool calls that fits none of the tools listed, by upstream.

    No fault: it may be for intents, whose action is matched as a tool is, or for a tool to come.
    """
    rules = [(f"rule '{rule.matched.id}'", rule.match, rule.methods) for rule in bundle.rules]
    for what, match, methods in [*rules, *((f"budget '{one.name}'", one.match, one.methods) for one in bundle.budgets)]:
        if "tools/call" in methods and not any(_fits(match, upstream, names) for upstream, names in listed.items()):
            yield f"warning: {what} fits no tool of these upstreams: `tools` has names as a server lists them"


def _fits(match: Match, upstream: str, names: Collection[str]) -> bool:
    if match.upstreams is not None and not match.upstreams.match(upstream):
        return False
    return match.tools is None or any(match.tools.match(name) for name in names)


def _check_suite(suite: CaseSuite, judge: Judge) -> FileReport:
    results = tuple(_check_case(suite.bundle, line, case, judge) for line, case in suite.cases)
    held = frozenset().union(*(result.rules for result in results))
    ids = [rule.matched.id for rule in suite.bundle.rules]
    return FileReport(
        source=suite.source,
        results=results,
        rules=len(ids),
        untested=tuple(rule for rule in ids if rule not in held),
    )


def _check_case(bundle: Bundle, line: int, case: CaseDocument, judge: Judge) -> CaseResult:
    try:
        call = _call(case.call)
    except CanonicalError as error:
        return CaseResult(name=case.name, line=line, differences=(f"the arguments cannot be sent at all: {error}",))
    context = IntentContext(mappings=bundle.mappings, novel=case.facts.novel)
    intent = judge.classify(call, context) if case.intent is None else _intent(case.intent)
    decision = judge.decide(call, intent, _facts(bundle, case, judge))
    held = frozenset(rule for rule, outcome in decision.conditions.items() if outcome == "true")
    return CaseResult(
        name=case.name, line=line, differences=tuple(_differences(bundle, case, intent, decision, held)), rules=held
    )


def _differences(
    bundle: Bundle, case: CaseDocument, intent: Intent, decision: Decision, held: frozenset[str]
) -> Iterator[str]:
    """What is not as the case wants it; and, if anything is not, how the call was judged."""
    expect = case.expect
    known = {rule.matched.id for rule in bundle.rules}
    found = [f"the policies declare no budget '{name}'" for name in _unknown(bundle, case)]
    if decision.effect != expect.effect:
        found.append(f"expected {expect.effect}, got {decision.effect} ({decision.reason}): {decision.explanation}")
    if expect.reason is not None and decision.reason != expect.reason:
        found.append(f"expected reason {expect.reason}, got {decision.reason}")
    for rule in expect.rules or ():
        if rule not in known:
            found.append(f"expected rule '{rule}', but no rule has this id")
        elif rule not in held:
            found.append(f"expected rule '{rule}' to hold: {decision.conditions.get(rule, 'its match does not apply')}")
    yield from found
    if found:
        factors = ", ".join(factor.code for factor in intent.factors) or "none"
        rules = ", ".join(sorted(held)) or "none"
        yield f"judged as {intent.type} ({intent.effect_class}), risk {intent.risk}, factors: {factors}; held: {rules}"


def _unknown(bundle: Bundle, case: CaseDocument) -> list[str]:
    """The budgets that a case gives a value to and that there are not."""
    return sorted(case.facts.budgets.keys() - nothing_spent(bundle).keys()) + sorted(
        case.facts.counts.keys() - nothing_counted(bundle).keys()
    )


def _call(case: CallDocument) -> Call:
    name = case.tool or ""
    submitted = case.method == INTENT_METHOD
    return Call(
        method=case.method,
        upstream=case.place,
        name=name,
        uri=case.uri or "",
        arguments=case.arguments,
        arguments_digest=digest(case.arguments),
        tool=_tool(case, name) if case.method == "tools/call" else None,
        told=Told(type=case.type or "", description=case.description) if submitted else None,
    )


def _tool(case: CallDocument, name: str) -> PinnedTool:
    """The tool as its upstream would list it; a case need not repeat a schema that does not matter to it."""
    definition = {"inputSchema": {"type": "object"}, **case.definition, "name": name}
    return replace(pin_tool(case.place, definition), review=Review(case.review))


def _intent(case: IntentDocument) -> Intent:
    return Intent(
        type=case.type,
        domain=case.domain,
        effect_class=case.effect,
        confidence=case.confidence,
        evidence=(),
        risk=case.risk,
        factors=tuple(RiskFactor(code=code, points=0, evidence="given by the case") for code in case.factors),
    )


def _facts(bundle: Bundle, case: CaseDocument, judge: Judge) -> Facts:
    tier = TrustTier[case.agent.tier]
    return Facts(
        principal=Principal(tenant=DEFAULT_TENANT, agent=case.agent.id, credential="case"),
        tier=tier,
        score=case.agent.score,
        thresholds=judge.thresholds(tier),
        bundle=bundle,
        now=case.facts.now,
        novel=case.facts.novel,
        session=case.facts.session,
        budgets=nothing_spent(bundle) | {name: float(spent) for name, spent in case.facts.budgets.items()},
        counts=nothing_counted(bundle) | case.facts.counts,
        failures_in_row=case.facts.failures_in_row,
    )
