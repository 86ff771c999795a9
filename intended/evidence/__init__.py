"""Checks evidence bundles offline, anywhere: what was decided on one intent, by which rules, and who said yes.

    report = verify(Path("evidence.json").read_bytes(), keys=known_keys("acme.jwks.json"))
    assert report.trusted, report.failed

`python -m intended.evidence FILE --key acme.jwks.json` does the same. Needs `cryptography` and nothing else, and shares
no code with the gateway that writes bundles (docs/evidence.md).
"""

from intended.evidence.checks import Check, Report, State, verify
from intended.evidence.keys import Key, KeyProblem, known_keys

__all__ = ["Check", "Key", "KeyProblem", "Report", "State", "known_keys", "verify"]
