"""Sealing of evaluation inputs under the data key: AES-256-GCM, bound to the entry they belong to.

Owns the sealed form and the key file. How long an input is kept is the store's.

A sealed input is one byte of version, 16 bytes of series, 12 bytes of counter, then ciphertext and tag. Each process
start draws a series and derives a key of its own from it (HKDF-SHA256), under which the nonces count up: random nonces
under one key would have to end after 2^32 inputs.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import StoreError, StoreRefused

__all__ = ["KEY_BYTES", "Sealer", "data_key"]

KEY_BYTES = 32
_VERSION = b"\x01"
_SERIES_BYTES = 16
_NONCE_BYTES = 12
_HEAD_BYTES = 1 + _SERIES_BYTES + _NONCE_BYTES
_INFO = b"so.intended/input/v1"


class Sealer:
    """Seals from one thread (the nonces count up); opens from any."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise StoreRefused(
                f"the data key has {len(key)} bytes instead of {KEY_BYTES}",
                remedy=f"give exactly {KEY_BYTES} random bytes, or none to have a key made",
            )
        self._cipher_of = lru_cache(maxsize=64)(lambda series: _cipher(key, series))
        series = secrets.token_bytes(_SERIES_BYTES)
        self._own = self._cipher_of(series)
        self._head = _VERSION + series
        self._count = 0

    def seal(self, plain: bytes, *, tenant: str, intent_id: str, entry_id: str) -> bytes:
        """Return `plain` encrypted and bound to its entry."""
        nonce = self._count.to_bytes(_NONCE_BYTES, "big")
        self._count += 1
        return self._head + nonce + self._own.encrypt(nonce, plain, _bound_to(tenant, intent_id, entry_id))

    def unseal(self, sealed: bytes, *, tenant: str, intent_id: str, entry_id: str) -> bytes:
        """Return what was sealed.

        Raises:
            StoreError: it was sealed under another key or for another entry, or was changed since.
        """
        if sealed[:1] != _VERSION or len(sealed) < _HEAD_BYTES:
            raise StoreError("an evaluation input has a form that this version does not know")
        cipher = self._cipher_of(sealed[1 : 1 + _SERIES_BYTES])
        nonce = sealed[1 + _SERIES_BYTES : _HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], _bound_to(tenant, intent_id, entry_id))
        except InvalidTag as error:
            raise StoreError("an evaluation input does not open: wrong data key or entry, or it was changed") from error


def data_key(path: Path) -> bytes:
    """Return the key in the file at `path`, which is made on first use, readable by its owner only.

    Raises:
        StoreRefused: the file cannot be read or written, or holds no key.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = path.read_bytes() if path.exists() else _new_key(path)
    except OSError as error:
        raise StoreRefused(
            f"the data key {path} cannot be used: {error.strerror}",
            remedy="make the folder writable for the gateway's user, or give the key by a setting",
        ) from error
    if len(key) != KEY_BYTES:
        raise StoreRefused(
            f"the data key {path} has {len(key)} bytes instead of {KEY_BYTES}",
            remedy="put the right file back; without it the stored evaluation inputs cannot be read",
        )
    return key


def _new_key(path: Path) -> bytes:
    """Write a fresh key so that a crash leaves either none or the whole of it."""
    key = secrets.token_bytes(KEY_BYTES)
    temporary = path.with_suffix(".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, key)
        os.fsync(handle)
    finally:
        os.close(handle)
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return key


def _cipher(key: bytes, series: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=series, info=_INFO).derive(key))


def _bound_to(tenant: str, intent_id: str, entry_id: str) -> bytes:
    """Return the associated data; lengths in front, so that no two entries share one reading."""
    return f"{len(tenant)}:{tenant}|{len(intent_id)}:{intent_id}|{len(entry_id)}:{entry_id}".encode()
