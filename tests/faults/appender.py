"""A process that appends to an embedded store one entry after the other and says so after each: for strace.

python -m tests.faults.appender FOLDER COUNT
"""

import os
import sys
from pathlib import Path

import anyio

from tests.simulate.embedded import opened, record


async def main(folder: Path, count: int) -> None:
    async with opened(folder) as store:
        os.write(1, b"open\n")
        for number in range(1, count + 1):
            await record(store, opens=True, intent_id=f"int_{number}", evaluation_input=b"whole")
            os.write(1, b"durable %d\n" % number)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
