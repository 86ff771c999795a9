"""A policy compiles from what the chain has of it to the very bundle that it was."""

from pathlib import Path

from gateway.policyfiles.files import load_bundle, read_texts
from gateway.policyfiles.recorded import compile_recorded
from gateway.policyfiles.shipped import shipped_policy


def files(path: Path) -> list[dict[str, str]]:
    return [{"path": one.path, "sha256": one.sha256, "text": one.text} for one in read_texts(path)]


def test_the_recorded_text_gives_the_same_bundle() -> None:
    """Its digest is what decisions name."""
    path = shipped_policy("default")
    found = compile_recorded(files(path))
    assert found is not None
    assert found.digest == load_bundle(path).digest


def test_what_compiles_no_more_is_no_bundle() -> None:
    """A policy language may change; then a verdict is not recomputed, and not guessed."""
    assert compile_recorded([]) is None
    assert compile_recorded([{"path": "a.yaml", "sha256": "0" * 64, "text": "apiVersion: intended/v0\n"}]) is None
