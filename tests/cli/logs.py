# SPDX-License-Identifier: Apache-2.0
"""logs.py - writes segments as engine/log/FORMAT.md describes them, without the library."""
import os
import struct


def table():
    made = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        made.append(n)
    return made


TABLE = table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def padded(data):
    return data + bytes(-len(data) % 8)


def record(data, source=0, flags=0, uuid=None, origin=0):
    """One record; uuid and origin set their own flags."""
    flags |= 1 | (0x10 if uuid else 0) | (0x20 if origin else 0)
    extension = (uuid or b"") + (struct.pack("<Q", origin) if origin else b"")
    return padded(struct.pack("<IHH", len(data), source, flags) + extension + data)


class Segment:
    """One file of a log: blocks are added, then it is stored."""

    def __init__(self, number, life=1, wall=1_700_000_000_000_000_000):
        self.number, self.engine, self.wall, self.data = number, bytes([life]) * 16, wall, b""
        self.block(1, struct.pack("<QQQII", wall, number, wall, 0, 0), b"")

    def block(self, kind, rest, body):
        size = 56 + len(rest)
        first = struct.pack("<IBBHQI", 0x52494557, 1, kind, size, len(body), crc32c(body))
        last = self.engine + struct.pack("<QQ", self.number, len(self.data)) + rest
        self.data += first + struct.pack("<I", crc32c(first + last)) + last + body

    def names(self, *names):
        body = b"".join(struct.pack("<HH", at, len(name)) + name
                        for at, name in enumerate(names, 1))
        self.block(2, struct.pack("<II", len(names), 0), padded(body))

    def batch(self, seq, *records):
        self.block(3, struct.pack("<QQQQQII", seq, 0, len(records), self.wall + seq,
                                  self.wall, 1, 1), b"".join(records))

    def store(self, folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{self.number:020}.weir"), "wb") as file:
            file.write(self.data)
