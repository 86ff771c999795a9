"""A running service as a user starts it, for the tests that run what the documents show.

`intended run` as a process, in front of a real MCP server, with keys made by `intended keys create` and by REST.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.documents.rows import Row

ROOT = Path(__file__).parents[2]
PROCESS_S = 60.0
"""For a process to start or end on a busy machine; it takes two seconds on an idle one."""

HOSTS = ("https://api.intendedops.dev", "https://api.intended.so")
TENANTS = ("tenant123", "tenant_xyz", "tenant-a")
"""The tenants that the documents name."""

AGENTS = {
    "sales-agent": ["sales"],
    "compliance-agent": ["compliance"],
    "identity-agent": ["identity"],
    "contracts-agent": ["contracts"],
}
"""Whom the guide's examples act for, beside the billing agent that it registers itself."""


@dataclass
class Service:
    """A running service: its address, and a key of each kind for each tenant."""

    url: str
    folder: Path
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    """(tenant, role) → key."""

    def client(self, tenant: str, role: str = "admin") -> httpx.Client:
        """Return a client with that key."""
        return httpx.Client(base_url=self.url, headers={"x-api-key": self.keys[tenant, role]}, timeout=30)

    def make_key(self, tenant: str, role: str, **more: Any) -> str:
        """Make another key of the tenant by REST and return its secret."""
        with self.client(tenant) as client:
            made = client.post("/keys", json={"name": role, "role": role, **more})
        assert made.status_code == 201, made.text
        return str(made.json()["key"])

    def escalated(self, tenant: str, note: str) -> tuple[str, str]:
        """Submit an intent that a human must look at; return its id and its approval's."""
        with self.client(tenant, "operator") as client:
            answer = client.post("/v1/intents", json=refund(note))
            assert answer.status_code == 201, answer.text
            intent = answer.json()["data"]["intentId"]
            waiting = client.get("/v1/approvals", params={"pageSize": 100}).json()["data"]["items"]
        return intent, next(one["id"] for one in waiting if one["intentId"] == intent)


def refund(note: str) -> dict[str, Any]:
    """Return an Ops intent that the shipped policy escalates."""
    return {
        "type": "billing.process_refund",
        "domain": "billing",
        "agentId": "billing-agent",
        "params": {"customerId": "cust_123", "amount": 99.99, "note": note},
    }


def command(folder: Path, *arguments: str) -> list[str]:
    """Return a call of the command line on the folder's store."""
    return [
        sys.executable,
        "-m",
        "gateway",
        *arguments,
        "--data",
        str(folder / "data"),
        "--state",
        str(folder / "state"),
    ]


def environment(**more: str) -> dict[str, str]:
    """Return the environment without any of the gateway's own variables."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("INTENDED_")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def make_admin_key(folder: Path, tenant: str) -> str:
    """Make a tenant's first key at the command line and return its secret."""
    made = subprocess.run(
        command(folder, "keys", "create", "first", "--tenant", tenant, "--role", "admin", "-o", "json"),
        capture_output=True,
        text=True,
        timeout=PROCESS_S,
        env=environment(),
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["key"])


@contextmanager
def running(folder: Path, upstream: str, **variables: str) -> Iterator[Service]:
    """Start the service, and make keys and the guide's agents."""
    process = subprocess.Popen(
        command(folder, "run", upstream, "--port", "0"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(**variables),
    )
    try:
        service = Service(url=_address(process), folder=folder)
        for tenant in TENANTS:
            service.keys[tenant, "admin"] = make_admin_key(folder, tenant)
            for role in ("operator", "agent"):
                service.keys[tenant, role] = service.make_key(tenant, role)
        yield service
    finally:
        process.terminate()
        process.communicate(timeout=PROCESS_S)


def _address(process: "subprocess.Popen[str]") -> str:
    """Read what the start says until it names the address, and let the rest flow away."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"agent URL\s+(http://[^/\s]+)", line):
            os.set_blocking(process.stderr.fileno(), False)
            return found[1]
    raise AssertionError("".join(said))


def register_agents(service: Service, tenant: str) -> None:
    """Register the agents that the guide's examples take for granted."""
    with service.client(tenant) as client:
        for name, domains in {"billing-agent": ["billing"], **AGENTS}.items():
            answer = client.post("/v1/agents", json={"name": name, "domains": domains})
            assert answer.status_code in (201, 400), answer.text


def run_shell(row: Row, service: Service, replaced: Mapping[str, str], key: str) -> tuple[int, Any]:
    """Run a row's shell lines as they are written, host, key and ids apart; return the status and the JSON."""
    text = row.text
    for was, now in {**dict.fromkeys(HOSTS, service.url), **replaced}.items():
        text = text.replace(was, now)
    (service.folder / ".curlrc").write_text('silent\nwrite-out = "\\n%{http_code}"\n', encoding="utf-8")
    ran = subprocess.run(
        ["bash", "-euc", text],
        capture_output=True,
        text=True,
        timeout=PROCESS_S,
        env=environment(CURL_HOME=str(service.folder), INTENDEDOPS_API_KEY=key),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    body, _, status = ran.stdout.rpartition("\n")
    return int(status), json.loads(body)
