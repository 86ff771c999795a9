"""Sends webhooks: signs them, finds out where a URL leads, and makes one attempt at a time."""
