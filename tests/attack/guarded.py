"""A gateway process in front of spies, with one tool allowed; what it said and what it recorded."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attack.agent import Agent
from tests.house.documents import ROOT

PROCESS_S = 30.0
"""For a process to start or end on a busy machine."""

ONE_TOOL = """\
apiVersion: intended/v1
policySet: attack
rules:
  - id: only-echo
    effect: allow
    match: {tools: [echo]}
    reason: Saying it back is harmless.
"""


@dataclass
class Guarded:
    """One running gateway."""

    process: subprocess.Popen[str]
    folder: Path
    port: int = 0
    started: threading.Event = field(default_factory=threading.Event)
    listener: threading.Thread = field(init=False)
    said: list[str] = field(default_factory=list)

    def agent(self) -> Agent:
        return Agent(self.port)

    def stop(self) -> str:
        """Stop it in order; return everything that it has said."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PROCESS_S) == 0, self.said
        self.listener.join(PROCESS_S)
        return "".join(self.said)

    def listen(self) -> None:
        """Take what it says, so that a full pipe never holds it up."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"agent URL\s+http://[^:]+:(\d+)", line):
                self.port = int(found[1])
            if "intended audit tail" in line:
                self.started.set()
        self.started.set()

    def intended(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the gateway beside it."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments, "--data", str(self.folder / "data")],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=PROCESS_S,
            check=True,
        )

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries of the default tenant as `audit tail` shows them."""
        return json.loads(self.intended("audit", "tail", "-n", "100000", "-o", "json").stdout)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INTENDED_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


@contextmanager
def guarded(folder: Path, *upstreams: str, policy: str = ONE_TOOL, config: str = "") -> Iterator[Guarded]:
    """Run `intended run` in front of `upstreams` (or of what `config` names), until the end of the block."""
    policies = folder / "policies"
    policies.mkdir()
    (policies / "attack.yaml").write_text(policy)
    options = ["--port", "0", "--data", "data", "--state", "state", "--policies", "policies"]
    if config:
        (folder / "intended.yaml").write_text(config)
        options += ["--config", "intended.yaml"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", *options, *upstreams],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env=environment(),
    )
    served = Guarded(process, folder)
    served.listener = threading.Thread(target=served.listen)
    served.listener.start()
    try:
        assert served.started.wait(PROCESS_S), served.said
        assert served.port, served.said
        yield served
    finally:
        process.kill()
        process.wait()
        served.listener.join(PROCESS_S)
        process.stderr.close()
