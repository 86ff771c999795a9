"""`python -m intended.evidence FILE`: check a bundle on a machine that has nothing but Python and `cryptography`."""

import argparse
import sys
from pathlib import Path

from intended.evidence.command import check


def main() -> int:
    """Read the command line, check, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m intended.evidence", description="Check an evidence bundle.")
    parser.add_argument("file", type=Path, help="The bundle.")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        help="A key to believe: JWK, JWK set or PEM; its thumbprint; or the https URL of a JWK set. May be repeated.",
    )
    parser.add_argument("--secret-file", type=Path, help="File with the tenant's evidence secret.")
    parser.add_argument("--export", type=Path, help="Export of the chain, to see that no entry was left out.")
    given = parser.parse_args()
    try:
        return check(given.file, keys=given.key, secret=given.secret_file, export=given.export)
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
