"""Public keys: which ones count, for how long, and what happens when they cannot be had."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError

import pytest

from intended.verify.keys import JWKS_BYTES, JwksUrl, StaticKeys
from tests.golden.tokens_by_hand import jwk_of
from tests.intended.verify.guarded import JWKS, KID

[JWK] = JWKS["keys"]
OTHER = jwk_of((1 << 2047) + 9)


class Service:
    """A JWKS endpoint on loopback; `document` is what it answers, `asked` how often it was asked."""

    def __init__(self) -> None:
        self.document: Any = JWKS
        self.status = 200
        self.asked = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked += 1
                raw = service.document if isinstance(service.document, bytes) else json.dumps(service.document).encode()
                self.send_response(service.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/.well-known/jwks/acme.json"


@pytest.fixture
def service() -> Iterator[Service]:
    one = Service()
    thread = threading.Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield one
    one.server.shutdown()
    thread.join(5)
    one.server.server_close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# --- a set at hand ----------------------------------------------------------------------------------------------------


def test_a_key_is_found_by_its_whole_name_only() -> None:
    """No path, no pattern, no fallback to the only key."""
    keys = StaticKeys(JWKS)
    assert keys.get(KID) is not None
    assert [keys.get(name) for name in ("", KID[:-1], KID.lower(), "../" + KID)] == [None] * 4


@pytest.mark.parametrize(
    "change",
    [{"kty": "EC"}, {"kty": "oct", "k": "c2VjcmV0"}, {"alg": "RS512"}, {"use": "enc"}, {"n": JWK["n"][:170]}],
)
def test_a_key_that_may_not_sign_does_not_count(change: dict[str, str]) -> None:
    """Other kinds, other uses, and RSA below 2048 bits. A set of such keys only is an error."""
    with pytest.raises(ValueError, match="no usable RSA key"):
        StaticKeys({"keys": [{**JWK, **change}]})
    assert StaticKeys({"keys": [{**OTHER, **change, "kid": "x"}, JWK]}).get("x") is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"keys": {}},
        {"keys": [3]},
        {"keys": [JWK, JWK]},
        {"keys": [{**JWK, "d": "AQAB"}]},
        {"keys": [{**JWK, "kid": 3}]},
        {"keys": [{name: value for name, value in JWK.items() if name != "kid"}]},
        {"keys": [{**JWK, "n": "!"}]},
    ],
)
def test_what_is_no_jwk_set_is_an_error(document: Any) -> None:
    """Nor one with a private key, a key without a name, or one name twice."""
    with pytest.raises(ValueError):  # noqa: PT011 - any text will do
        StaticKeys(document)


# --- a set at a URL ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://gateway.test/jwks.json", "file:///etc/passwd", "ftp://127.0.0.1/x", "jwks"])
def test_a_url_that_somebody_could_answer_for_is_refused(url: str) -> None:
    """Whoever can answer in its place can make every token."""
    with pytest.raises(ValueError, match="not https"):
        JwksUrl(url)


def test_plain_http_beyond_this_machine_has_to_be_asked_for() -> None:
    """A network of containers may be trusted; that is for the operator to say."""
    JwksUrl("http://gateway:8787/.well-known/jwks.json", insecure_http=True)
    JwksUrl("https://gateway.test/.well-known/jwks.json")


def test_keys_are_fetched_once_and_kept(service: Service, clock: Clock) -> None:
    """One request for many calls."""
    keys = JwksUrl(service.url, monotonic=clock)
    assert all(keys.get(KID) is not None for _ in range(5))
    assert service.asked == 1


def test_an_unknown_key_asks_anew_but_not_for_every_stranger(service: Service, clock: Clock) -> None:
    """A rotated key is found at once; a flood of made-up names costs one request in ten seconds."""
    keys = JwksUrl(service.url, monotonic=clock, refetch_s=10)
    keys.get(KID)
    service.document = {"keys": [JWK, OTHER]}
    assert keys.get(OTHER["kid"]) is None, "asked a moment ago"
    clock.now = 10
    assert keys.get(OTHER["kid"]) is not None
    for number in range(50):
        keys.get(f"made-up-{number}")
    assert service.asked == 2


def test_a_key_that_was_withdrawn_is_not_used_for_long(service: Service, clock: Clock) -> None:
    """Renewed at half of its age, so that a revoked key dies in time."""
    keys = JwksUrl(service.url, monotonic=clock, max_age_s=300)
    keys.get(KID)
    service.document = {"keys": [OTHER]}
    clock.now = 151
    assert keys.get(KID) is None


@pytest.mark.parametrize("failure", ["status", "redirect", "garbage", "large", "no set"])
def test_keys_that_cannot_be_renewed_are_used_while_they_are_young_only(
    service: Service, clock: Clock, failure: str
) -> None:
    """A short outage of the gateway stops nobody; a long one must not keep revoked keys alive."""
    keys = JwksUrl(service.url, monotonic=clock, max_age_s=300, refetch_s=10)
    keys.get(KID)
    service.status = {"status": 500, "redirect": 302}.get(failure, 200)
    service.document = {"garbage": b"<html>", "large": b" " * (JWKS_BYTES + 1), "no set": {}}.get(failure, JWKS)
    clock.now = 160
    assert keys.get(KID) is not None
    clock.now = 301
    with pytest.raises((OSError, ValueError)):
        keys.get(KID)
    with pytest.raises(OSError, match="too old"):
        keys.get(KID)
    assert service.asked == 3
    service.status, service.document = 200, JWKS
    clock.now = 311
    assert keys.get(KID) is not None


@pytest.mark.parametrize("status", [302, 500])
def test_an_answer_that_brings_no_keys_is_not_left_open(service: Service, status: int) -> None:
    """The error is the answer, with its connection: whoever asks for years must not gather them."""
    service.status = status
    with pytest.raises(HTTPError) as refused:
        JwksUrl(service.url).get(KID)
    assert refused.value.closed


def test_a_service_that_cannot_be_reached_gives_no_key(clock: Clock) -> None:
    """Not None, which would say that the key is unknown."""
    with pytest.raises(OSError, match="refused"):
        JwksUrl("http://127.0.0.1:1/jwks.json", monotonic=clock).get(KID)
