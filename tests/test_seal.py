"""A text that carries a seal is known again, and a changed one is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smidgen.seal import is_sealed, sealed


@given(st.text())
def test_a_sealed_text_is_known(text: str) -> None:
    assert is_sealed(sealed(text).encode(errors="backslashreplace"))


@given(st.text(min_size=1), st.integers(0), st.binary(min_size=1, max_size=3))
def test_a_text_with_anything_put_in_is_not(text: str, place: int, more: bytes) -> None:
    content = sealed(text).encode()
    cut = place % (len(content) + 1)
    assert not is_sealed(content[:cut] + more + content[cut:])


def test_a_text_without_a_seal_is_not() -> None:
    assert not is_sealed(b"")
    assert not is_sealed(b"mine")
    assert not is_sealed(sealed("ours").encode() + b"mine\n")
