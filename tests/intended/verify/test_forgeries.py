"""Forged tokens against a guarded server: each is refused, and the tool is not reached (issue, "What it must show").

The genuine token passes after each of them: it is the forgery that is refused and not the server that is broken, and
none of them uses the genuine one up.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from intended.verify import Reason
from tests.golden.tokens_by_hand import b64, jwk_of
from tests.intended.verify.guarded import ARGUMENTS, CLAIMS, GONE, HEAD, JWKS, KID, NOW, D, Guarded, N, token

[JWK] = JWKS["keys"]
PUBLIC = jwt.PyJWK(JWK).key
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def part(value: Any) -> str:
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def unsigned(head: dict[str, Any], claims: dict[str, Any] | bytes = CLAIMS) -> str:
    return f"{part(head)}.{part(claims)}"


def hs256(secret: bytes, **head: Any) -> str:
    text = unsigned({**HEAD, "alg": "HS256", **head})
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def raw_claims(raw: bytes) -> str:
    """Sign a payload that is not written by `json`, with the real key."""
    private = genuine()
    text = unsigned(HEAD, raw)
    return f"{text}.{b64(private.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


@cache
def genuine() -> rsa.RSAPrivateKey:
    """Return the real key, for what the second implementation does not write."""
    p, q = rsa.rsa_recover_prime_factors(N, 65537, D)
    parts = (p, q, D, rsa.rsa_crt_dmp1(D, p), rsa.rsa_crt_dmq1(D, q), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(*parts, public_numbers=PUBLIC.public_numbers()).private_key()


def foreign(**head: Any) -> str:
    """Sign everything right with a key of one's own."""
    n, d = OWN
    return token(head=head, n=n, d=d)


FOREIGN = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_numbers()
OWN = (FOREIGN.public_numbers.n, FOREIGN.d)
OWN_JWK = jwk_of(OWN[0])


def es256() -> str:
    text = unsigned({**HEAD, "alg": "ES256"})
    return f"{text}.{b64(ec.generate_private_key(ec.SECP256R1()).sign(text.encode(), ec.ECDSA(SHA256())))}"


def eddsa() -> str:
    text = unsigned({**HEAD, "alg": "EdDSA"})
    return f"{text}.{b64(ed25519.Ed25519PrivateKey.generate().sign(text.encode()))}"


