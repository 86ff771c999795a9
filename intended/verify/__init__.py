"""Checks authority tokens in the server that is called, so that going around the gateway fails (docs/tokens.md).

    app = RequireAuthority(
        app,
        keys="https://gateway.example/.well-known/jwks/acme.json",
        tenant="acme",
        audience="payments",
        upstream="payments",
    )

`RequireAuthority` checks every `tools/call` of an MCP server over Streamable HTTP (ASGI on asyncio); `verify` checks
one token, for a stdio server or one that takes REST intents. Needs pyjwt with its `crypto` extra, and nothing else.
"""

from intended.verify.asgi import Refusal, RequireAuthority
from intended.verify.canonical import canonical, digest
from intended.verify.keys import JwksUrl, Keys, StaticKeys
from intended.verify.tokens import Authority, AuthorityError, Reason, verify
from intended.verify.used import MemoryUsedIds, UsedIds

__all__ = [
    "Authority",
    "AuthorityError",
    "JwksUrl",
    "Keys",
    "MemoryUsedIds",
    "Reason",
    "Refusal",
    "RequireAuthority",
    "StaticKeys",
    "UsedIds",
    "canonical",
    "digest",
    "verify",
]
