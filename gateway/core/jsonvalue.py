"""The types of a parsed JSON document, shared by everything that handles MCP messages as raw values."""

from typing import Any

__all__ = ["JsonObject", "JsonValue"]

JsonValue = Any
"""One JSON value. `Any`, because the wire guard has already bounded it and every consumer must check what it reads."""

JsonObject = dict[str, Any]
"""One JSON object with its keys in the order of arrival."""
