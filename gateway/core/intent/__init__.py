"""What a call is judged to be for: taxonomy, evidence, classification, risk. Deterministic and explained."""
