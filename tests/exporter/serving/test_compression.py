"""Whatever the pieces are, and whichever of them were there before, the page comes out as it went in."""

import gzip
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon_exporter.serving import compression
from jelmon_exporter.serving.compression import PageCompressor

pieces = st.lists(st.one_of(st.text(max_size=40), st.sampled_from(["", "a", "line\n" * 3000])), max_size=6)


@given(st.lists(pieces, min_size=1, max_size=4))
def test_every_version_of_a_page_can_be_unzipped(versions: list[list[str]]) -> None:
    zipper = PageCompressor()
    for version in versions:
        assert gzip.decompress(zipper.compress(version)).decode() == "".join(version)


def test_it_is_one_member_and_checked_by_gzip_itself() -> None:
    page = PageCompressor().compress(["a" * 70_000, "", "b\n" * 10])
    one = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert one.decompress(page) == b"a" * 70_000 + b"b\n" * 10
    assert one.eof
    assert one.unused_data == b""
    subprocess.run(["gzip", "--test"], input=page, check=True)


def test_only_what_changed_is_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    zipper, compressed = PageCompressor(), []
    deflate = compression._deflate

    def noted(data: bytes) -> bytes:
        compressed.append(data)
        return deflate(data)

    monkeypatch.setattr(compression, "_deflate", noted)
    zipper.compress(["same", "old"])
    zipper.compress(["same", "new"])
    zipper.compress(["same"])
    zipper.compress(["same", "new"])

    assert compressed == [b"same", b"old", b"new", b"new"]  # what was not in the last page is forgotten
