"""A small NVMe driver: identifies the controller, writes a block and reads it back, all by DMA to our own memory.

    pirqlab serve --device nvme:queues=4,size=1M --socket /tmp/nvme.sock &
    python3 examples/python/nvme_read.py /tmp/nvme.sock
"""

import struct
import sys

from pirqlab import CONFIG, Connection, bdf

NVME = bdf(0, 4)
ADMIN_SQ, ADMIN_CQ, IO_SQ, IO_CQ, DATA = 0x10000, 0x11000, 0x12000, 0x13000, 0x20000
ENTRIES = 8


class Queue:
    """A submission and a completion queue, one command at a time."""

    def __init__(self, pq, number, sq, cq):
        self.pq, self.number, self.sq, self.cq = pq, number, sq, cq
        self.tail = self.head = 0
        self.phase = 1

    def run(self, opcode, nsid=0, prp=DATA, cdw10=0, cdw11=0, cdw12=0):
        """Submits a command and returns its completion's first dword."""
        entry = struct.pack("<IIQQQQIIIIII", opcode, nsid, 0, 0, prp, 0, cdw10, cdw11, cdw12, 0, 0, 0)
        self.pq.memory.write(self.sq + 64 * self.tail, entry)
        self.tail = (self.tail + 1) % ENTRIES
        self.pq.write(NVME, 0, 0x1000 + 8 * self.number, 4, self.tail)
        result, _, _, _, _, status = struct.unpack("<IIHHHH", self.pq.memory.read(self.cq + 16 * self.head, 16))
        if status & 1 != self.phase:
            sys.exit(f"command {opcode:#x} did not complete")
        if status >> 1:
            sys.exit(f"command {opcode:#x} ended with status {status >> 1:#x}")
        self.head = (self.head + 1) % ENTRIES
        self.phase ^= self.head == 0
        self.pq.write(NVME, 0, 0x1004 + 8 * self.number, 4, self.head)
        return result


def main(path):
    with Connection(path) as pq:
        pq.reset(NVME)
        pq.write(NVME, CONFIG, 0x04, 2, 0x0406)  # memory, bus master, no INTx
        pq.write(NVME, 0, 0x24, 4, (ENTRIES - 1) * 0x10001)
        pq.write(NVME, 0, 0x28, 8, ADMIN_SQ)
        pq.write(NVME, 0, 0x30, 8, ADMIN_CQ)
        pq.write(NVME, 0, 0x14, 4, 0x00460001)
        if not pq.read(NVME, 0, 0x1C, 4) & 1:
            sys.exit("the controller is not ready")
        admin = Queue(pq, 0, ADMIN_SQ, ADMIN_CQ)
        admin.run(0x06, cdw10=1)
        model = pq.memory.read(DATA + 24, 40).decode("ascii").strip()
        pairs = (admin.run(0x09, cdw10=7, cdw11=0xFFFEFFFE) & 0xFFFF) + 1
        print(f"00:04.0: {model}, {pairs} queue pairs")
        size = (ENTRIES - 1) << 16 | 1
        admin.run(0x05, prp=IO_CQ, cdw10=size, cdw11=1)
        admin.run(0x01, prp=IO_SQ, cdw10=size, cdw11=1 << 16 | 1)
        io = Queue(pq, 1, IO_SQ, IO_CQ)
        block = bytes(range(256)) * 2
        pq.memory.write(DATA, block)
        io.run(0x01, nsid=1, cdw10=7)
        pq.memory.write(DATA, bytes(512))
        io.run(0x02, nsid=1, cdw10=7)
        if pq.memory.read(DATA, 512) != block:
            sys.exit("read back something else")
        print("read back what was written")


if __name__ == "__main__":
    main(sys.argv[1])
