"""Secrets are known by their shape."""

import pytest

from gateway.core.intent.content_secrets import secret_shape


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "A1B2C3D4E5F6G7H8", "key sk-" + "a" * 30, "ghp_" + "a1" * 18, "-----BEGIN RSA PRIVATE KEY-----\nMII",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x", "https://user:pass@example.com/x", "xoxb-" + "1" * 20,
        "x=" + "glpat-" + "z" * 20,
        "postgres://u:p@h/db",
    ],
)  # fmt: skip
def test_well_known_shapes_are_found(text: str) -> None:
    """A secret in an argument is on its way to somebody."""
    assert secret_shape(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "AKIA", "a risk-averse and long enough sentence", "task-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "https://example.com/a@b:c",
        "see https://example.com and mail me@example.com: thanks", "BEGIN PRIVATE KEY",
        "https://user@example.com/long/enough",
        "sk-short and then some more words", "https://:pass@example.com",
    ],
)  # fmt: skip
def test_ordinary_text_holds_no_secret(text: str) -> None:
    """Prose with an `sk-` in it is prose."""
    assert not secret_shape(text)
