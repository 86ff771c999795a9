"""What the gateway tells, and to whom: amounts are exact, and what would silently have no effect is refused."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from gateway.sections import AuthoritySettings, MetricsSettings, TracingSettings, ValueSettings


@pytest.mark.parametrize("amount", ["99.00", 99.1, 0, 1_000_000_000])
def test_an_amount_has_at_most_two_decimals(amount: object) -> None:
    """As YAML or the environment write it; the cent is exact."""
    amounts = ValueSettings.model_validate({"amounts": {"billing.send_invoice": amount}}).amounts
    assert amounts == {"billing.send_invoice": Decimal(str(amount))}


@pytest.mark.parametrize("amount", [1.005, -1, True, "NaN", "Infinity", "much", 1_000_000_001])
def test_what_is_no_amount_is_refused(amount: object) -> None:
    """A rounded amount would be another one."""
    with pytest.raises(ValidationError):
        ValueSettings.model_validate({"amounts": {"billing.send_invoice": amount}})


def test_an_amount_for_a_type_that_does_not_exist_is_refused_with_the_nearest() -> None:
    """It would silently never be earned."""
    with pytest.raises(ValidationError, match=r"'billing.send_invoce' is no intent type \(did you mean 'billing.send_"):
        ValueSettings.model_validate({"amounts": {"billing.send_invoce": 1}})


@pytest.mark.parametrize("currency", ["usd", "$", "EURO", ""])
def test_a_currency_is_a_code(currency: str) -> None:
    """ISO 4217."""
    with pytest.raises(ValidationError):
        ValueSettings(currency=currency)


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "ftp://x/", "http://user:pw@x/v1/traces", "http://", "http://a b/"]
)
def test_an_endpoint_of_spans_is_a_url_without_a_credential(endpoint: str) -> None:
    """Settings are shown; a credential belongs into `OTEL_EXPORTER_OTLP_HEADERS`."""
    with pytest.raises(ValidationError):
        TracingSettings(exporter="otlp", endpoint=endpoint)


def test_an_endpoint_without_its_exporter_is_refused() -> None:
    """Somebody thinks that there are traces."""
    with pytest.raises(ValidationError, match="does nothing without `exporter: otlp`"):
        TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces")
    assert TracingSettings(exporter="otlp", endpoint="http://[::1]:4318/v1/traces").endpoint
    assert TracingSettings().exporter == "none"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.org"])
def test_the_port_for_metrics_is_for_this_machine(host: str) -> None:
    """Its labels name tenants and agents, and it asks for no key."""
    with pytest.raises(ValidationError, match="must be a loopback address"):
        MetricsSettings(port=9100, host=host)
    assert MetricsSettings(port=9100, host="::1").host == "::1"


@pytest.mark.parametrize(
    "given",
    [
        {"url": "http://intended.example"},
        {"url": "ftp://intended.example"},
        {"url": "https://"},
        {"url": "intended.example"},
        {"url": "https://intended.example/?tenant=acme"},
        {"url": "https://intended.example/#x"},
        {"url": "https://user:secret@intended.example"},
        {"url": "https://intended.example", "tenant": "a/b"},
        {"url": "https://intended.example", "key": "k", "key_file": "f"},
        {"url": "https://intended.example", "timeout_s": 0},
        {"url": "https://intended.example", "timeout_s": 31},
        {"key": "k"},
        {"key_file": "f"},
    ],
    ids=str,
)
def test_an_authority_is_asked_safely_or_not_at_all(given: dict[str, object]) -> None:
    """The key would travel in the clear, to somewhere that nobody meant, or for nothing."""
    with pytest.raises(ValidationError) as caught:
        AuthoritySettings.model_validate(given)
    assert "secret" not in str(caught.value.errors(include_url=False, include_input=False))


@pytest.mark.parametrize("url", ["https://intended.example/base/", "http://127.0.0.1:8787", "http://[::1]:1", None])
def test_an_authority_is_a_url(url: str | None) -> None:
    """https, or http on this machine."""
    assert AuthoritySettings(url=url).url == url
