"""Single use: an id counts once, is never forgotten early, and a full memory takes no more."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from intended.verify.used import MemoryUsedIds


class Clock:
    def __init__(self) -> None:
        self.now = 1000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def use(ids: MemoryUsedIds, token_id: str, issued: float = 1000, expires: float = 1120) -> bool:
    return ids.use(token_id, issued=issued, expires=expires)


def test_an_id_counts_once(clock: Clock) -> None:
    """The second one is a replay."""
    ids = MemoryUsedIds(now=clock)
    assert [use(ids, "a"), use(ids, "a"), use(ids, "b")] == [True, False, True]


def test_of_many_at_once_one_wins() -> None:
    """Look and record are one step."""
    ids = MemoryUsedIds(now=lambda: 1000)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: use(ids, "a"), range(200))) == 1


def test_a_full_memory_takes_no_more_until_ids_have_expired(clock: Clock) -> None:
    """Forgetting one early would let it be used twice."""
    ids = MemoryUsedIds(2, now=clock)
    use(ids, "a")
    use(ids, "b", expires=1300)
    with pytest.raises(OverflowError):
        use(ids, "c")
    assert not use(ids, "a")
    clock.now = 1120 + ids.GRACE_S
    assert use(ids, "c")
    assert not use(ids, "b")


def test_ids_outlive_their_tokens_by_a_while(clock: Clock) -> None:
    """A clock that is set back must not make a used token good again."""
    ids = MemoryUsedIds(now=clock)
    use(ids, "a")
    clock.now = 1150
    use(ids, "b")
    clock.now = 1010
    assert not use(ids, "a")


def test_a_token_from_before_the_start_counts_as_used(clock: Clock) -> None:
    """It may have been used in the process before."""
    ids = MemoryUsedIds(now=clock)
    assert not use(ids, "old", issued=999)
    assert use(ids, "new", issued=1000)
