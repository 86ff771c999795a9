"""The routes of evidence as values: a bundle, and the keys that it is checked with (`intended.evidence`)."""

from typing import Any

from intended.endpoints import Call, segment
from intended.reading import Fields

__all__ = ["evidence_bundle", "evidence_keys"]


def evidence_bundle(intent_id: str) -> Call[dict[str, Any]]:
    """`GET /intent/{id}/evidence-bundle`: as it was signed; any JSON library may write it."""

    def read(value: Any) -> dict[str, Any]:
        Fields(value).each("entries", Fields.whole)
        return dict(value)

    return Call(method="GET", path=f"/intent/{segment(intent_id)}/evidence-bundle", read=read, repeatable=True)


def evidence_keys() -> Call[dict[str, Any]]:
    """`GET /evidence/keys`: a JWK set, with the keys that are retired."""

    def read(value: Any) -> dict[str, Any]:
        Fields(value).each("keys", Fields.whole)
        return dict(value)

    return Call(method="GET", path="/evidence/keys", read=read, repeatable=True)
