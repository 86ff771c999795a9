"""Addresses of metadata services and private networks are found in every spelling that a resolver reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.intent.content_addresses import (
    MAX_HOSTS,
    METADATA_NAMES,
    UNREAD,
    hosts_of,
    metadata_host,
    named_metadata,
    private_host,
)
from gateway.core.intent.signals import fold


def is_metadata(text: str) -> bool:
    folded = fold(text)
    return named_metadata(folded) or any(map(metadata_host, hosts_of(folded)))


def is_private(text: str, *, is_host: bool = False) -> bool:
    return any(map(private_host, hosts_of(fold(text), is_host=is_host)))


@pytest.mark.parametrize(
    "text",
    [
        "http://169.254.169.254/latest/meta-data", "169.254.169.254", "http://2852039166/", "http://0xa9fea9fe/",
        "http://0xA9.0xFE.0xA9.0xFE/", "http://0251.0376.0251.0376/", "http://169.254.43518/", "http://169.16689662/",
        "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/", "http://[fd00:ec2::254]/",
        "http://[fd00:0ec2::254]/",
        "http://metadata.google.internal/computeMetadata/v1/", "http://user@169.254.169.254/",
        "http://100.100.100.200/",
        "http://169.254.169.254.nip.io/", "http://%31%36%39.254.169.254/", "http://１６９.254.169.254/",
        "[64:ff9b::a9fe:a9fe]",
        "http://[2002:a9fe:a9fe::]/", "http://[::a9fe:a9fe]/", "http://169.254.169.254。/",
        "curl http://169.254.170.2/v2",
        "http://169.254.1.1/",
    ],
)  # fmt: skip
def test_metadata_services_are_found(text: str) -> None:
    """These addresses hand the machine's credentials to whoever asks."""
    assert is_metadata(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8080", "http://127.0.0.1", "http://127.1/", "http://0/", "http://[::1]/", "http://10.0.0.5/x",
        "http://192.168.1.1", "http://172.16.0.1", "http://100.64.0.1", "http://db.internal", "http://x.local",
        "127.0.0.1:5432",
        "http://[::]/", "http://[fe80::1%25eth0]/", "http://foo.nip.io", "localhost", "10.0.0.5",
        "http://017700000001/",
        "//localhost/x", "see http://10.1.2.3/x and more",
    ],
)  # fmt: skip
def test_private_addresses_are_found(text: str) -> None:
    """An upstream inside the network can reach what the agent must not."""
    assert is_private(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/", "http://8.8.8.8", "10", "10.2", "1.2.3", "12:30:45", "http://999.1.1.1/",
        "http://1.2.3.4.5/",
        "http://[zz::1]/", "two words", "", "notes://1", "x see notes://10/2", "http://0x/", "http://08/",
        "http://1.2.3.999/", "http:///path", "http://224.0.0.1/",
        "http://0xfffffffffffff/", "http://1.٣.3.4/", "2001:db8:zz", "5:7", "http://[2606:4700::1111]/",
    ],
)  # fmt: skip
def test_public_addresses_and_numbers_are_left_alone(text: str) -> None:
    """Versions, times and public hosts are ordinary."""
    assert not is_private(text)
    assert not is_metadata(text)


@pytest.mark.parametrize(
    "text", ["http:/127.0.0.1/", "http:127.0.0.1", "http:\\\\10.0.0.1\\x", "https:///10.0.0.1", "http://12\t7.0.0.1"]
)
def test_addresses_are_read_as_leniently_as_browsers_do(text: str) -> None:
    """A fetching upstream may forgive what a strict reader would not."""
    assert is_private(text, is_host=True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "http://jenkins/",
            "https://intranet:8443/x",
            "http://lvh.me/",
            "http://a@b@c.example/",
            "http://vault.service.consul/",
        ),
        *("http://1.1.1.1 &@2.2.2.2# @8.8.8.8/", "http://a.example\x00.b.example/", "http://7f000001.x.rbndr.us/"),
    ],
)
def test_an_address_that_only_one_network_or_reader_understands_is_private(text: str) -> None:
    """Where readers disagree which host is meant, the upstream's reading is not known."""
    assert is_private(text, is_host=True)


@pytest.mark.parametrize("text", ["notes://one/x", "https://u@example.com/x@y"])
def test_other_addresses_of_one_word_are_left_alone(text: str) -> None:
    """An id under a scheme of one's own is no host."""
    assert not is_private(text, is_host=True)


def test_a_bare_number_is_a_host_where_the_argument_is_meant_for_one() -> None:
    """An id of 167772161 is no address; a host of that number is 10.0.0.1."""
    assert is_private("167772161", is_host=True)
    assert not is_private("167772161")


def test_more_hosts_than_are_read_count_as_private() -> None:
    """What was not looked at may not pass as harmless."""
    assert list(hosts_of("http://a.io " * (MAX_HOSTS + 1)))[-1] == UNREAD
    assert UNREAD not in hosts_of("http://a.io " * MAX_HOSTS)
    assert private_host(UNREAD)


@given(st.sampled_from(METADATA_NAMES), st.text(max_size=80), st.text(max_size=80))
def test_a_metadata_service_is_found_in_texts_of_any_length(name: str, before: str, after: str) -> None:
    """Ours: short and long texts are searched in two ways, which must find the same."""
    assert named_metadata(before + name + after)
    for text in (before, after, before + after):
        assert named_metadata(text) == any(known in text for known in METADATA_NAMES)
