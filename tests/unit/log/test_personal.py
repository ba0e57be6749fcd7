"""Personal fields: sealed values of before open, and what was declared wrongly is refused with what to do."""

import polars as pl
import pytest
from sqlalchemy import insert

from mainspring.adapters.ciphers import AesGcm
from mainspring.kernel.errors import Refused
from mainspring.kernel.metadata import metadata
from mainspring.log.personal import SEALED, Personal
from mainspring.log.tables import erased_subjects, subject_keys

SECRET = bytes(range(32))
KEY = bytes(range(32, 64))
# A body as it was sealed by the first version of the format: {"street":"Elm 1","n":1} of the subject "ann".
GOLDEN = '{"street":"pii:1:poFvMMRoP2JyFk2jb4nbxCxmDQ3rMOLhBkqXpMAodQbRsko=","n":1}'
BODY = '{"street":"Elm 1","n":1}'


class Fixed(AesGcm):
    """The cipher, with a key that is known."""

    def new_key(self):
        return KEY


@pytest.fixture
def personal(bench):
    with bench.store.bookkeeping() as connection:
        metadata.create_all(connection, tables=[subject_keys, erased_subjects])
    return Personal(bench.store, Fixed(), lambda: SECRET)


def requests(body, subject="ann"):
    return pl.DataFrame({"model": ["mod_1"], "subject": [subject], "body": [body]})


def test_a_body_that_was_sealed_before_opens(bench, personal):
    with bench.store.bookkeeping() as connection:
        key = AesGcm().seal(SECRET, KEY, b"key")
        connection.execute(insert(subject_keys).values(digest=personal.digest("ann"), key=key))
    assert personal.open_bodies(requests(GOLDEN))["body"].to_list() == [BODY]


def test_only_named_fields_of_named_models_are_sealed_and_only_for_their_subject(bench, personal):
    with bench.store.bookkeeping() as connection:
        sealed = personal.seal_bodies(connection, requests(BODY), {"mod_1": ("street",)})
        other = personal.seal_bodies(connection, requests(BODY), {"mod_2": ("street",)})
    assert other["body"].to_list() == [BODY]
    assert SEALED in sealed["body"][0]
    assert "Elm" not in sealed["body"][0]
    assert '"n":1' in sealed["body"][0]
    assert personal.open_bodies(sealed)["body"].to_list() == [BODY]
    assert (
        personal.open_bodies(sealed.with_columns(subject=pl.lit("ben")))["body"].to_list() == sealed["body"].to_list()
    )


def test_without_its_key_a_body_reads_as_erased(bench, personal):
    with bench.store.bookkeeping() as connection:
        sealed = personal.seal_bodies(connection, requests(BODY), {"mod_1": ("street",)})
        assert personal.destroy(connection, "ann", 5)
    assert personal.open_bodies(sealed)["body"].to_list() == [""]
    with bench.store.read() as connection:
        assert not connection.execute(subject_keys.select()).all()


def test_rows_that_a_file_still_holds_of_an_erased_subject_are_left_out_and_later_ones_are_not(bench, personal):
    rows = pl.DataFrame({"who": ["ann", "ann", "ben"], "_known_us": [4, 6, 4]})
    with bench.store.bookkeeping() as connection:
        personal.destroy(connection, "ann", 5)
        assert personal.without_erased(connection, rows, "who", "_known_us").rows() == [("ann", 6), ("ben", 4)]


def test_a_text_that_looks_sealed_stays_what_it_is(bench, personal):
    with bench.store.bookkeeping() as connection:
        personal.seal_bodies(connection, requests(BODY), {"mod_1": ("street",)})  # ann has a key
    for text in ("bm90IHNlYWxlZA==", "x", "é"):
        body = f'{{"n":"pii:1:{text}"}}'
        for subject in ("ann", "who has no key"):
            assert personal.open_bodies(requests(body, subject))["body"].to_list() == [body]


def test_sealing_without_the_package_is_refused_with_its_name(bench, personal):
    bare = Personal(bench.store, None, lambda: SECRET)
    with bench.store.bookkeeping() as connection, pytest.raises(Refused, match=r'pip install "mainspring\[pii\]"'):
        bare.seal_bodies(connection, requests(BODY), {"mod_1": ("street",)})
