"""The audit chain: entry v1, canonical bytes, links, and a verifier that shares no code with the writer."""
