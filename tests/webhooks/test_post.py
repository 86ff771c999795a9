"""The wire of a delivery is asked through the courier (`test_courier.py`); here is what it costs who sends nothing."""

import subprocess
import sys


def test_a_gateway_that_sends_nothing_does_not_load_the_http_client() -> None:
    """It is an eighth of the start, and most gateways have no webhook."""
    program = "import sys, gateway.app; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
