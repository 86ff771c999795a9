"""Policies as the chain has recorded them: text → bundle, so that an old decision can be made again."""

from collections.abc import Sequence

from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.bundle import Bundle
from gateway.errors import PolicyError
from gateway.policyfiles.files import PolicyText, compile_texts

__all__ = ["compile_recorded"]


def compile_recorded(files: Sequence[JsonObject]) -> Bundle | None:
    """Return the bundle of the `files` of a `policy.loaded` entry; None where it compiles no more."""
    texts = [PolicyText(path=file["path"], sha256=file["sha256"], text=file["text"]) for file in files]
    try:
        return compile_texts(texts, (), taxonomy=TAXONOMY) if texts else None
    except PolicyError:
        return None
