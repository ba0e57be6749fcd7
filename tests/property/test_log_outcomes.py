import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from mainspring.log.outcomes import newest_revisions

SCHEMA = {
    "entity": pl.String, "value": pl.Float64, "event_us": pl.Int64, "known_us": pl.Int64, "label": pl.String
}  # fmt: skip
rows = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.sampled_from([0.0, 1.0, None]), st.integers(0, 1), st.integers(0, 4),
        st.sampled_from([None, "x", "y"]),
    ),
    max_size=12,
)  # fmt: skip


def by_hand(came):
    """The rule, row by row: ordered by when it was known, a row that repeats the one before it changes nothing."""
    found = {}
    for entity, value, event_us, known_us, label in sorted(came, key=lambda row: row[3]):
        before = found.get(entity)
        if before is None or (*before[:2], before[4]) != (value, event_us, label):
            found[entity] = (value, event_us, known_us, before[3] + 1 if before else 1, label)
    return found


@given(rows)
def test_the_newest_revision_is_what_the_rule_says(came):
    newest = newest_revisions(pl.DataFrame(came, schema=SCHEMA, orient="row"))
    assert {row[0]: row[1:] for row in newest.rows()} == by_hand(came)


@given(rows)
def test_hearing_everything_twice_changes_nothing(came):
    doubled = [row for row in came for _ in range(2)]
    once = newest_revisions(pl.DataFrame(came, schema=SCHEMA, orient="row"))
    twice = newest_revisions(pl.DataFrame(doubled, schema=SCHEMA, orient="row"))
    assert once.sort("entity").equals(twice.sort("entity"))
