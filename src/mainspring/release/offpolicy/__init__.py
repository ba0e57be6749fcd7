"""Off-policy value: what another way of choosing would have been worth, from draws that were really made."""
