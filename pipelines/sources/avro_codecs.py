"""How the blocks of Avro containers are decompressed, by the codec that a header names."""

import bz2
import lzma
import zlib
from collections.abc import Callable

import cramjam
from backports import zstd


def _deflate(content: bytes) -> bytes:
    return zlib.decompress(content, -zlib.MAX_WBITS)


def _snappy(content: bytes) -> bytes:
    """Snappy without frames, then the CRC-32 of what was compressed."""
    plain = bytes(cramjam.snappy.decompress_raw(content[:-4]))
    if zlib.crc32(plain).to_bytes(4, "big") != content[-4:]:
        raise ValueError("the checksum of a snappy block does not match")
    return plain


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _deflate,
    "snappy": _snappy,
    "zstandard": zstd.decompress,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
}
