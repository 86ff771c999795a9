"""The Python client of the gateway. Imports nothing of `gateway`."""
