"""The public keys by which authority tokens are verified, as JWK sets (RFC 7517); no credential."""

from typing import Any, Final

from pydantic import Field

from gateway.api.fields import Answer
from gateway.api.operation import Operation, PublicCall
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import DEFAULT_TENANT
from gateway.services.tokens import JWKS_MAX_AGE_S

__all__ = ["OPERATIONS"]

TAG: Final = "Authority tokens"


class KeySet(Answer):
    """A JWK set."""

    keys: list[dict[str, Any]] = Field(description="RSA public keys; the one that signs comes first.")


async def show_key_set(call: PublicCall, tenant: str) -> JsonObject:
    """A tenant without keys and one that does not exist look the same: an empty set."""
    return _key_set(call, tenant)


async def show_default_key_set(call: PublicCall) -> JsonObject:
    """Of the tenant `default`."""
    return _key_set(call, DEFAULT_TENANT)


def _key_set(call: PublicCall, tenant: str) -> JsonObject:
    call.answer_headers["cache-control"] = f"public, max-age={JWKS_MAX_AGE_S}"
    return call.services.tokens.jwks(tenant)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/.well-known/jwks.json",
        name="show_default_key_set",
        summary="The default tenant's public keys",
        endpoint=show_default_key_set,
        answers=KeySet,
        public=True,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/.well-known/jwks/{tenant}.json",
        name="show_key_set",
        summary="A tenant's public keys",
        endpoint=show_key_set,
        answers=KeySet,
        public=True,
        tag=TAG,
    ),
)
