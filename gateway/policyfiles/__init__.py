"""Reads, positions and watches policy files; implements `ports.PolicySource`."""
