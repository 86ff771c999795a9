"""How often the background jobs of this process have run, and how often they failed: what the metrics tell of them.

Owns the counts and nothing else: each job runs where it belongs, and says here how a run ended.
"""

from collections.abc import Mapping

__all__ = ["Jobs"]


class Jobs:
    """Counts runs by job. The names are ours, so there are few."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    def ran(self, name: str, *, well: bool = True) -> None:
        """Count one run of a job that has ended."""
        runs, failures = self._counts.get(name, (0, 0))
        self._counts[name] = (runs + 1, failures + (not well))

    @property
    def counts(self) -> Mapping[str, tuple[int, int]]:
        """By job: how often it has run, and how many of these runs failed."""
        return dict(self._counts)
