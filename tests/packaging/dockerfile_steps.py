"""Runs the Dockerfile's steps without an engine: builds in a clean folder, then starts the result as its user.

    python tests/packaging/dockerfile_steps.py [PYTHON]

What the engine would do is taken from the Dockerfile itself: `COPY` copies (through `.dockerignore`), `RUN` runs, `ENV`
is the only environment, `HEALTHCHECK`, `ENTRYPOINT`, `CMD`, `USER` and `STOPSIGNAL` are used as they stand. Paths are
put under a folder of their own. `python` is PYTHON, or the one that runs this. Not run: the two commands that make the
user, which would change this machine.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("/opt/intended", "/src", "/data")
"""Absolute paths of the image that the steps use."""

PYTHON = sys.argv[1] if __name__ == "__main__" and len(sys.argv) > 1 else sys.executable

START_S = 60.0
STOP_S = 30.0


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions with their arguments, lines joined, comments dropped."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def placed(text: str, root: Path) -> str:
    """Put the image's absolute paths under `root`."""
    for place in PLACES:
        text = re.sub(rf"(?<![\w/.]){re.escape(place)}(?![\w-])", f"{root}{place}", text)
    return text


def allowed(name: str) -> bool:
    """Return True where `.dockerignore` lets a top-level name through: it is `*` and then exceptions."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    return lines[0] == "*" and f"!{name}" in lines


def copy(arguments: str, root: Path, workdir: str) -> None:
    """Do one COPY from the project into the build stage."""
    *sources, target = arguments.split()
    destination = Path(f"{root}{workdir}", target)
    for source in sources:
        if not allowed(source):
            raise SystemExit(f"COPY {source}: .dockerignore keeps it out")
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / source, destination, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / source, destination)


def run(arguments: str, root: Path, workdir: str, environment: dict[str, str]) -> None:
    """Do one RUN, less the commands that would make an account on this machine."""
    commands = [part.strip() for part in arguments.split("&&")]
    for command in commands:
        if command.startswith(("groupadd", "useradd")):
            print(f"  left out: {command}")
            continue
        words = shlex.split(placed(command, root))
        if words[0] == "python":
            words[0] = PYTHON
        if words[0] == "install" and os.geteuid() != 0:
            words = [word for word in words if not word.startswith(("--owner", "--group"))]
        print("  run:", " ".join(words).replace(str(root), ""))
        subprocess.run(words, cwd=f"{root}{workdir}", env={**os.environ, "PIP_QUIET": "1", **environment}, check=True)


def build(root: Path) -> dict[str, object]:
    """Do every step of every stage; returns what the image would be configured with."""
    image: dict[str, object] = {}
    environment: dict[str, str] = {}
    workdir = "/"
    for name, arguments in instructions((ROOT / "Dockerfile").read_text()):
        if name == "FROM":
            environment, workdir = {}, "/"
        elif name == "ENV":
            environment.update(pair.split("=", 1) for pair in shlex.split(arguments))
        elif name == "WORKDIR":
            workdir = arguments
            Path(f"{root}{workdir}").mkdir(parents=True, exist_ok=True)
        elif name == "COPY" and not arguments.startswith("--from"):
            copy(arguments, root, workdir)
        elif name == "RUN":
            run(arguments, root, workdir, environment)
        elif name in ("ENTRYPOINT", "CMD"):
            image[name] = json.loads(arguments)
        elif name in ("USER", "STOPSIGNAL", "HEALTHCHECK"):
            image[name] = arguments
    image["ENV"] = environment
    image["WORKDIR"] = workdir
    return image


def start(image: dict[str, object], root: Path) -> None:
    """Start the image's command as its user with its variables alone, ask its health check, stop it by its signal."""
    variables = {name: placed(value, root) for name, value in dict(image["ENV"]).items()}
    variables["PATH"] = variables["PATH"].replace("$PATH", os.defpath)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        variables["INTENDED_GATEWAY_PORT"] = str(probe.getsockname()[1])
    variables |= {
        "INTENDED_GATEWAY_HOST": "127.0.0.1",
        "INTENDED_GATEWAY_UPSTREAMS__default__URL": "http://127.0.0.1:9/mcp",
    }
    user = _user(int(str(image["USER"]).split(":")[0]), root)
    as_user = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
    workdir = placed(str(image["WORKDIR"]), root)
    health = json.loads(re.search(r"\[.*\]", str(image["HEALTHCHECK"]))[0])
    command = [*image["ENTRYPOINT"], *image["CMD"]]
    _refuses_strangers(command, workdir, variables, image)
    gateway = subprocess.Popen(command, cwd=workdir, env=variables, executable=which(command[0], variables), **as_user)
    try:
        deadline = time.monotonic() + START_S
        while subprocess.run(
            health, cwd=workdir, env=variables, executable=which(health[0], variables), capture_output=True, **as_user
        ).returncode:
            if gateway.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the gateway did not become healthy")
            time.sleep(0.2)
        print("  healthy, as", f"user {user}" if user is not None else "this user")
        written = sorted(str(path.relative_to(root)) for path in Path(f"{root}/data").rglob("*") if path.is_file())
        print("  written:", ", ".join(written))
        gateway.send_signal(getattr(signal, str(image["STOPSIGNAL"])))
        if gateway.wait(STOP_S) != 0:
            raise SystemExit(f"the gateway ended with {gateway.returncode}")
        print("  stopped by", image["STOPSIGNAL"], "with exit status 0")
    finally:
        if gateway.poll() is None:
            gateway.kill()
            gateway.wait()


