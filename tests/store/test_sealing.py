"""Sealed inputs open only with their key and for their entry; the key file is whole, private, and never made twice."""

import stat
from pathlib import Path

import pytest

from gateway.errors import StoreError, StoreRefused
from gateway.store.sealing import KEY_BYTES, Sealer, data_key

KEY = bytes(range(32))
ENTRY = {"tenant": "default", "intent_id": "int_1", "entry_id": "evt_1"}


def test_what_was_sealed_is_unsealed_by_another_process_with_the_key() -> None:
    """Design, "Audit entry v1": a verdict can be recomputed while the input is kept."""
    first, second = Sealer(KEY), Sealer(KEY)
    sealed = [first.seal(b"same", **ENTRY), first.seal(b"same", **ENTRY), second.seal(b"same", **ENTRY)]
    assert len(set(sealed)) == 3
    assert all(b"same" not in one for one in sealed)
    assert [second.unseal(one, **ENTRY) for one in sealed] == [b"same"] * 3


@pytest.mark.parametrize("other", [{"tenant": "b"}, {"intent_id": "int_2"}, {"entry_id": "evt_2"}])
def test_an_input_does_not_open_for_another_entry(other: dict[str, str]) -> None:
    """Issue, "Audit": bound to tenant, intent and entry, so that inputs cannot be exchanged in the store."""
    sealed = Sealer(KEY).seal(b"whole", **ENTRY)
    with pytest.raises(StoreError, match="does not open"):
        Sealer(KEY).unseal(sealed, **(ENTRY | other))


def test_names_that_read_alike_together_are_told_apart() -> None:
    """Ours: without lengths, `a|b` + `c` and `a` + `b|c` would be one."""
    sealed = Sealer(KEY).seal(b"whole", tenant="a|1:b", intent_id="c", entry_id="d")
    with pytest.raises(StoreError):
        Sealer(KEY).unseal(sealed, tenant="a", intent_id="b|1:c", entry_id="d")


def test_a_changed_input_another_key_or_form_does_not_open() -> None:
    """Ours: what does not open is gone, and is never guessed at."""
    sealed = Sealer(KEY).seal(b"whole", **ENTRY)
    with pytest.raises(StoreError):
        Sealer(KEY).unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), **ENTRY)
    with pytest.raises(StoreError):
        Sealer(bytes(32)).unseal(sealed, **ENTRY)
    for form in (b"", b"\x02" + sealed[1:], sealed[:20]):
        with pytest.raises(StoreError, match="form"):
            Sealer(KEY).unseal(form, **ENTRY)


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """Issue, "Audit": the key file is made at the first start, mode 0600."""
    path = tmp_path / "keys" / "data.key"
    key = data_key(path)
    assert len(key) == KEY_BYTES
    assert data_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["data.key"]


def test_a_key_of_another_length_is_refused_and_not_replaced(tmp_path: Path) -> None:
    """Ours: a new key would make every stored input unreadable."""
    path = tmp_path / "data.key"
    path.write_bytes(b"short")
    with pytest.raises(StoreRefused, match="5 bytes"):
        data_key(path)
    assert path.read_bytes() == b"short"
    with pytest.raises(StoreRefused, match="5 bytes"):
        Sealer(b"short")


def test_a_key_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Ours: the operator learns which file and what to do."""
    (tmp_path / "data.key").mkdir()
    with pytest.raises(StoreRefused, match="cannot be used") as caught:
        data_key(tmp_path / "data.key")
    assert caught.value.remedy
