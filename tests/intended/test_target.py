"""Where a client asks, and that its key shows nowhere."""

import pytest

from intended.target import BASE_URL_VARIABLE, target
from tests.intended.answering import KEY, aimed


def test_an_address_beats_the_environment_and_that_beats_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a public host: a key goes only where somebody said so."""
    monkeypatch.delenv(BASE_URL_VARIABLE, raising=False)
    assert aimed(base_url=None).base_url == "http://127.0.0.1:8787"
    monkeypatch.setenv(BASE_URL_VARIABLE, "https://intended.example:8443/")
    assert aimed(base_url=None).base_url == "https://intended.example:8443"
    assert aimed(base_url="http://10.0.0.7").base_url == "http://10.0.0.7"


@pytest.mark.parametrize("url", ["http://h/v1", "http://h/v1/", "http://h/", "http://h"])
def test_the_base_may_have_the_prefix_or_not(url: str) -> None:
    """The documents write both, and no path may have it twice."""
    assert aimed(base_url=url).base_url == "http://h"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "h:8787",
        "http://",
        "http://me:pw@h",
        "http://h?x=1",
        "http://h#x",
        "/x",
        "http://h:99999",
        "http://h:x",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    """With the constructor, not with the first decision."""
    with pytest.raises(ValueError, match="base_url"):
        aimed(base_url=url)


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    """A line break would be another header."""
    with pytest.raises(ValueError, match="api_key") as caught:
        aimed(api_key=key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"tenant_id": "a\nb"}, {"tenant_id": " "}, {"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}]
)
def test_other_values_are_checked_too(change: dict[str, object]) -> None:
    """A time-out of nothing would deny everything, one of NaN nothing in time."""
    with pytest.raises(ValueError, match="must"):
        aimed(**change)


def test_the_tenant_is_taken_from_the_key_where_the_key_names_one() -> None:
    """Its secret begins after the last underscore, so that a tenant may have some."""
    assert aimed().tenant_id == "tenant123"
    assert aimed(api_key="intendedops_acme_west_abc").tenant_id == "acme_west"
    assert aimed(api_key="mrt_live_abc").tenant_id == ""
    assert aimed(api_key="mrt_live_abc", tenant_id="tenant-a").headers["x-tenant-id"] == "tenant-a"


def test_a_session_takes_the_place_of_a_key() -> None:
    """A human logs in; both together would be two credentials, which the service refuses."""
    session = aimed(api_key=None, session_id="ps_abc")
    assert session.headers["x-portal-session-id"] == "ps_abc"
    assert "authorization" not in session.headers
    assert "ps_abc" not in repr(session)
    with pytest.raises(ValueError, match="two credentials"):
        aimed(session_id="ps_abc")


def test_a_client_without_credential_asks_public_routes_only() -> None:
    """Health, key sets and logging in need none."""
    public = aimed(api_key=None)
    assert not {"authorization", "x-portal-session-id", "x-api-key"} & set(public.headers)
    assert public.hide("text") == "text"


def test_the_key_is_in_no_representation() -> None:
    """Representations end up in logs and tracebacks."""
    aim = target(api_key=KEY, tenant_id=None, base_url=None, timeout=1, retries=0)
    assert KEY not in repr(aim)
    assert "x-tenant-id" not in aim.headers
    assert aim.hide(f"unknown key {KEY}") == "unknown key [key]"
