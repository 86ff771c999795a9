"""Where the settings come from: flag > `INTENDED_GATEWAY_*` environment > `intended.yaml` > default.

Owns reading, merging and explaining the sources; what can be set is `gateway/settings.py`. Read by `app.py`'s callers
(the command line, the demo) only. Nothing is skipped: an unknown key and an unknown variable under the prefix are
errors, each with its place and what to do.
"""

from gateway.configuration.layers import Layer, Origin
from gateway.configuration.resolve import Resolved, resolve

__all__ = ["Layer", "Origin", "Resolved", "resolve"]
