"""`intended eval`: the gateway's own judgement, explained, with nothing recorded or called."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app

POLICY = """\
apiVersion: intended/v1
policySet: trial
budgets:
  spent: {sum: args.amount, per: agent, window: 1d, match: {tools: [pay]}}
  calls: {count: calls, per: agent, window: 1h}
rules:
  - id: reads
    effect: allow
    match: {tools: [notes.read]}
    reason: Reading is fine.
  - id: etc
    effect: deny
    when: has(args.path) && string(args.path).startsWith('/etc/')
  - id: money
    effect: escalate
    match: {tools: [pay]}
    when: budget.spent < 10.0 && count.calls < 3
  - id: new
    effect: escalate
    match: {tools: [press]}
    when: call.first_use || agent.failures_in_row > 4
  - id: known
    effect: allow
    match: {tools: [press]}
    when: "!call.first_use"
  - id: fragile
    effect: deny
    match: {tools: [fragile]}
    when: args.missing == 1
  - id: files
    effect: allow
    match: {methods: [resources/read], uris: ["file:///tmp/*"]}
"""


@pytest.fixture(autouse=True)
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy in a folder of its own, and no configuration of this machine."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)


def evaluated(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["eval", *arguments, "--policies", "policy.yaml"], input=stdin)


@pytest.mark.parametrize(
    ("arguments", "status", "first"),
    [
        (["notes.read", "--tier", "T4"], 0, "ALLOW  policy-allow"),
        (["notes.read", '{"path": "/etc/passwd"}'], 10, "DENY  policy-deny"),
        (["pay", '{"amount": 1}'], 11, "ESCALATE  policy-escalate"),
        (["other"], 10, "DENY  no-rule"),
        (["fragile"], 10, "DENY  condition-error"),
        (["--method", "resources/read", "--uri", "file:///tmp/x", "--tier", "T4"], 0, "ALLOW  policy-allow"),
    ],
)
def test_the_exit_status_is_the_answer(arguments: list[str], status: int, first: str) -> None:
    """0 ALLOW, 10 DENY, 11 ESCALATE (issue, "What a user can do", 3)."""
    result = evaluated(*arguments)
    assert result.exit_code == status, result.output
    assert result.stdout.startswith(first)


def test_the_explanation_names_rule_intent_factors_and_tier() -> None:
    """Everything that the answer rests on."""
    text = evaluated("notes.read", "{}", "--tier", "T4").stdout
    assert "ALLOW     reads  Reading is fine." in text
    for part in (
        "intent  ",
        "risk    ",
        "tier    T4 of agent local: any risk without a human",
        "policy  policy.yaml (",
    ):
        assert part in text


def test_a_failed_condition_is_shown() -> None:
    """It is why the call was denied, and the operator must learn what to mend in it."""
    shown = evaluated("fragile").stdout
    assert "ERROR     fragile  an argument that it reads is missing; guard it with has(…)" in shown
    assert json.loads(evaluated("fragile", "-o", "json").stdout)["faults"].keys() == {"fragile"}


def test_a_call_that_only_the_tier_holds_up_says_how_to_raise_it() -> None:
    """No rule is to blame, and editing the policy would not help."""
    Path("policy.yaml").write_text(POLICY + "  - {id: writes, effect: allow, match: {tools: [write_note]}}\n")
    assert "`intended run --tier local=T1`" in evaluated("write_note").stdout
    assert "--tier" not in evaluated("fragile").stdout


def test_programs_get_the_same_as_json() -> None:
    """`-o json` holds every field of the table."""
    found = json.loads(evaluated("pay", '{"amount": 1}', "-o", "json", "--agent", "bill").stdout)
    assert found["decision"] == "ESCALATE"
    assert [rule["id"] for rule in found["rules"]] == ["money"]
    assert found["agent"] == "bill"
    assert found["tier"] == {"name": "T0", "allowBelow": 30, "denyFrom": 90}
    assert found["policyFiles"] == ["policy.yaml"]
    assert found["risk"] == min(100, max(0, sum(factor["points"] for factor in found["riskFactors"])))


def test_no_argument_is_repeated() -> None:
    """The output lands in logs of pipelines."""
    for output in ("table", "json"):
        result = evaluated("notes.read", '{"q": "hunter2"}', "-o", output)
        assert "hunter2" not in result.output


def test_arguments_come_from_standard_input_too() -> None:
    """Long ones do not fit a command line."""
    assert evaluated("notes.read", "-", stdin='{"path": "/etc/x"}').exit_code == 10


def test_the_tier_is_the_configured_one() -> None:
    """The same judgement as the gateway's with this configuration."""
    Path("intended.yaml").write_text("tiers:\n  default: T1\n  agents: {bill: T3}\n")
    assert json.loads(evaluated("pay", "{}", "-o", "json").stdout)["tier"]["name"] == "T1"
    assert json.loads(evaluated("pay", "{}", "-o", "json", "--agent", "bill").stdout)["tier"]["name"] == "T3"


