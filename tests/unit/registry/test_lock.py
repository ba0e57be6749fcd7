from __future__ import annotations

import pytest

from mainspring.kernel.errors import InvalidInput
from mainspring.registry.lock import Pin, read_lock, wheel_of

A, B = "a" * 64, "b" * 64
TEXT = f"""
# made by a tool
Scikit_Learn==1.7.2 ; python_version >= "3.11" \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}   # two files
numpy==2.3.0 --hash=sha256:{A}
"""


def test_a_lock_is_read_in_one_order_whatever_its_spelling() -> None:
    lock = read_lock(TEXT)
    assert lock.pins == (
        Pin("numpy", "2.3.0", (A,)),
        Pin("scikit-learn", "1.7.2", (A, B), 'python_version >= "3.11"'),
    )
    assert read_lock(lock.text) == lock
    assert lock.digest == read_lock(f"numpy==2.3.0 --hash=sha256:{A}\n{TEXT.split('numpy', maxsplit=1)[0]}").digest


ELSEWHERE = "https://example.org"  # a lock that names an address is refused


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.3.0",
        f"numpy>=2.3.0 --hash=sha256:{A}",
        f"numpy --hash=sha256:{A}",
        f"numpy==2.3.0 --hash=md5:{A}",
        f"-i {ELSEWHERE}/simple",
        "-r other.txt",
        "-e .",
        f"numpy @ {ELSEWHERE}/numpy.whl --hash=sha256:{A}",
        f"numpy==2.3.0 --hash=sha256:{A} --find-links /tmp",
        f"./numpy-2.3.0.whl --hash=sha256:{A}",
        f"numpy==2.3.0 --hash=sha256:{A}\nNumPy==2.3.1 --hash=sha256:{B}",
        f"mainspring==0.1.0 --hash=sha256:{A}",
        "",
    ],
)
def test_whatever_is_not_a_pin_with_hashes_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput) as told:
        read_lock(line)
    assert told.value.field == "lock"


def test_a_wheel_states_its_name_and_version() -> None:
    assert wheel_of("scikit_learn-1.7.2-cp311-cp311-manylinux2014_x86_64.whl") == ("scikit-learn", "1.7.2")
    assert wheel_of("../evil-1.0-py3-none-any.whl") is None
    assert wheel_of("numpy-2.3.0.tar.gz") is None
