"""The use cases: async, on core and ports only. One file, one verb that a person would say."""
