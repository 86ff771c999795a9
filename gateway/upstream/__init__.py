"""Towards MCP servers: the pooled HTTP exchange and stdio processes; implements `ports.Upstream`."""
