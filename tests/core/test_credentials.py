"""The text of credentials: two readers find the same tenant and secret, and what is no credential is not one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.credentials import (
    MAX_CHARS,
    SECRET_CHARS,
    KeyFormat,
    PresentedKey,
    digest,
    is_tenant_id,
    make_key,
    parse,
)

SECRET = "xK9mN2pQ7rS4tU6vxK9mN2"
TENANTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True)


@given(tenant=TENANTS, chance=st.text(min_size=1), format_=st.sampled_from(KeyFormat))
def test_what_is_made_is_read_back(tenant: str, chance: str, format_: KeyFormat) -> None:
    """Also with underscores in the tenant: the secret begins after the last one (contract, "Authentication")."""
    text = make_key(format_, tenant, chance.encode("utf-8", "replace").decode())
    assert parse(text) == PresentedKey(format=format_, tenant=tenant if format_ is KeyFormat.INTENDEDOPS else "")
    secret = text.rpartition("_")[2]
    assert re.fullmatch(rf"[A-Za-z0-9]{{{SECRET_CHARS}}}", secret)
    assert len(text) <= MAX_CHARS


@pytest.mark.parametrize(
    ("text", "tenant"),
    [
        (f"intendedops_tenant123_{SECRET}", "tenant123"),
        (f"intendedops_a_b-c_{SECRET}", "a_b-c"),
        (f"intendedops_a__{SECRET}", "a_"),
        (f"intendedops_intendedops_x_{SECRET}", "intendedops_x"),
    ],
)
def test_the_tenant_ends_before_the_last_underscore(text: str, tenant: str) -> None:
    """A tenant may have underscores, a secret may not."""
    assert parse(text) == PresentedKey(format=KeyFormat.INTENDEDOPS, tenant=tenant)


@pytest.mark.parametrize("mode", ["live", "test"])
def test_keys_of_the_other_format_name_no_tenant(mode: str) -> None:
    """It is looked up with the key."""
    assert parse(f"mrt_{mode}_{SECRET}") == PresentedKey(format=KeyFormat(f"mrt_{mode}"), tenant="")


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        f"intendedops_{SECRET}",
        f"intendedops__{SECRET}",
        f"intendedops_-a_{SECRET}",
        f"intendedops__a_{SECRET}",
        f"intendedops_{'a' * 64}_{SECRET}",
        f"intendedops_a_{SECRET[:-1]}",
        f"intendedops_a_{SECRET}-",
        f"intendedops_a_{'x' * 129}",
        f"intendedops_ä_{SECRET}",
        f"intendedops_a_{SECRET[:-1]}٣",
        f"intendedops_a_{SECRET}\n",
        f" intendedops_a_{SECRET}",
        f"INTENDEDOPS_a_{SECRET}",
        f"mrt_prod_{SECRET}",
        f"mrt_live_a_{SECRET}",
        f"mrt_live{SECRET}",
        f"ps_{SECRET}",
        "intendedops_a_" + "x" * 10_000,
    ],
)
def test_what_has_no_known_form_is_no_key(text: str) -> None:
    """Too short, too long, other letters, other case, white space: refused before it is looked up."""
    assert parse(text) is None


def test_the_longest_key_is_still_read() -> None:
    """The bound must not cut off what the format allows."""
    text = f"intendedops_{'a' * 63}_{'x' * 128}"
    assert len(text) == MAX_CHARS
    assert parse(text) is not None


def test_different_chances_make_different_keys() -> None:
    """All bits of the chance count."""
    assert len({make_key(KeyFormat.MRT_LIVE, "a", str(number)) for number in range(1000)}) == 1000


@pytest.mark.parametrize("tenant", ["", "_system", "-a", "a b", "a" * 64, "ä", "a\n"])
def test_no_key_is_made_for_what_is_no_tenant(tenant: str) -> None:
    """The gateway's own tenant included: its chain is nobody's to write to."""
    assert not is_tenant_id(tenant)
    with pytest.raises(ValueError, match="not a tenant id"):
        make_key(KeyFormat.INTENDEDOPS, tenant, "chance")


def test_the_digest_is_of_the_whole_text() -> None:
    """The tenant in a key is covered by it: crossed parts of two keys are nobody's."""
    assert len({digest(f"intendedops_{tenant}_{SECRET}") for tenant in ("a", "b")}) == 2
    assert len(digest("\udcff")) == 32
