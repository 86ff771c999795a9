"""`intended evidence`: bundles taken away and checked, and the secret and keys that they are checked with."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.administration import administer, segment
from gateway.cli.command import group, placed
from gateway.cli.exits import Exit
from gateway.cli.options import Place
from gateway.cli.output import Format, FormatOption, data, say
from gateway.errors import NotFound

if TYPE_CHECKING:
    from intended.evidence import Report

__all__ = ["app"]

app = group("Evidence bundles: export, verify; their secret and keys.")
secret = group("The secret under which bundles carry an HMAC.")
app.add_typer(secret, name="secret")

Out = Annotated[Path | None, typer.Option("--out", help="Write to this file instead of standard output.")]


@app.command("export")
@placed
def export(
    place: Place,
    intent: Annotated[str, typer.Argument(metavar="INTENT", help="Its id.")],
    out: Out = None,
) -> None:
    """Write the evidence bundle of one intent."""
    path = f"/intent/{segment(intent)}/evidence-bundle"
    try:
        found = administer(place, lambda gateway: gateway.get(path))
    except NotFound as error:
        error.add_note("fix: `intended audit tail` shows the ids of those that there are")
        raise
    _write(found, out)


@app.command("keys")
@placed
def keys(place: Place, out: Out = None) -> None:
    """Write the public keys to verify with, as a JWK set."""
    _write(administer(place, lambda gateway: gateway.get("/evidence/keys")), out)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle.")],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="A key to believe: file (JWK, JWK set, PEM), https URL or thumbprint. Repeatable."),
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="File with the tenant's evidence secret.")
    ] = None,
    chain: Annotated[
        Path | None, typer.Option("--export", help="Export of the chain, to see that no entry was left out.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Check a bundle, offline: exit 0 or 4."""
    from intended.evidence.command import checked, lines, verdict

    try:
        report = checked(file, keys=key or (), secret=secret_file, export=chain)
    except OSError as error:
        raise typer.BadParameter(f"{error.filename or 'the URL'} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--key") from error
    if output is Format.TABLE:
        for line in lines(report):
            print(line)
        say(verdict(report))
    else:
        data(_plain(report), output)
    raise typer.Exit(Exit.OK if report.trusted else Exit.FAILED)


@secret.command("show")
@placed
def show(place: Place, output: FormatOption = Format.TABLE) -> None:
    """Print the secret in force, once.

    After that only a rotation gives one.
    """
    _tell(administer(place, lambda gateway: gateway.post("/evidence/secret/show", {})), output)


@secret.command("rotate")
@placed
def rotate(place: Place, output: FormatOption = Format.TABLE) -> None:
    """Put a new secret in the place of the old one, and print it, once."""
    _tell(administer(place, lambda gateway: gateway.post("/evidence/secret/rotate", {}), begins=True), output)


def _tell(made: Any, output: Format) -> None:
    if output is not Format.TABLE:
        data(made, output)
        return
    print(made["secret"])
    say(f"It is {made['id']}, of {made['createdAt']}, and is not shown again.")


def _write(found: Any, out: Path | None) -> None:
    """Write JSON as canonical bytes."""
    from gateway.core.audit.canonical import canonical

    content = canonical(found) + b"\n"
    if out is None:
        sys.stdout.buffer.write(content)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror}", param_hint="--out") from error


def _plain(report: "Report") -> dict[str, Any]:
    return {
        "verified": report.trusted,
        "consistent": report.consistent,
        "tenant": report.tenant,
        "intentId": report.intent_id,
        "kid": report.kid,
        "checks": [{"name": one.name, "state": one.state.value, "detail": one.detail} for one in report.checks],
    }
