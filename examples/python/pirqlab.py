"""Drive pirqlab's fake PCI devices from Python: one file, standard library only.

    with Connection("/tmp/nvme.sock") as pq:
        print(hex(pq.read(bdf(0, 4), CONFIG, 0, 4)))

The server is `pirqlab serve --device nvme --socket PATH`; docs/access-records.md has the protocol. Functions are
segment << 16 | bus << 8 | device << 3 | function, regions are numbered as VFIO does.
"""

import collections
import errno
import os
import socket
import struct

READ, WRITE, RESET, MESSAGE, INTX, RAISE, HYPERCALL, DMA_READ, DMA_WRITE = range(9)
ANSWER = 0x80
ROM, CONFIG, NONE = 6, 7, 0xFF
MAX_DATA = 65536

_RECORD = struct.Struct("<BBBBIQQ")

Message = collections.namedtuple("Message", "function address data")
Intx = collections.namedtuple("Intx", "function pin level")


def bdf(bus, device, function=0):
    """The number of a function."""
    return bus << 8 | device << 3 | function


class AccessError(OSError):
    """An access that was answered with an errno."""


class Memory:
    """Host memory for DMA: pages that were written, zeros elsewhere."""

    def __init__(self):
        self._pages = {}

    def read(self, address, length):
        out = bytearray()
        while length > 0:
            offset = address % 4096
            run = min(length, 4096 - offset)
            page = self._pages.get(address - offset)
            out += page[offset : offset + run] if page else bytes(run)
            address, length = address + run, length - run
        return bytes(out)

    def write(self, address, data):
        done = 0
        while done < len(data):
            offset = (address + done) % 4096
            run = min(len(data) - done, 4096 - offset)
            page = self._pages.setdefault(address + done - offset, bytearray(4096))
            page[offset : offset + run] = data[done : done + run]
            done += run


class Connection:
    """One client of a server. `effects` holds the messages and INTx levels seen, oldest first.

    `memory` needs read(address, length), which may raise to fail the transfer, and write(address, data).
    """

    def __init__(self, path, memory=None):
        self.memory = memory if memory is not None else Memory()
        self.effects = collections.deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(os.fspath(path))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def read(self, function, region, offset, width):
        """Reads 1, 2, 4 or 8 bytes; 8 are two accesses of 4, low first."""
        return self._request(READ, function, region, width, offset, 0)

    def write(self, function, region, offset, width, value):
        self._request(WRITE, function, region, width, offset, value)

    def reset(self, function, flr=False):
        self._request(RESET, function, NONE, NONE, 0, int(flr))

    def raise_vector(self, function, vector=0):
        """The device signals a vector, by MSI-X or MSI if enabled, else it asserts INTx."""
        self._request(RAISE, function, NONE, NONE, vector, 0)

    def lower(self, function):
        """The device's interrupt condition ends: INTx falls."""
        self._request(RAISE, function, NONE, NONE, 0, 1)

    def find_capability(self, function, wanted):
        """Offset of a capability in configuration space, or 0."""
        if not self.read(function, CONFIG, 0x06, 2) & 0x10:
            return 0
        at = self.read(function, CONFIG, 0x34, 1) & 0xFC
        for _ in range(48):
            if at == 0:
                break
            header = self.read(function, CONFIG, at, 2)
            if header & 0xFF == wanted:
                return at
            at = header >> 8 & 0xFC
        return 0

    def _request(self, kind, function, region, width, offset, value):
        self._socket.sendall(_RECORD.pack(kind, region, width, 0, function, offset, value))
        while True:
            got, _, _, status, function, offset, value = _RECORD.unpack(self._receive(_RECORD.size))
            if got == kind | ANSWER:
                if status:
                    raise AccessError(status, os.strerror(status))
                return value
            if got == MESSAGE:
                self.effects.append(Message(function, offset, value))
            elif got == INTX:
                self.effects.append(Intx(function, offset, value))
            elif got == DMA_WRITE:
                self.memory.write(offset, self._receive(_padded(value))[:value])
            elif got == DMA_READ:
                self._answer_read(function, offset, value)
            else:
                raise ConnectionError(f"unexpected record of kind {got}")

    def _answer_read(self, function, address, length):
        try:
            data, status = self.memory.read(address, length), 0
        except (LookupError, ValueError, OSError):
            data, status = b"", errno.EIO
        head = _RECORD.pack(DMA_READ | ANSWER, NONE, NONE, status, function, address, len(data))
        self._socket.sendall(head + data + bytes(_padded(len(data)) - len(data)))

    def _receive(self, length):
        parts = bytearray()
        while len(parts) < length:
            part = self._socket.recv(length - len(parts))
            if not part:
                raise ConnectionError("the server closed the connection")
            parts += part
        return bytes(parts)


def _padded(length):
    return -(-length // _RECORD.size) * _RECORD.size
