"""The shipped policies decide as their cases say, through the gateway's own classifier and decision."""

from pathlib import Path

import pytest

from gateway.core.decide import decide
from gateway.core.intent.classify import classify
from gateway.policyfiles.cases import case_paths, load_cases
from gateway.policyfiles.files import load_bundle
from gateway.policyfiles.shipped import shipped_policies
from gateway.services.policy_check import Judge, check_cases, render
from gateway.settings import TierSettings

POLICIES = shipped_policies()
JUDGE = Judge(classify=classify, decide=decide, thresholds=TierSettings().threshold)


@pytest.mark.parametrize("file", case_paths(POLICIES), ids=lambda file: file.name)
def test_every_case_of_a_shipped_policy_is_decided_as_written(file: Path) -> None:
    """Wanted denials included; and no rule is there that no case has seen hold."""
    reports = check_cases([load_cases(file)], JUDGE)
    assert all(report.passed for report in reports), "\n".join(render(reports))
    if (file.parent / file.name.replace("_test", "")).is_file():
        assert all(not report.untested for report in reports), "\n".join(render(reports))


def test_every_shipped_policy_has_cases_and_loads_with_every_other() -> None:
    """Packs and the default may lie in one folder: their ids must not clash."""
    files = [file for file in sorted(POLICIES.rglob("*.yaml")) if not file.stem.endswith("_test")]
    assert len(files) == 6
    ids = [rule.matched.id for file in files for rule in load_bundle(file).rules]
    assert len(ids) == len(set(ids))
    assert all(case_paths(file) for file in files)


def test_only_allow_all_warns() -> None:
    """It must never be in force unnoticed."""
    warnings = {name: load_bundle(POLICIES / f"{name}.yaml").warnings for name in ("default", "read-only", "allow-all")}
    assert [bool(warnings[name]) for name in ("default", "read-only", "allow-all")] == [False, False, True]
