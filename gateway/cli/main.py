"""The root of the command `intended`."""

__all__ = ["run"]


def run() -> None:
    """Run the command line."""
