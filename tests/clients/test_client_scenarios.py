"""The official suite's client scenarios see the same client through the gateway as directly.

The suite plays a server and checks what the client sends. The same client runs once against that server and once
against a gateway in front of it; what passed directly must pass through the gateway, and nothing may fail newly.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.conftest import CALL_SECONDS, ROOT, Environments

pytestmark = pytest.mark.clients

HANDSHAKE, MODERN = "2025-11-25", "2026-07-28"
SCENARIOS = (
    ("initialize", HANDSHAKE),
    ("tools_call", HANDSHAKE),
    ("sse-retry", HANDSHAKE),
    ("elicitation-sep1034-client-defaults", HANDSHAKE),
    ("json-schema-2020-12-preservation", HANDSHAKE),
    ("tools_call", MODERN),
    ("request-metadata", MODERN),
    ("http-standard-headers", MODERN),
    ("http-custom-headers", MODERN),
    ("http-invalid-tool-headers", MODERN),
    ("sep-2322-client-request-state", MODERN),
    ("json-schema-ref-no-deref", MODERN),
    ("json-schema-2020-12-preservation", MODERN),
)


def _checks(environments: Environments, scenario: str, version: str, out: Path, *extra: str) -> dict[str, Counter[str]]:
    """Run one scenario and return how often each check passed and failed."""
    suite = environments.node_folder / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    client = " ".join([sys.executable, "-m", "tests.conformance.scenario_client", *extra])
    run = ["client", "--scenario", scenario, "--spec-version", version, "--command", client]
    done = subprocess.run(
        [environments.node, str(suite), *run, "--timeout", str((CALL_SECONDS - 5) * 1000), "-o", str(out)],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=False,
    )
    results = list(out.glob("*/checks.json"))
    assert results, f"{scenario} did not finish: {done.stdout[-1000:]}{done.stderr[-1000:]}"
    checks = json.loads(results[0].read_text())
    return {
        status: Counter(check["id"] for check in checks if check["status"] == status)
        for status in ("SUCCESS", "FAILURE")
    }


@pytest.mark.parametrize(("scenario", "version"), SCENARIOS, ids=lambda value: value)
def test_the_scenario_sees_the_same_client_through_the_gateway(
    scenario: str, version: str, environments: Environments, tmp_path: Path
) -> None:
    """Towards an upstream the gateway is a client, and must be as good a one as the agent's own."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(_checks, environments, scenario, version, tmp_path / "direct")
        second = pool.submit(_checks, environments, scenario, version, tmp_path / "through", "--through-gateway")
        direct, through = first.result(), second.result()
    assert direct["SUCCESS"], "a scenario in which nothing passes would compare nothing"
    lost = set(direct["SUCCESS"] - through["SUCCESS"]) | set(through["FAILURE"] - direct["FAILURE"])
    assert lost == set()
