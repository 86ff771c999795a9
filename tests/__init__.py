"""Tests, mirroring `gateway/`; see the folders beside the mirror for suites that cut across."""
