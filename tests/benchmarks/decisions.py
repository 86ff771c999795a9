"""What a decision over REST costs: latency and CPU of `POST /intent` with its token, beside one without.

    python -m tests.benchmarks.decisions [--decisions 5000] [--clients 32]

An ALLOW of the Ref dialect carries a signed token; an ALLOW of the Ops dialect answers without one. Both are durable
before they are answered. The contract promises p99 below 50 ms at 32 concurrent clients, token included (section 8).
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.benchmarks.gate import cpu_s, free_port, started

REF = ("/intent", {"action": "read the file", "actor": "bench", "system": "files", "metadata": {"path": "a.txt"}})
OPS = (
    "/v1/intents",
    {"type": "files.read", "domain": "files", "agentId": "bench", "params": {"path": "a.txt"}},
)


async def one_client(port: int, key: str, path: str, body: bytes, count: int) -> list[float]:
    """Send one request after another on one connection; return the latencies in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        at = head.find(b"content-length:") + 15
        answer = json.loads(await reader.readexactly(int(head[at : head.index(b"\r\n", at)])))
        taken.append((time.perf_counter() - begun) * 1000)
        check(path, head, answer)
    writer.close()
    return taken


def check(path: str, head: bytes, answer: dict) -> None:
    """A benchmark of refusals would be fast and worth nothing."""
    allowed = answer.get("decision") == "ALLOW" and answer["token"].count(".") == 2
    if not (allowed if path == REF[0] else answer.get("data", {}).get("status") == "approved"):
        raise SystemExit(f"not an ALLOW: {head.split(b' ')[1].decode()} {answer}")


async def load(port: int, key: str, path: str, body: bytes, decisions: int, clients: int) -> list[float]:
    each = [one_client(port, key, path, body, decisions // clients) for _ in range(clients)]
    return [one for taken in await asyncio.gather(*each) for one in taken]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def prepared(folder: Path, *command: str) -> list[str]:
    return [sys.executable, "-m", "gateway", *command, "--data", str(folder / "data"), "--state", str(folder / "state")]


def measure(decisions: int, clients: int) -> None:
    """Print the two figures."""
    with tempfile.TemporaryDirectory() as name:
        folder, port, upstream = Path(name), free_port(), free_port()
        create = prepared(folder, "keys", "create", "bench", "--role", "admin", "--plan", "enterprise")
        made = subprocess.run(
            [*create, "--per-minute", "10000000", "-o", "json"], capture_output=True, text=True, check=True
        )
        key = json.loads(made.stdout)["key"]
        agents = prepared(folder, "agents", "register", "bench", "-o", "json")
        subprocess.run(agents, capture_output=True, check=True)
        run = prepared(folder, "run", f"http://127.0.0.1:{upstream}/mcp", "--port", str(port))
        with started(port, *run) as process:
            print(f"{clients} clients, {decisions} decisions each; {os.cpu_count()} cores, client included\n")
            print(f"{'':<28}p50 ms  p99 ms  decisions/s  CPU ms")
            for label, (path, body) in (("with token (POST /intent)", REF), ("without (POST /v1/intents)", OPS)):
                text = json.dumps(body).encode()
                uvloop.run(load(port, key, path, text, clients * 20, clients))
                before, begun = cpu_s((process.pid,)), time.perf_counter()
                taken = uvloop.run(load(port, key, path, text, decisions, clients))
                seconds, cpu = time.perf_counter() - begun, cpu_s((process.pid,)) - before
                print(
                    f"{label:<28}{statistics.median(taken):6.1f}  {percentile(taken, 0.99):6.1f}"
                    f"  {len(taken) / seconds:11.0f}  {cpu / len(taken) * 1000:6.2f}",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=32)
    asked = parser.parse_args()
    measure(asked.decisions, asked.clients)


if __name__ == "__main__":
    main()
