"""Is it fit to be released? What a project declares, how each check judges, and who overrode one."""

from mainspring.checks.spec import latency, metric, not_worse_than_champion, schema, slices, too_good_to_be_true

__all__ = ["latency", "metric", "not_worse_than_champion", "schema", "slices", "too_good_to_be_true"]
