from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.kernel.errors import InvalidInput
from mainspring.registry.plain_yaml import read_yaml

yaml = pytest.importorskip("yaml", reason="PyYAML comes with MLflow")
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="\x7f\x85\xa0"), max_size=120)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)) | WORDS
)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,15}", fullmatch=True)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, DOCUMENTS, min_size=1, max_size=5))
def test_what_mlflow_writes_is_read_as_yaml_reads_it_or_refused(document: Any) -> None:
    text = yaml.safe_dump(document, default_flow_style=False, allow_unicode=True)
    try:
        found = read_yaml(text)
    except InvalidInput:
        return
    assert found == yaml.safe_load(text)


def test_a_folded_quoted_scalar_is_one_text() -> None:
    document = {"signature": {"inputs": '[{"type": "double", "name": "a b"}, ' * 8, "note": "it's"}}
    assert read_yaml(yaml.safe_dump(document, default_flow_style=False)) == document


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1\nb: *x\n",
        "a: !!python/object/apply:os.system [ls]\n",
        "a: {b: 1}\n",
        "a: |\n  text\n",
        "a: 'open\n",
        "a: 1\na: 2\n",
        "  - 1\n x\n",
    ],
)
def test_what_mlflow_does_not_write_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(InvalidInput) as told:
        read_yaml(text)
    assert str(told.value.field).startswith("line ")


def test_no_depth_breaks_the_reader() -> None:
    deep = 5 * sys.getrecursionlimit()  # its text grows with the square: twenty times as deep is 5 GB
    with pytest.raises(InvalidInput, match="nested too deeply"):
        read_yaml("".join(f"{' ' * depth}a:\n" for depth in range(deep)))
