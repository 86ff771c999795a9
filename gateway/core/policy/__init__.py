"""The policy language: documents, conditions in CEL, the compiled bundle, evaluation. Pure; YAML is read elsewhere."""