def pss() -> str:
    private = genuine()
    text = unsigned({**HEAD, "alg": "PS256"})
    signed = private.sign(text.encode(), padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
    return f"{text}.{b64(signed)}"


def json_form(*, flattened: bool) -> str:
    head, claims, signature = token().split(".")
    entry = {"protected": head, "signature": signature}
    return json.dumps({"payload": claims, **entry} if flattened else {"payload": claims, "signatures": [entry]})


def respelt() -> str:
    """Change the bits of the last character that mean nothing: the same bytes in another spelling."""
    head, claims, signature = token().split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 256 bytes leave 4 bits that mean nothing in the last character of the signature.
    last = alphabet[alphabet.index(signature[-1]) | 1]
    return f"{head}.{claims}.{signature[:-1]}{last}"


def patched(name: str, value: Any) -> str:
    """Change a claim of a genuine token and keep the signature."""
    head, _, signature = token().split(".")
    return f"{head}.{part({**CLAIMS, name: value})}.{signature}"


def encrypted() -> str:
    return ".".join([part({"alg": "RSA-OAEP", "enc": "A256GCM", "typ": "authority+jwt", "kid": KID}), *["AAAA"] * 4])


TWICE = json.dumps(CLAIMS)[:-1].encode() + b',"tool":"transfer"}'

FORGERIES: dict[str, tuple[Callable[[], str], Reason]] = {
    # the algorithm
    "alg none, no signature": (lambda: unsigned({**HEAD, "alg": "none"}) + ".", Reason.MALFORMED),
    "alg none, some signature": (lambda: unsigned({**HEAD, "alg": "none"}) + ".AAAA", Reason.ALGORITHM),
    "alg nOnE": (lambda: unsigned({**HEAD, "alg": "nOnE"}) + ".AAAA", Reason.ALGORITHM),
    "alg is a list": (lambda: token(head={"alg": ["RS256", "none"]}), Reason.ALGORITHM),
    "no alg": (lambda: token(head={"alg": GONE}), Reason.ALGORITHM),
    "HS256 with the public key as PEM": (lambda: hs256(PEM), Reason.ALGORITHM),
    "HS256 with the public key as DER": (lambda: hs256(DER), Reason.ALGORITHM),
    "HS256 with the modulus": (lambda: hs256(JWK["n"].encode()), Reason.ALGORITHM),
    "HMAC under the name of RS256": (lambda: hs256(PEM, alg="RS256"), Reason.SIGNATURE),
    "ES256": (es256, Reason.ALGORITHM),
    "EdDSA": (eddsa, Reason.ALGORITHM),
    "PS256 by the genuine key": (pss, Reason.ALGORITHM),
    "RS512 in name": (lambda: token(head={"alg": "RS512"}), Reason.ALGORITHM),
    "rs256 in small letters": (lambda: token(head={"alg": "rs256"}), Reason.ALGORITHM),
    # the key
    "a key of one's own": (lambda: foreign(), Reason.SIGNATURE),
    "a key of one's own under its own name": (lambda: foreign(kid=OWN_JWK["kid"]), Reason.UNKNOWN_KEY),
    "embedded jwk": (lambda: foreign(kid=OWN_JWK["kid"], jwk=OWN_JWK), Reason.MALFORMED),
    "embedded jwk under the genuine name": (lambda: foreign(jwk=OWN_JWK), Reason.MALFORMED),
    "jku": (lambda: foreign(jku="https://evil.test/jwks.json"), Reason.MALFORMED),
    "x5u": (lambda: foreign(x5u="https://evil.test/cert.pem"), Reason.MALFORMED),
    "x5c": (lambda: foreign(x5c=[base64.b64encode(DER).decode()]), Reason.MALFORMED),
    "kid is a path": (lambda: foreign(kid="../../../../dev/null"), Reason.MALFORMED),
    "kid is a path to the empty file, signed with the empty key": (
        lambda: hs256(b"", kid="../../../../dev/null"),
        Reason.ALGORITHM,
    ),
    "kid is SQL": (lambda: foreign(kid="x' UNION SELECT 'secret' -- "), Reason.MALFORMED),
    "kid is a URL": (lambda: foreign(kid="https://evil.test/key"), Reason.MALFORMED),
    "kid of another tenant's key": (lambda: foreign(kid=jwk_of(OWN[0])["kid"]), Reason.UNKNOWN_KEY),
    "kid is a number": (lambda: token(head={"kid": 0}), Reason.MALFORMED),
    "kid is null": (lambda: token(head={"kid": None}), Reason.MALFORMED),
    "no kid": (lambda: token(head={"kid": GONE}), Reason.MALFORMED),
    "empty kid": (lambda: token(head={"kid": ""}), Reason.MALFORMED),
    # the header
    "crit": (lambda: token(head={"crit": ["exp"]}), Reason.MALFORMED),
    "unencoded payload": (lambda: token(head={"b64": False, "crit": ["b64"]}), Reason.MALFORMED),
    "typ JWT": (lambda: token(head={"typ": "JWT"}), Reason.TYPE),
    "typ at+jwt": (lambda: token(head={"typ": "at+jwt"}), Reason.TYPE),
    "no typ": (lambda: token(head={"typ": GONE}), Reason.TYPE),
    "zip": (lambda: token(head={"zip": "DEF"}), Reason.MALFORMED),
    # time
    "no exp": (lambda: token(exp=GONE), Reason.CLAIMS),
    "exp too far": (lambda: token(exp=NOW + 301), Reason.LIFETIME),
    "exp for ever": (lambda: token(exp=2**52), Reason.LIFETIME),
    "exp before iat": (lambda: token(exp=NOW - 1), Reason.LIFETIME),
    "exp as text": (lambda: token(exp=str(NOW + 120)), Reason.CLAIMS),
    "exp as a fraction": (lambda: token(exp=NOW + 0.5), Reason.CLAIMS),
    "exp as true": (lambda: token(exp=True), Reason.CLAIMS),
    "exp not a number": (lambda: raw_claims(json.dumps({**CLAIMS, "exp": float("nan")}).encode()), Reason.MALFORMED),
    "expired": (lambda: token(iat=NOW - 200, nbf=NOW - 200, exp=NOW - 80), Reason.EXPIRED),
    "nbf in the future": (lambda: token(nbf=NOW + 60), Reason.NOT_YET),
    "issued in the future": (lambda: token(iat=NOW + 60, nbf=NOW, exp=NOW + 180), Reason.NOT_YET),
    "no nbf": (lambda: token(nbf=GONE), Reason.CLAIMS),
    # for somebody or something else
    "another audience": (lambda: token(aud="notes"), Reason.AUDIENCE),
    "several audiences": (lambda: token(aud=["payments", "notes"]), Reason.CLAIMS),
    "an audience in capitals": (lambda: token(aud="Payments"), Reason.AUDIENCE),
    "another issuer": (lambda: token(iss="intended-gateway.evil.test"), Reason.ISSUER),
    "another tenant": (lambda: token(tenant="globex"), Reason.TENANT),
    "another tool": (lambda: token(tool="refund"), Reason.TARGET),
    "another upstream": (lambda: token(upstream="notes"), Reason.TARGET),
    "a REST intent of the same name": (
        lambda: token(upstream=GONE, tool=GONE, action="transfer", system="payments"),
        Reason.TARGET,
    ),
    "other arguments": (lambda: token(argsDigest=hashlib.sha256(b'{"amount":500}').hexdigest()), Reason.ARGUMENTS),
    "no digest": (lambda: token(argsDigest=GONE), Reason.CLAIMS),
    "no id": (lambda: token(jti=GONE), Reason.CLAIMS),
    # the text
    "a claim changed": (lambda: patched("tool", "transfer "), Reason.SIGNATURE),
    "the agent changed": (lambda: patched("sub", "admin"), Reason.SIGNATURE),
    "a claim twice": (lambda: raw_claims(TWICE), Reason.MALFORMED),
    "claims that are a list": (lambda: raw_claims(json.dumps([CLAIMS]).encode()), Reason.MALFORMED),
    "signature cut short": (lambda: token()[:-10], Reason.SIGNATURE),
    "signature of one byte": (lambda: ".".join([*token().split(".")[:2], "AA"]), Reason.SIGNATURE),
    "signature of zeros": (lambda: ".".join([*token().split(".")[:2], b64(bytes(256))]), Reason.SIGNATURE),
    "no signature": (lambda: ".".join(token().split(".")[:2]), Reason.MALFORMED),
    "base64 padding": (lambda: token() + "==", Reason.MALFORMED),
    "base64 of the other alphabet": (lambda: token().replace("-", "+").replace("_", "/") + "+", Reason.MALFORMED),
    "garbage": (lambda: "%%%.%%%.%%%", Reason.MALFORMED),
    "a part that is no JSON": (lambda: f"{b64(b'{')}.{token().split('.', 1)[1]}", Reason.MALFORMED),
    "flattened JSON serialisation": (lambda: json_form(flattened=True), Reason.MALFORMED),
    "general JSON serialisation": (lambda: json_form(flattened=False), Reason.MALFORMED),
    "an encrypted token": (encrypted, Reason.MALFORMED),
    "Bearer before it": (lambda: f"Bearer {token()}", Reason.MALFORMED),
    "two tokens in one": (lambda: f"{token()},{token()}", Reason.MALFORMED),
}


@pytest.fixture
async def server() -> Guarded:
    return Guarded()


@pytest.mark.parametrize("where", ["header", "meta"])
@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_reaches_nobody(server: Guarded, name: str, where: str) -> None:
    """More than the twenty that the issue asks for."""
    make, reason = FORGERIES[name]
    forged = make()
    answer = await server.call(**{where: forged})
    assert (answer.status, server.ran) == (403, 0)
    assert server.refusals[0].reason is reason
    assert (await server.call(token())).status == 200


async def test_a_used_token_in_another_spelling_is_refused(server: Guarded) -> None:
    """The id is what counts, and a token has one spelling."""
    assert (await server.call(token())).status == 200
    for again in (token(), respelt()):
        assert (await server.call(again)).status == 403
    assert server.ran == 1


async def test_a_token_is_good_for_its_own_arguments_only(server: Guarded) -> None:
    """The genuine token beside other arguments, more of them, another tool."""
    for changes in ({"arguments": {"amount": 500}}, {"arguments": {**ARGUMENTS, "to": "x"}}, {"tool": "refund"}):
        assert (await server.call(token(), **changes)).status == 403  # type: ignore[arg-type]
    assert server.ran == 0


@pytest.mark.parametrize(
    ("header", "meta", "headers"),
    [
        (token(), token(jti="tok_2"), []),
        (token(), "", []),
        (token(), None, [(b"intended-authority", token(jti="tok_2").encode())]),
        (token(), None, [(b"Intended-Authority", b"forged")]),
        (token(), token(), [(b"intended-authority", token().encode())]),
        (token(), [token()], []),
        (None, [token()], []),
        (None, {"token": token()}, []),
        ("", None, []),
    ],
)
async def test_two_tokens_are_none(server: Guarded, header: Any, meta: Any, headers: Any) -> None:
    """Whoever is behind may take the other one."""
    answer = await server.call(header, meta, headers=headers)
    assert (answer.status, server.ran) == (403, 0)
    assert server.refusals[0].reason is Reason.MALFORMED


async def test_a_token_in_another_place_is_none(server: Guarded) -> None:
    """Arguments, query and other headers are the agent's to write."""
    lines = [(b"authorization", b"Bearer " + token().encode()), (b"x-intended-authority", token().encode())]
    answer = await server.call(headers=lines, arguments={**ARGUMENTS, "_meta": {"so.intended/authority": token()}})
    assert (answer.status, server.refusals[0].reason) == (403, Reason.MISSING)
