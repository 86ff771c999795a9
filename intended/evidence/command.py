"""A bundle checked for whoever reads a terminal: a line for each check, and one that says what it comes to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from intended.evidence.checks import Report, verify
from intended.evidence.keys import known_keys

__all__ = ["FAILED", "TRUSTED", "check", "checked", "lines", "verdict"]

TRUSTED: Final = 0
FAILED: Final = 4
"""The exit statuses; those of `intended` mean the same."""

_NAMES_IT: Final = "a key, or the secret"


def check(file: Path, *, keys: Sequence[str], secret: Path | None, export: Path | None) -> int:
    """Check a file, print what was found, and return the exit status. Raises OSError and KeyProblem."""
    report = checked(file, keys=keys, secret=secret, export=export)
    for line in (*lines(report), verdict(report)):
        print(line)  # noqa: T201 - it is the output of a command
    return TRUSTED if report.trusted else FAILED


def checked(file: Path, *, keys: Sequence[str], secret: Path | None, export: Path | None) -> Report:
    """Check a file with what the files and sources hold. Raises OSError and KeyProblem."""
    known = [one for source in keys for one in known_keys(source)]
    text = None if secret is None else secret.read_text("utf-8").strip()
    raw = file.read_bytes()
    if export is None:
        return verify(raw, keys=known, secret=text)
    with export.open("rb") as stream:
        return verify(raw, keys=known, secret=text, export=stream)


def lines(report: Report) -> tuple[str, ...]:
    """Return a line for each check."""
    return tuple(
        f"{one.state.value:<12} {one.name}{': ' if one.detail else ''}{_plain(one.detail)}" for one in report.checks
    )


def verdict(report: Report) -> str:
    """Return what the checks come to, in one line."""
    if not report.consistent:
        return f"NOT VALID: {', '.join(_plain(one.name) for one in report.failed)}"
    if not report.trusted:
        return (
            f"NOT VERIFIED: consistent in itself, but anybody could have made it; name {_NAMES_IT} that vouches for it"
        )
    return f"verified: intent {_plain(report.intent_id)} of tenant {_plain(report.tenant)}, key {report.kid}"


def _plain(text: str) -> str:
    """Return a text of a bundle that a terminal shows and does not obey."""
    return "".join(one if one.isprintable() else "?" for one in text)
