"""`intended version`: what runs here, for a bug report."""

import platform
from importlib.metadata import version as installed

from gateway import __version__
from gateway.cli.output import Format, FormatOption, data

__all__ = ["version"]

LIBRARIES = ("mcp", "cel-expr-python", "starlette", "uvicorn")
"""Whose version changes how the gateway behaves."""


def version(output: FormatOption = Format.TABLE) -> None:
    """Print the versions of gateway, Python and main libraries."""
    found = {"intended-mcp-gateway": __version__, "python": platform.python_version()}
    found |= {name: installed(name) for name in LIBRARIES}
    if output is Format.TABLE:
        for name, number in found.items():
            print(f"{name} {number}")
        return
    data(found, output)
