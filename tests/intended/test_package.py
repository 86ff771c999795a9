"""The package as a whole: its names, and what importing it brings along."""

import subprocess
import sys

import pytest

import gateway
import intended

HEAVY = ("httpx", "httpcore", "anyio", "gateway", "pydantic")


def loaded(code: str) -> set[str]:
    """Return which of the heavy packages a fresh interpreter has after `code`."""
    show = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {show}"], capture_output=True, text=True, timeout=30, check=True
    )
    return set(done.stdout.split())


def test_every_public_name_is_there() -> None:
    """They are loaded when they are asked for."""
    assert dir(intended) == sorted(intended.__all__)
    for name in intended.__all__:
        assert getattr(intended, name)
    with pytest.raises(AttributeError, match="no attribute 'Sdk'"):
        intended.Sdk  # noqa: B018


def test_client_and_server_have_one_version() -> None:
    """They come in one distribution."""
    assert intended.__version__ == gateway.__version__


def test_a_guarded_server_gets_no_http_client() -> None:
    """`intended.verify` runs in other people's servers."""
    assert loaded("import intended") == set()
    assert loaded("import intended.verify") == set()


def test_a_program_that_asks_gets_no_server() -> None:
    """The client is for programs that have nothing of the gateway."""
    assert loaded("from intended import IntendedClient, IntendedOpsClient") == {"httpx", "httpcore", "anyio"}
