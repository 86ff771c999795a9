"""What the gate costs: CPU per allowed call, side by side with the bare upstream, a bare forwarder and nginx.

    python -m tests.benchmarks.gate [--calls 20000] [--rounds 3] [--clients 32] [--soak SECONDS]

Every candidate stands in front of the same upstream and gets the same calls from the same client, in turn, round by
round; the figure is the CPU time (user and system, from the kernel) of the candidate's process per call, and its ratio
to nginx within the same run. Absolute times of a shared machine mean little. The gateway runs with the shipped default
policy, its store on disk, both entries durable. `--soak` then calls for so long, prints the growth of its memory, and
exits with 1 where that is a MiB or more.
"""

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

GROWTH_MIB = 1.0
"""Issue, "What it must show": resident memory grows less than that in ten minutes after warm-up."""
TICK = os.sysconf("SC_CLK_TCK")
WARM_UP_S = 60.0
"""Before a soak is looked at: caches fill, threads start, and the jobs of every 20 s (the index, the records of trust)
have run; all of them take from one arena of the C library (`gateway/cli/memory.py`) what they took there before."""

META = (
    b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientCapabilities":{},'
    b'"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}'
)
CALL = (
    b'{"jsonrpc":"2.0","id":%d,"method":"tools/call",'
    b'"params":{"name":"search_notes","arguments":{"query":"invoice"}%b}}'
)
INITIALIZE = (
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"clientInfo":{"name":"bench","version":"1"}}}'
)
HANDSHAKE, MODERN = "handshake", "modern"


@dataclass(frozen=True, slots=True)
class Candidate:
    name: str
    port: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    cpu_ms: float
    per_second: float
    p50_ms: float
    p99_ms: float


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"a process of the benchmark ended at once: {process.args}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}")


