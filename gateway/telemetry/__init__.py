"""Operator log and metrics."""
