"""`intended version`: what runs here, for a bug report."""

import platform
from importlib.metadata import version as installed

import typer

from gateway import __version__
from gateway.cli.output import Format, FormatOption, data

__all__ = ["short", "version"]

LIBRARIES = ("mcp", "cel-expr-python", "starlette", "uvicorn")
"""Whose version changes how the gateway behaves."""


def short(wanted: bool) -> None:  # noqa: FBT001 - typer hands an option's value over so
    """Print the gateway's version alone, as `--version` of any tool does, and end."""
    if wanted:
        print(f"intended {__version__}")
        raise typer.Exit


def version(output: FormatOption = Format.TABLE) -> None:
    """Print the versions of gateway, Python and main libraries."""
    found = {"intended-mcp-gateway": __version__, "python": platform.python_version()}
    found |= {name: installed(name) for name in LIBRARIES}
    if output is Format.TABLE:
        for name, number in found.items():
            print(f"{name} {number}")
        return
    data(found, output)
