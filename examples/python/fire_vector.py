"""Finds the functions of bus 0, enables MSI-X on the first that has it, fires vector 1 and prints the message.

    pirqlab serve --device nvme:queues=4 --socket /tmp/nvme.sock &
    python3 examples/python/fire_vector.py /tmp/nvme.sock
"""

import sys

from pirqlab import CONFIG, Connection, bdf

MSIX = 0x11


def main(path):
    with Connection(path) as pq:
        chosen = cap = 0
        for device in range(32):
            function = bdf(0, device)
            identity = pq.read(function, CONFIG, 0, 4)
            if identity == 0xFFFFFFFF:
                continue
            print(f"00:{device:02x}.0 is {identity & 0xffff:04x}:{identity >> 16:04x}")
            if not cap:
                chosen, cap = function, pq.find_capability(function, MSIX)
        if not cap:
            sys.exit("no function with MSI-X")
        pq.write(chosen, CONFIG, 0x04, 2, 0x0406)  # memory, bus master, no INTx
        pq.write(chosen, CONFIG, cap + 2, 2, 0x8000)
        table = pq.read(chosen, CONFIG, cap + 4, 4)
        bar, entry = table & 7, (table & ~7) + 16  # the entry of vector 1
        pq.write(chosen, bar, entry, 8, 0xFEE01000)
        pq.write(chosen, bar, entry + 8, 4, 0x4041)
        pq.write(chosen, bar, entry + 12, 4, 0)
        pq.raise_vector(chosen, 1)
        if len(pq.effects) != 1:
            sys.exit(f"{len(pq.effects)} messages, not one")
        message = pq.effects.popleft()
        print(
            f"message from 00:{message.function >> 3 & 31:02x}.{message.function & 7:x}: "
            f"address {message.address:#x} data {message.data:#x}"
        )


if __name__ == "__main__":
    main(sys.argv[1])
