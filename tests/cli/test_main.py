"""The root: what it loads, and how errors end the process."""

import subprocess
import sys

import pytest

from gateway.cli import main as root
from gateway.errors import ConfigurationError, GatewayError, Problem, StoreRefused, UpstreamUnreachable

SERVER = ("mcp", "starlette", "uvicorn", "httpx", "cel_expr_python", "ruamel")
"""What `--help` and `health` must not load: together more than a second."""

PROBE = f"""
import sys
sys.argv = ["intended", *sys.argv[1:]]
from gateway.cli.main import main
try:
    main()
finally:
    print("loaded:", [name for name in {SERVER!r} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--help"], 0), (["run", "--help"], 0), (["health", "--url", "http://127.0.0.1:1"], 5)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_help_and_health_load_no_server(arguments: list[str], status: int) -> None:
    """A health check runs every few seconds; completion asks for help at each key."""
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == status
    assert "loaded: []" in done.stderr


def ended(monkeypatch: pytest.MonkeyPatch, error: Exception) -> int:
    def fail() -> None:
        raise error

    monkeypatch.setattr(root, "app", fail)
    with pytest.raises(SystemExit) as caught:
        root.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_deliberate_error_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for something that the operator can mend."""
    error = ConfigurationError(Problem(source="a.yaml", message="wrong", remedy="right"))
    assert ended(monkeypatch, error) == 3
    assert capsys.readouterr().err == "a.yaml: wrong\n  fix: right\n"


def test_errors_of_several_tasks_are_all_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A task group wraps them; the operator need not know."""
    inner = ExceptionGroup("x", [UpstreamUnreachable("gone", may_have_run=False)])
    error = ExceptionGroup("x", [StoreRefused("locked", remedy="stop it"), inner])
    assert ended(monkeypatch, error) == 4
    assert capsys.readouterr().err == "error: locked\n  fix: stop it\nerror: gone\n"


@pytest.mark.parametrize(
    "error", [ExceptionGroup("x", [GatewayError("a"), KeyError("b")]), ExceptionGroup("x", [KeyError("b")])]
)
def test_what_nobody_foresaw_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Hiding it would make the bug report useless."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(root, "app", fail)
    with pytest.raises(ExceptionGroup):
        root.main()
