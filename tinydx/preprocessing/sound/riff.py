"""The promise of a wav file's header: how many bytes of sound follow. libsndfile reads what is there and says nothing.

    RIFF size WAVE   fmt  size ...   data size samples...   other chunks
"""

from __future__ import annotations

import os
import struct
from typing import Any, NamedTuple

STREAM = (0, 0xFFFFFFFF)  # sizes of a data chunk that was written before its end was known


class Promise(NamedTuple):
    """Bytes of sound that the header promises, and that are there, as far as the file goes on or its next chunk begins."""

    promised: int
    there: int


def broken_promise(path: Any) -> Promise | None:
    """What a wav file promises and holds, where the two differ; None for a whole one, a stream, and other files.

    More than promised counts as different where the rest is longer than the sound and begins no chunk: a header that was never
    brought up to date.
    """
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64") or head[8:] != b"WAVE":
            return None
        order, long_size, position = ">" if head[:4] == b"RIFX" else "<", 0, 12
        while len(chunk := _at(file, position, 8)) == 8:
            name, size = chunk[:4], struct.unpack(order + "I", chunk[4:])[0]
            if name == b"ds64":  # the 64-bit sizes of RF64
                long_size = struct.unpack("<Q", _at(file, position + 16, 8).ljust(8, b"\0"))[0]
            if name == b"data":
                size = long_size if size == STREAM[1] and long_size else size
                there, rest = end - position - 8, end - position - 8 - size
                if size in STREAM or (size <= there and (rest <= size or _begins_chunk(_at(file, end - rest + size % 2, 4)))):
                    return None
                return Promise(size, there)
            position += 8 + size + size % 2
    return None


def _at(file: Any, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _begins_chunk(name: bytes) -> bool:
    """Whether these bytes can be a chunk's name, or are mere filling."""
    return not any(name) or all(32 <= byte < 127 for byte in name)
