"""Rehearsal: a release played on logged traffic, by the same code that steps a live one."""