def test_the_tools_own_schema_counts(tmp_path: Path) -> None:
    """Arguments that break it are denied before any rule."""
    definition = tmp_path / "tool.json"
    definition.write_text('{"inputSchema": {"type": "object", "required": ["q"]}}')
    result = evaluated("notes.read", "{}", "--tier", "T4", "--definition", str(definition))
    assert (result.exit_code, result.stdout.split("\n")[0][:12]) == (10, "DENY  schema")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs a name"),
        (["x", "[1]"], "JSON object"),
        (["x", '{"a": 1, "a": 2}'], "no gateway would take this"),
        (["x", "{"], "no gateway would take this"),
        (["x", "{}", "--tier", "T7"], "'T0', 'T1', 'T2', 'T3', 'T4'"),
        (["x", "{}", "--method", "tools/cal"], "did you mean 'tools/call'"),
        (["--method", "resources/read"], "--uri"),
        (["x", "{}", "--definition", "none.json"], "cannot be read"),
    ],
)
def test_what_no_gateway_would_take_is_a_usage_error(arguments: list[str], message: str) -> None:
    """Exit 2: nothing was decided."""
    result = evaluated(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_too_much_input_is_refused() -> None:
    """Bounded like a message."""
    result = evaluated("x", "-", stdin=" " * (4 * 1024 * 1024 + 1))
    assert result.exit_code == 2


def test_what_would_be_submitted_by_rest_is_judged_too() -> None:
    """An operator tries a policy for both fronts; the system is none unless it is named."""
    told = json.loads(evaluated("read the report", "--method", "intent", "--output", "json").stdout)
    assert (told["decision"], told["intent"]["effect"]) == ("DENY", "read")
    named = json.loads(
        evaluated("read accounts", "--method", "intent", "--upstream", "salesforce", "--output", "json").stdout
    )
    assert named["intent"]["domain"] == "crm"
    assert evaluated("--method", "intent").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "status", "first"),
    [
        (["pay", '{"amount": 1}', "--budget", "spent=9.99"], 11, "ESCALATE  policy-escalate"),
        (["pay", '{"amount": 1}', "--budget", "spent=10"], 10, "DENY  no-rule"),
        (["pay", '{"amount": 1}', "--budget", "calls=2"], 11, "ESCALATE  policy-escalate"),
        (["pay", '{"amount": 1}', "--budget", "calls=3"], 10, "DENY  no-rule"),
        (["pay", '{"amount": -1}'], 10, "DENY  budget (rung 16)"),
        (["press"], 11, "ESCALATE  policy-escalate"),
        (["press", "--used-before"], 0, "ALLOW  policy-allow"),
        (["press", "--used-before", "--failures", "5"], 11, "ESCALATE  policy-escalate"),
    ],
)
def test_what_was_spent_and_done_before_can_be_given(arguments: list[str], status: int, first: str) -> None:
    """An operator tries out a limit without spending it."""
    result = evaluated(*arguments, "--tier", "T4")
    assert (result.exit_code, result.stdout.splitlines()[0].startswith(first)) == (status, True), result.stdout


def test_what_a_call_adds_is_told() -> None:
    """Nothing was spent unless it is given."""
    told = json.loads(evaluated("notes.read", "--tier", "T4", "--output", "json").stdout)
    assert told["budgets"] == {"spent": {"spent": 0.0, "adds": 0.0}, "calls": {"spent": 0, "adds": 1.0}}
    shown = evaluated("notes.read", "--tier", "T4", "--budget", "calls=7").stdout
    assert "budget  calls: 7 spent before, 1 by this call" in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spend=1", "no budget is called 'spend' (did you mean 'spent'?)"),
        ("calls=1.5", "'calls' counts calls"),
        ("spent", "as refunds=900"),
        ("spent=-1", "as refunds=900"),
        ("spent=nan", "as refunds=900"),
        ("spent=inf", "as refunds=900"),
    ],
)
def test_a_value_of_no_budget_is_refused(text: str, words: str) -> None:
    """A mistyped name would try out another limit than the operator thinks."""
    result = evaluated("pay", "--budget", text)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())
