"""One running service for all tests of the client against the real thing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.policyfiles.shipped import shipped_policy
from tests.documents import live
from tests.documents.conftest import behind_upstream

BUDGETS = """
apiVersion: intended/v1
policySet: budgets
budgets:
  acts: {count: calls, per: agent, window: 1d}
rules:
  - {id: enough-for-a-day, effect: escalate, when: count.acts >= 10000}
"""
"""Beside the shipped policy: a budget that no test here spends."""


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Service]:
    folder: Path = tmp_path_factory.mktemp("sdk")
    policies = folder / "policies"
    policies.mkdir()
    (policies / "default.yaml").write_bytes(shipped_policy("default").read_bytes())
    (policies / "budgets.yaml").write_text(BUDGETS)
    (folder / "intended.yaml").write_text("policies: policies\n")
    with behind_upstream(folder) as started:
        yield started