def _refuses_strangers(command: list[str], workdir: str, variables: dict[str, str], image: dict[str, object]) -> None:
    """With nothing but an upstream named, the image must not serve its network: it binds every address."""
    host = dict(image["ENV"])["INTENDED_GATEWAY_HOST"]
    environment = variables | {"INTENDED_GATEWAY_HOST": host}
    done = subprocess.run(
        command,
        cwd=workdir,
        env=environment,
        executable=which(command[0], environment),
        capture_output=True,
        text=True,
        timeout=START_S,
    )
    if done.returncode != 3 or "--unsafe-allow-unauthenticated" not in done.stderr:
        raise SystemExit(f"on {host} without keys it ended with {done.returncode}: {done.stderr}")
    print(f"  refuses to serve {host} without keys, exit status 3")


def _user(wanted: int, root: Path) -> int | None:
    """Return the image's user if this machine can start the result as it; None: go on as the present user.

    The image's interpreter is anyone's to run. Here it may lie in a home folder that only its owner may enter.
    """
    if os.geteuid() != 0:
        return None
    python = f"{root}/opt/intended/bin/python"
    try:
        subprocess.run([python, "-c", ""], user=wanted, group=wanted, extra_groups=[], cwd="/", check=True)
    except (PermissionError, subprocess.CalledProcessError):
        print(f"  user {wanted} may not enter the folder of this machine's Python: going on as the present user")
        return None
    return wanted


def which(name: str, variables: dict[str, str]) -> str:
    """Find a program on the image's PATH."""
    found = shutil.which(name, path=variables["PATH"])
    if found is None:
        raise SystemExit(f"{name} is not on the image's PATH")
    return found


def _shows_decisions(image: dict[str, object], root: Path) -> None:
    """Calls go through the gateway there, on the Python that the image has: the demo makes three."""
    variables = {name: placed(value, root) for name, value in dict(image["ENV"]).items()}
    variables["PATH"] = variables["PATH"].replace("$PATH", os.defpath)
    command = [*image["ENTRYPOINT"], "demo", "--ci"]
    done = subprocess.run(
        command,
        cwd=root,
        env=variables,
        executable=which(command[0], variables),
        capture_output=True,
        text=True,
        timeout=START_S,
    )
    if done.returncode != 0:
        raise SystemExit(f"the demo ended with {done.returncode}: {done.stdout}{done.stderr}")
    print("  demo:", ", ".join(call["decision"] for call in json.loads(done.stdout)["calls"]))


def main() -> None:
    """Build, show and start."""
    version = subprocess.run([PYTHON, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"  FROM {instructions((ROOT / 'Dockerfile').read_text())[0][1].split()[0]}; here: {version}")
    with tempfile.TemporaryDirectory(prefix="intended-image-") as folder:
        root = Path(folder)
        root.chmod(0o755)  # the image's user must get through to its own folders
        (root / "opt").mkdir()
        image = build(root)
        _shows_decisions(image, root)
        start(image, root)


if __name__ == "__main__":
    main()
