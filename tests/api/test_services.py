"""What the REST API is made on."""

from dataclasses import fields

from gateway.api.services import Services


def test_every_use_case_is_given() -> None:
    """None has a default: a forgotten one would be a route that fails when it is called."""
    assert all(field.default is field.default_factory for field in fields(Services))
