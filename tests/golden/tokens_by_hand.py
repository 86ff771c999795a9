"""A second implementation of authority tokens, by hand: the standard library and modular arithmetic only.

    python -m tests.golden.tokens_by_hand      writes tests/golden/tokens.json

It shares nothing with `gateway` or `intended` (RFC 7515, RFC 8017 8.2, RFC 7638), so that a mistake in one of them is
not also in the vectors. The key is for tests only; its primes are drawn from a fixed seed.
"""

import base64
import hashlib
import json
import random
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).with_name("tokens.json")
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""SHA-256 in PKCS #1 v1.5 (RFC 8017, 9.2, note 1)."""


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encoded(message: bytes, size: int) -> int:
    """EMSA-PKCS1-v1_5."""
    block = DIGEST_INFO + hashlib.sha256(message).digest()
    return int.from_bytes(b"\x00\x01" + b"\xff" * (size - len(block) - 3) + b"\x00" + block, "big")


def sign(header: dict[str, Any], claims: dict[str, Any], n: int, d: int) -> str:
    dumped = (json.dumps(part, separators=(",", ":")).encode() for part in (header, claims))
    message = ".".join(b64(part) for part in dumped)
    size = (n.bit_length() + 7) // 8
    return f"{message}.{b64(pow(encoded(message.encode(), size), d, n).to_bytes(size, 'big'))}"


def verify(token: str, n: int, e: int = 65537) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims, the signature checked."""
    head, body, signature = token.split(".")
    size = (n.bit_length() + 7) // 8
    assert pow(int.from_bytes(unb64(signature), "big"), e, n) == encoded(f"{head}.{body}".encode(), size)
    return json.loads(unb64(head)), json.loads(unb64(body))


def jwk_of(n: int, e: int = 65537) -> dict[str, str]:
    size = (n.bit_length() + 7) // 8
    required = {"e": b64(e.to_bytes(3, "big")), "kty": "RSA", "n": b64(n.to_bytes(size, "big"))}
    kid = b64(hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest())
    return {**required, "use": "sig", "alg": "RS256", "kid": kid}


def digest(text: str) -> str:
    """Of canonical text written out by hand."""
    return hashlib.sha256(text.encode()).hexdigest()


# --- a key from a seed ------------------------------------------------------------------------------------------------


def is_prime(n: int, chance: random.Random) -> bool:
    """Miller-Rabin."""
    if any(n % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31)):
        return False
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(20):
        x = pow(chance.randrange(2, n - 1), odd, n)
        if x not in (1, n - 1) and not any((x := pow(x, 2, n)) == n - 1 for _ in range(twos - 1)):
            return False
    return True


def prime(chance: random.Random) -> int:
    while True:
        candidate = chance.getrandbits(1024) | (3 << 1022) | 1
        if candidate % 65537 != 1 and is_prime(candidate, chance):
            return candidate


def key(seed: int) -> tuple[int, int]:
    """Return modulus and private exponent."""
    chance = random.Random(seed)
    p, q = prime(chance), prime(chance)
    return p * q, pow(65537, -1, (p - 1) * (q - 1))


# --- the vectors ------------------------------------------------------------------------------------------------------

ISSUED = 1_795_348_800
COMMON = {
    "iss": "intended-gateway",
    "sub": "billing-agent",
    "tenant": "acme",
    "intentId": "int_01KAN00000000000000000000A",
}
TIMES = {"iat": ISSUED, "nbf": ISSUED, "exp": ISSUED + 120}
POLICY = {"policyDigest": "5f" * 32}

CASES: list[dict[str, Any]] = [
    {
        "name": "a tool call",
        "arguments": '{"amount":12.5,"currency":"EUR","to":"DE89370400440532013000"}',
        "claims": {
            **COMMON,
            **TIMES,
            **POLICY,
            "aud": "payments",
            "jti": "tok_01KAN00000000000000000000B",
            "intentType": "payment.transfer",
            "upstream": "payments",
            "tool": "transfer",
        },
    },
    {
        "name": "a tool call without arguments, its answers bound too",
        "arguments": "{}",
        "answers": '{"name":{"action":"accept","content":{"ok":true}}}',
        "claims": {
            **COMMON,
            **TIMES,
            **POLICY,
            "aud": "https://mcp.acme.example/mcp",
            "jti": "tok_01KAN00000000000000000000C",
            "intentType": "unknown",
            "upstream": "payments",
            "tool": "été/списък",
        },
    },
    {
        "name": "an intent by REST",
        "arguments": '{"n":1e+21,"ö":[null,true,"\\u000f€"]}',
        "claims": {
            **COMMON,
            **TIMES,
            **POLICY,
            "exp": ISSUED + 300,
            "aud": "billing-api",
            "jti": "tok_01KAN00000000000000000000D",
            "intentType": "refund",
            "action": "issue_refund",
            "system": "billing-api",
        },
    },
]


def vectors() -> dict[str, Any]:
    n, d = key(20261122)
    jwk = jwk_of(n)
    header = {"alg": "RS256", "kid": jwk["kid"], "typ": "authority+jwt"}
    cases = []
    for case in CASES:
        claims = {**case["claims"], "argsDigest": digest(case["arguments"])}
        if "answers" in case:
            claims["answersDigest"] = digest(case["answers"])
        cases.append({**case, "claims": claims, "token": sign(header, claims, n, d)})
    return {"jwks": {"keys": [jwk]}, "n": str(n), "d": str(d), "cases": cases}


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=2, ensure_ascii=False) + "\n")
