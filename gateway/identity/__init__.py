"""Identifiers, secrets and signing keys; implements `ports.Ids` and `ports.TokenSigner`."""
