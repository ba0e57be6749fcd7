"""How each check judges a candidate: pure functions of the check and what it looks at."""
