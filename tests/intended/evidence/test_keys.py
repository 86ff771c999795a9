"""Whom a checker believes: what it names, under the name that the key itself has."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.tokens import thumbprint
from intended.evidence import keys as module
from intended.evidence.keys import Key, KeyProblem, decoded, key_of, known_keys
from tests.simulate.evidence import Made


def pem(public: object) -> bytes:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]


def test_a_key_is_taken_from_each_form_under_its_thumbprint(made: Made, tmp_path: Path) -> None:
    """RFC 7638; the name that stands beside a key counts for nothing."""
    [jwk] = made.jwks["keys"]
    key = key_of({**jwk, "kid": "somebody"})
    assert key.kid == jwk["kid"] == thumbprint(jwk)
    assert key.public is not None
    files = {"jwk": json.dumps(jwk), "jwks": json.dumps(made.jwks), "pem": pem(key.public).decode()}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        [found] = known_keys(tmp_path / name)
        assert found.kid == jwk["kid"], name
        assert found.public is not None
    assert known_keys(jwk["kid"]) == (Key(kid=jwk["kid"]),)


def test_what_is_no_key_is_refused(made: Made, tmp_path: Path) -> None:
    """Nobody is believed by mistake."""
    [jwk] = made.jwks["keys"]
    short = rsa.generate_private_key(65537, 1024).public_key()
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    bad = {
        "private": json.dumps({**jwk, "d": "AQAB"}),
        "symmetric": json.dumps({"kty": "oct", "k": "AAAA"}),
        "another algorithm": json.dumps({**jwk, "alg": "RS512"}),
        "for encryption": json.dumps({**jwk, "use": "enc"}),
        "no number": json.dumps({**jwk, "n": "!"}),
        "no text": json.dumps({**jwk, "n": 5}),
        "even": json.dumps({**jwk, "e": "Ag"}),
        "endless": json.dumps({**jwk, "n": "A" * 4000 + "AQ"}),
        "list": "[]",
        "empty set": '{"keys": []}',
        "no set": '{"keys": 1}',
        "of texts": '{"keys": ["a"]}',
        "words": "hello",
        "broken PEM": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "short": pem(short).decode(),
        "foreign": pem(other).decode(),
    }
    for name, text in bad.items():
        (tmp_path / "key").write_text(text)
        with pytest.raises(KeyProblem):
            pytest.fail(f"{name}: {known_keys(tmp_path / 'key')}")
    with pytest.raises(OSError, match="No such file"):
        known_keys(tmp_path / "none")


@pytest.mark.parametrize("text", ["AB", "AA==", "A A", "A+/B", "A"])
def test_base64url_has_one_form(text: str) -> None:
    """Bits that no byte needs are zero: nothing of a signature is left to be changed."""
    with pytest.raises(ValueError):  # noqa: PT011 - the libraries word it
        decoded(text)


def test_a_key_that_is_known_by_name_only_has_signed_nothing() -> None:
    """It is compared with the one that a bundle brings."""
    assert not Key(kid="k").signed(b"", b"")


class Jwks(http.server.BaseHTTPRequestHandler):
    """Answers with `answer`; `/moved` leads elsewhere."""

    answer = b""

    def do_GET(self) -> None:
        moved = self.path == "/moved"
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("location", "/")
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(answer: bytes) -> Iterator[str]:
    handler = type("Answering", (Jwks,), {"answer": answer})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_keys_come_from_a_url_that_the_checker_names(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """From exactly there, and no more than a JWK set has."""
    with served(json.dumps(made.jwks).encode()) as url:
        assert [one.kid for one in known_keys(url)] == [made.jwks["keys"][0]["kid"]]
        with pytest.raises(HTTPError, match="302") as moved:
            known_keys(f"{url}/moved")
        assert moved.value.closed
        monkeypatch.setattr(module, "JWKS_BYTES", 10)
        with pytest.raises(KeyProblem, match="too large"):
            known_keys(url)
    with pytest.raises(OSError, match="refused"):
        known_keys(url)
    for wrong in ("http://gateway.example/keys", "ftp://127.0.0.1/keys", "file:///keys"):
        with pytest.raises(KeyProblem, match="https"):
            known_keys(wrong)
