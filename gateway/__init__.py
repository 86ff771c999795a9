"""The Intended MCP gateway: decides, records, then forwards what an agent asks of MCP servers.

`README.md` beside this file is the map of the package: its layers and the path of one call.
"""

__version__ = "0.1.0"
