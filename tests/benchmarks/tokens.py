"""What authority tokens cost, and whether signing holds up calls that carry none.

    python -m tests.benchmarks.tokens [--calls 10000] [--rounds 3] [--clients 32] [--probes 4]

One gateway, one upstream under two names: `plain`, and `guarded`, whose calls carry a token. First each alone under
`--clients` connections: CPU per call, calls a second, latency. Then `--probes` further connections call `plain` while
all the others call `plain`, or `guarded`: if signing were on the event loop the probes would wait for signatures. The
store is on disk, the policy the shipped default, the era the modern one.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import uvloop

from tests.benchmarks.gate import MODERN, Candidate, Figure, cpu_s, free_port, load, started

CONFIG = """
host: 127.0.0.1
port: {port}
data: {folder}/data
state: {folder}/state
limits: {{calls_per_agent: 1024}}
upstreams:
  plain: {{url: "{url}"}}
  guarded: {{url: "{url}", authority_token: true}}
"""
PLAIN, GUARDED = b"/mcp/plain", b"/mcp/guarded"


def alone(gateway: Candidate, path: bytes, calls: int, clients: int) -> Figure:
    before, begin = cpu_s(gateway.pids), time.perf_counter()
    latencies = sorted(uvloop.run(load(gateway.port, MODERN, calls, clients, path)))
    took = time.perf_counter() - begin
    return figure(latencies, (cpu_s(gateway.pids) - before) * 1000 / calls, calls / took)


def figure(latencies: list[float], cpu_ms: float, per_second: float) -> Figure:
    return Figure(
        cpu_ms=cpu_ms,
        per_second=per_second,
        p50_ms=statistics.median(latencies),
        p99_ms=latencies[int(len(latencies) * 0.99)],
    )


async def beside(gateway: Candidate, path: bytes, calls: int, clients: int, probes: int) -> list[float]:
    """Return the latencies of probes on `plain` while the others call `path`."""
    others = asyncio.create_task(load(gateway.port, MODERN, calls, clients, path))
    found: list[float] = []
    while not others.done():
        found += await load(gateway.port, MODERN, probes * 10, probes, PLAIN)
    await others
    return sorted(found)


def median(figures: list[Figure], name: str) -> float:
    return statistics.median(getattr(one, name) for one in figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--probes", type=int, default=4)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream, port = free_port(), free_port()
        stack.enter_context(started(upstream, sys.executable, "-m", "tests.benchmarks.upstream", str(upstream)))
        config = folder / "intended.yaml"
        config.write_text(CONFIG.format(port=port, folder=folder, url=f"http://127.0.0.1:{upstream}/mcp"))
        process = stack.enter_context(started(port, sys.executable, "-m", "gateway", "run", "--config", str(config)))
        report(Candidate("gateway", port, (process.pid,)), options)


def report(gateway: Candidate, options: argparse.Namespace) -> None:
    paths = {"without token": PLAIN, "with token": GUARDED}
    singly: dict[str, list[Figure]] = {name: [] for name in paths}
    probed: dict[str, list[Figure]] = {name: [] for name in paths}
    for path in paths.values():
        alone(gateway, path, max(options.calls // 10, options.clients), options.clients)
    for _ in range(options.rounds):
        for name, path in paths.items():
            singly[name].append(alone(gateway, path, options.calls, options.clients))
        for name, path in paths.items():
            latencies = uvloop.run(beside(gateway, path, options.calls, options.clients, options.probes))
            probed[name].append(figure(latencies, 0, 0))
    print(f"\n{options.clients} clients, median of {options.rounds} rounds of {options.calls} calls")
    print(f"{'':<16}{'CPU ms/call':>12}{'calls/s':>9}{'p50 ms':>8}{'p99 ms':>8}")
    for name, runs in singly.items():
        cpu, rate = median(runs, "cpu_ms"), median(runs, "per_second")
        print(f"{name:<16}{cpu:>12.3f}{rate:>9.0f}{median(runs, 'p50_ms'):>8.2f}{median(runs, 'p99_ms'):>8.2f}")
    print(f"\n{options.probes} clients without token beside {options.clients} others, whose calls go …")
    print(f"{'':<16}{'p50 ms':>8}{'p99 ms':>8}")
    for name, runs in probed.items():
        print(f"{name:<16}{median(runs, 'p50_ms'):>8.2f}{median(runs, 'p99_ms'):>8.2f}")


if __name__ == "__main__":
    main()
