import pytest

from mainspring.edges.api.strict_json import read_object
from mainspring.kernel.errors import InvalidInput


def test_an_object_is_read() -> None:
    assert read_object('{"a": [1, 2.5, "ü", null]}'.encode()) == {"a": [1, 2.5, "ü", None]}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"a": 1, "a": 2}', "a: is given twice"),
        (b'{"a": {"b": 1, "b": 1}}', "b: is given twice"),
        (b'{"a": NaN}', "not a number that JSON knows"),
        (b'{"a": -Infinity}', "not a number that JSON knows"),
        (b'{"a": 1e400}', "is not JSON"),
        (b'{"a": "\\ud800"}', "is not JSON"),
        (b'{"a": "\xff"}', "is not JSON"),
        (b"[1]", "must be one JSON object"),
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_not_plain_json_is_refused_in_one_sentence(body: bytes, word: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_object(body)
    assert word in refused.value.sentence()
    assert "\n" not in refused.value.sentence()
