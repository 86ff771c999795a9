"""The Intended MCP gateway: decides, records, then forwards what an agent asks of MCP servers.

`README.md` beside this file is the map of the package: its layers and the path of one call. A program that wants a
gateway within itself calls `create_intended_gateway` (`embedded.py`), which is loaded when it is asked for; its type is
in `__init__.pyi`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the embedded gateway when it is asked for: it brings the whole server along."""
    if name == "create_intended_gateway":
        return import_module("gateway.embedded").create_intended_gateway
    raise AttributeError(f"module 'gateway' has no attribute {name!r}")
