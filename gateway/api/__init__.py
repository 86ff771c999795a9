"""The HTTP face beside MCP. Translates; reaches the world only through services."""
