"""Fails where a package that must be covered to the last branch is not: `gateway/core` and `gateway/services`.

python tests/house/coverage_gate.py COVERAGE.JSON
"""

import json
import sys
from pathlib import Path

WHOLE = ("gateway/core/", "gateway/services/")
"""A branch here that no test takes is a decision that nobody has looked at."""


def gaps(report: dict) -> list[str]:
    """Return a line for each module of `WHOLE` that is not covered wholly."""
    found = []
    for name, file in sorted(report["files"].items()):
        path = name.replace("\\", "/")
        missing = [*file["missing_lines"], *("→".join(map(str, branch)) for branch in file.get("missing_branches", []))]
        if path.startswith(WHOLE) and missing:
            found.append(f"{path}: not covered: {', '.join(map(str, missing))}")
    return found


def main() -> int:
    """Print the gaps; the exit status says whether there are any."""
    report = json.loads(Path(sys.argv[1]).read_text())
    if not any(name.replace("\\", "/").startswith(WHOLE) for name in report["files"]):
        print("the report covers none of", ", ".join(WHOLE))
        return 1
    found = gaps(report)
    print("\n".join(found) if found else f"every branch of {' and '.join(WHOLE)} is covered")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
