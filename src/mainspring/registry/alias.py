"""The names of the aliases that move by themselves; people may point others of their own."""

CHAMPION = "champion"  # what answers
CHALLENGER = "challenger"  # what is compared with it now
ANCHOR = "anchor"  # what a recipe first promoted, so that many small losses do not add up unseen
