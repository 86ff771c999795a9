"""The official conformance suite: run through the gateway, and compared with the same without it."""
