"""Credentials, keys and secrets; implements `ports.Credentials`."""
