"""The numbers must be the specification's."""

from mcp.shared import inbound
from mcp_types import jsonrpc

from gateway.core import codes


def test_codes_are_those_of_the_official_sdk() -> None:
    """They are written out here to keep start-up fast, so a change of the specification must show."""
    names = {
        "PARSE_ERROR": "PARSE_ERROR",
        "INVALID_REQUEST": "INVALID_REQUEST",
        "METHOD_NOT_FOUND": "METHOD_NOT_FOUND",
        "INVALID_PARAMS": "INVALID_PARAMS",
        "INTERNAL_ERROR": "INTERNAL_ERROR",
        "HEADER_MISMATCH": "HEADER_MISMATCH",
        "MISSING_CLIENT_CAPABILITY": "MISSING_REQUIRED_CLIENT_CAPABILITY",
        "UNSUPPORTED_VERSION": "UNSUPPORTED_PROTOCOL_VERSION",
    }
    assert {ours: getattr(codes, ours) for ours in names} == {
        ours: getattr(jsonrpc, theirs) for ours, theirs in names.items()
    }


def test_statuses_are_those_of_the_official_sdk() -> None:
    """Clients fall back between eras by status and code together."""
    assert dict(codes.HTTP_STATUS) == dict(inbound.ERROR_CODE_HTTP_STATUS)


def test_a_code_without_a_status_of_its_own_is_200() -> None:
    """An answer that was given is HTTP success, whatever it says."""
    assert (codes.status_of(codes.METHOD_NOT_FOUND), codes.status_of(codes.GATEWAY_REFUSED)) == (404, 200)


def test_our_own_code_is_outside_the_reserved_range() -> None:
    """The modern era reserves -32768 to -32000."""
    assert not -32768 <= codes.GATEWAY_REFUSED <= -32000
