"""Runs of background jobs, counted."""

from gateway.services.jobs import Jobs


def test_a_failed_run_counts_as_a_run_too() -> None:
    """A share of failures is failures by runs; a job that only fails must not look like one that never runs."""
    jobs = Jobs()
    jobs.ran("sweep")
    jobs.ran("sweep", well=False)
    jobs.ran("post", well=False)
    assert jobs.counts == {"sweep": (2, 1), "post": (1, 1)}
