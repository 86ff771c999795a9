"""The schema of evidence bundles, as docs/evidence.md links it: `python -m tests.documents.evidence` writes it."""

import json
from pathlib import Path

from gateway.api.ref.evidence import EvidenceBundle

PAGE = Path(__file__).parents[2] / "docs" / "evidence.schema.json"


def schema_text() -> str:
    """Return the JSON Schema of a bundle."""
    described = EvidenceBundle.model_json_schema(mode="validation")
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **described, "title": "Evidence bundle"}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(schema_text(), "utf-8")
