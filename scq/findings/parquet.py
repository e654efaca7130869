"""The number of rows a Parquet file says it has.

Layout after the specification of Apache Parquet: the file ends in its metadata (Thrift compact protocol), their length in
four bytes, and `PAR1`. Field 3 of the metadata is the number of rows.
"""

from __future__ import annotations

DEPTH = 16
ROWS_FIELD = 3
_I64 = 6


class _Compact:
    """Reads just enough of the compact protocol to pass over fields. Raises ValueError or IndexError for anything else."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def field(self, before: int) -> tuple[int, int]:
        """(number, type) of the next field; type 0 ends the structure."""
        head = self.data[self.at]
        self.at += 1
        if head == 0:
            return 0, 0
        if head >> 4:
            return before + (head >> 4), head & 0x0F
        number = self.number()
        return (number >> 1) ^ -(number & 1), head & 0x0F

    def skip(self, kind: int, depth: int) -> None:
        if depth > DEPTH:
            raise ValueError("nested too deeply")
        if kind == 3:
            self.at += 1
        elif kind in (4, 5, 6):
            self.number()
        elif kind == 7:
            self.at += 8
        elif kind == 8:
            length = self.number()
            self.at += length
        elif kind in (9, 10):
            self.skip_list(depth)
        elif kind == 12:
            number = 0
            while (found := self.field(number))[1]:
                number = found[0]
                self.skip(found[1], depth + 1)
        elif kind not in (1, 2):
            raise ValueError("an unknown type")

    def skip_list(self, depth: int) -> None:
        head = self.data[self.at]
        self.at += 1
        size = head >> 4 if head >> 4 < 15 else self.number()
        for _ in range(min(size, len(self.data) + 1)):
            if self.at >= len(self.data):
                raise ValueError("cut off")
            # A truth value in a list takes a byte of its own.
            self.skip(3 if head & 0x0F in (1, 2) else head & 0x0F, depth + 1)


def rows(data: bytes) -> int | None:
    """Rows of a whole Parquet file, None when its end cannot be read."""
    length = int.from_bytes(data[-8:-4], "little")
    if len(data) < 12 or not data.endswith(b"PAR1") or not 0 < length <= len(data) - 12:
        return None
    reader = _Compact(data[-8 - length : -8])
    number = 0
    try:
        while (found := reader.field(number))[1]:
            number, kind = found
            if (number, kind) == (ROWS_FIELD, _I64):
                value = reader.number()
                return (value >> 1) ^ -(value & 1)
            reader.skip(kind, 0)
    except (IndexError, ValueError):
        return None
    return None