@contextmanager
def started(port: int, *command: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(10)


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def cpu_s(pids: tuple[int, ...]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def resident_mib(pids: tuple[int, ...]) -> tuple[float, float]:
    """Return what is resident of the processes' own memory, swapped out or not, and of the files that they map.

    The latter is the kernel's to take and to bring back: a library's pages that nobody touched for a while come and go.
    """
    own = files = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        told = {name: value for name, _, value in (line.partition(":") for line in lines)}
        own += sum(int(told[name].split()[0]) for name in ("RssAnon", "VmSwap"))
        files += int(told["RssFile"].split()[0])
    return own / 1024, files / 1024


# --- the client -------------------------------------------------------------------------------------------------------


class Client:
    """One keep-alive connection that sends one call after another."""

    def __init__(self, port: int, headers: bytes, path: bytes = b"/mcp") -> None:
        self.port = port
        self.headers = headers
        self.path = path

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def post(self, body: bytes) -> tuple[bytes, bytes]:
        self.writer.write(
            b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
            b"Accept: application/json, text/event-stream\r\n%bContent-Length: %d\r\n\r\n"
            % (self.path, self.port, self.headers, len(body))
            + body
        )
        head = await self.reader.readuntil(b"\r\n\r\n")
        low = head.lower()
        at = low.find(b"content-length:")
        length = int(low[at + 15 : low.index(b"\r\n", at)])
        return head, await self.reader.readexactly(length) if length else b""


async def load(port: int, era: str, calls: int, clients: int, path: bytes = b"/mcp") -> list[float]:
    """Make `calls` calls over `clients` connections; return the latencies in milliseconds."""
    headers = (
        await handshake_headers(port)
        if era == HANDSHAKE
        else (b"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: search_notes\r\n")
    )
    extra = b"," + META if era == MODERN else b""
    ids = iter(range(1, calls + 1))
    latencies: list[float] = []

    async def one() -> None:
        client = Client(port, headers, path)
        await client.open()
        for number in ids:
            begin = time.perf_counter()
            _, answer = await client.post(CALL % (number, extra))
            latencies.append((time.perf_counter() - begin) * 1000)
            if b"3 notes found" not in answer:
                raise SystemExit(f"not an allowed call: {answer[:500]!r}")
        client.writer.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    return latencies


async def handshake_headers(port: int) -> bytes:
    client = Client(port, b"")
    await client.open()
    head, _ = await client.post(INITIALIZE)
    session = next(
        (line.partition(b":")[2].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"mcp-session-id")),
        b"",
    )
    client.writer.close()
    return b"MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: " + session + b"\r\n"


def measure(candidate: Candidate, era: str, calls: int, clients: int) -> Figure:
    before, begin = cpu_s(candidate.pids), time.perf_counter()
    latencies = sorted(uvloop.run(load(candidate.port, era, calls, clients)))
    took = time.perf_counter() - begin
    return Figure(
        cpu_ms=(cpu_s(candidate.pids) - before) * 1000 / calls,
        per_second=calls / took,
        p50_ms=statistics.median(latencies),
        p99_ms=latencies[int(len(latencies) * 0.99)],
    )


# --- the candidates ---------------------------------------------------------------------------------------------------


NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream mcp {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000;
    location / {{ proxy_pass http://mcp; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}
"""


def candidates(stack: ExitStack, folder: Path) -> list[Candidate]:
    upstream = free_port()
    bare = stack.enter_context(started(upstream, sys.executable, "-m", "tests.benchmarks.upstream", str(upstream)))
    url = f"http://127.0.0.1:{upstream}/mcp"
    found = [Candidate("bare upstream", upstream, (bare.pid,))]
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx:
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, upstream=upstream, port=port))
        process = stack.enter_context(started(port, nginx, "-c", str(config), "-p", str(folder)))
        found.append(Candidate("nginx", port, (process.pid, *children(process.pid))))
    else:
        print("nginx is not installed: its column is missing (Debian: apt-get install nginx-light)")
    port = free_port()
    process = stack.enter_context(started(port, sys.executable, "-m", "tests.benchmarks.forwarder", str(port), url))
    found.append(Candidate("bare forwarder", port, (process.pid,)))
    port = free_port()
    command = (sys.executable, "-m", "gateway", "run", url, "--port", str(port))
    folders = ("--data", str(folder / "data"), "--state", str(folder / "state"))
    process = stack.enter_context(started(port, *command, *folders))
    found.append(Candidate("gateway", port, (process.pid,)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--soak", type=float, default=0.0)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = candidates(stack, folder)
        for era in (HANDSHAKE, MODERN):
            report(era, found, options)
        grown = soak(found[-1], options) if options.soak else 0.0
    if grown >= GROWTH_MIB:
        raise SystemExit(1)


def report(era: str, found: list[Candidate], options: argparse.Namespace) -> None:
    figures: dict[str, list[Figure]] = {candidate.name: [] for candidate in found}
    for candidate in found:
        measure(candidate, era, max(options.calls // 10, options.clients), options.clients)
    for _ in range(options.rounds):
        for candidate in found:
            figures[candidate.name].append(measure(candidate, era, options.calls, options.clients))
    print(f"\n{era} era, {options.clients} clients, median of {options.rounds} rounds of {options.calls} calls")
    print(f"{'':<16}{'CPU ms/call':>12}{'x nginx':>9}{'calls/s':>9}{'p50 ms':>8}{'p99 ms':>8}")
    base = statistics.median(figure.cpu_ms for figure in figures["nginx"]) if "nginx" in figures else 0.0
    for name, runs in figures.items():
        cpu = statistics.median(figure.cpu_ms for figure in runs)
        ratio = f"{cpu / base:.1f}" if base else "-"
        rate = statistics.median(figure.per_second for figure in runs)
        p50 = statistics.median(figure.p50_ms for figure in runs)
        p99 = statistics.median(figure.p99_ms for figure in runs)
        print(f"{name:<16}{cpu:>12.3f}{ratio:>9}{rate:>9.0f}{p50:>8.2f}{p99:>8.2f}")


def soak(candidate: Candidate, options: argparse.Namespace) -> float:
    """Call for a while, after a warm-up; return by how many MiB the candidate's memory has grown, and print it.

    The median of the first fifth is held against that of the last: a job that runs now and then has a MiB while it
    does, and the C library gives it back or not.
    """
    seen: list[float] = []
    begun = time.monotonic()
    while (passed := time.monotonic() - begun - WARM_UP_S) < options.soak:
        uvloop.run(load(candidate.port, MODERN, 5000, options.clients))
        if passed >= 0:
            own, files = resident_mib(candidate.pids)
            seen.append(own)
            print(f"  resident {own:.1f} MiB ({own - seen[0]:+.1f}), and {files:.1f} of mapped files", flush=True)
    fifth = max(1, len(seen) // 5)
    first, last = statistics.median(seen[:fifth]), statistics.median(seen[-fifth:])
    print(f"soak of {options.soak:.0f} s: resident {first:.1f} to {last:.1f} MiB, at most {max(seen):.1f}")
    return last - first


if __name__ == "__main__":
    main()
