import pytest

from mainspring.kernel.errors import InvalidInput
from mainspring.release.rehearsal.fault import Faults, parse_faults


def test_faults_are_read_as_people_write_them() -> None:
    asked = ["loss=+0.02", "errors=5%", "latency=+50ms"]
    assert parse_faults(asked) == Faults(0.02, 0.05, 50_000)
    assert parse_faults(asked).words() == ["loss=+0.02", "errors=5%", "latency=+50ms"]
    assert parse_faults([]) == Faults()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["los=+0.02"], "did you mean 'loss'"),
        (["errors=120%"], "errors=5%"),
        (["errors=-1%"], "errors=5%"),
        (["latency=+50"], "latency=\\+50ms"),
        (["loss=nan"], "loss=\\+0.02"),
        (["loss=+1", "loss=+2"], "twice"),
    ],
)
def test_what_cannot_be_read_is_refused_with_how_to_write_it(asked, words) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_faults(asked)
