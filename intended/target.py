"""Where requests go and what they carry: base URL, key and bounds of one client, checked when it is made."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from intended import __version__

__all__ = ["BASE_URL_VARIABLE", "DEFAULT_BASE_URL", "Target", "target"]

DEFAULT_BASE_URL: Final = "http://127.0.0.1:8787"
"""The gateway's own default address. Never a public host: a key is sent only where somebody said so."""

BASE_URL_VARIABLE: Final = "INTENDED_API_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A service and the credential for it. The key and the headers that carry it are not in the representation."""

    base_url: str
    tenant_id: str
    timeout: float
    retries: int
    key: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    def hide(self, text: str) -> str:
        """Return a text of the service without the key, should it have been echoed."""
        return text.replace(self.key, "[key]") if self.key else text


def target(
    *,
    api_key: str | None,
    tenant_id: str | None,
    base_url: str | None,
    timeout: float,
    retries: int,
    session_id: str | None = None,
) -> Target:
    """Return the target of a client. Raises ValueError, which never shows the key.

    A human's portal session (`session_id`) takes the place of a key; with neither only public routes answer.

    `base_url` beats the environment variable INTENDED_API_URL, that beats the address of a gateway on this machine.
    """
    for name, secret in (("api_key", api_key), ("session_id", session_id)):
        if secret is not None and not (secret and secret.isascii() and secret.isprintable() and " " not in secret):
            raise ValueError(f"{name} must be as it was issued: printable ASCII without spaces")
    if api_key is not None and session_id is not None:
        raise ValueError("api_key and session_id are two credentials; give one, the service refuses both together")
    if tenant_id is not None and (not tenant_id.isascii() or not tenant_id.isprintable() or not tenant_id.strip()):
        raise ValueError("tenant_id must be printable ASCII")
    if not math.isfinite(timeout) or timeout <= 0:
        raise ValueError("timeout must be a number of seconds above 0")
    if retries < 0:
        raise ValueError("retries must not be negative")
    headers = {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"intended-python/{__version__}",
    }
    if api_key is not None:
        headers["authorization"] = f"Bearer {api_key}"
    if session_id is not None:
        headers["x-portal-session-id"] = session_id
    if tenant_id is not None:
        headers["x-tenant-id"] = tenant_id
    return Target(
        base_url=_base(base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL),
        tenant_id=tenant_id or _tenant_of(api_key or ""),
        timeout=timeout,
        retries=retries,
        key=api_key or session_id or "",
        headers=headers,
    )


def _base(url: str) -> str:
    """Return the base URL without a trailing slash or `/v1`: routes that have that prefix bring it themselves."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _has_port(parts):
        raise ValueError("base_url must be an http or https address")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("base_url must hold no user name, password, query or fragment")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"


def _has_port(parts: SplitResult) -> bool:
    """Return True where the port, if there is one, is one: it is looked at only when it is asked for."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _tenant_of(api_key: str) -> str:
    """Return the tenant that a key names (`intendedops_<tenantId>_<secret>`), empty where it names none."""
    prefix, _, rest = api_key.partition("_")
    tenant, _, secret = rest.rpartition("_")
    return tenant if prefix == "intendedops" and secret else ""
