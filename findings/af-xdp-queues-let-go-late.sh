#!/usr/bin/env bash
# Software:  Linux 6.18.44, AF_XDP in copy mode on a veth link.
# Behaviour: A queue of a device has one AF_XDP socket (without a shared UMEM). close() returns before the kernel has let go
#            of the queue: for about 20 ms bind() of the next socket fails with EBUSY, as if another program had the queue; at
#            times also where the one that had it has ended. A port of UDP is free when close() returns. A program that opens
#            its sockets anew meets it each time, one that is started again now and then.
# For Shunt: It tries again for a while before it says that another socket is bound (host/sys, `Socket::open`).
# Seen:      AF_XDP, bound behind close(): refused at first, all bound within 200 ms
#            AF_XDP, bound behind the end of another process: refused at first, all bound within 200 ms
#            UDP, bound behind close(): taken at once, all bound within 200 ms
# Needs:     root (a network namespace of its own), iproute2 with veth, python3, a kernel with CONFIG_XDP_SOCKETS.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uname -r
cat > bind.py <<'EOF'
import ctypes
import errno
import mmap
import os
import socket
import struct
import time

AF_XDP, SOL_XDP = 44, 283
RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 2, 4, 5, 6
COPY = 1 << 1
TRIES, FRAME = 20, 4096
libc = ctypes.CDLL(None, use_errno=True)


class Xdp:
    """A socket of the first queue, with frames of its own."""

    def __init__(self):
        self.frames = mmap.mmap(-1, 64 * FRAME)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.frames))
        self.socket = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
        region = struct.pack("=QQIII4x", address, 64 * FRAME, FRAME, 0, 0)
        self.socket.setsockopt(SOL_XDP, UMEM_REG, region)
        for ring in (FILL_RING, COMPLETION_RING, RX_RING):
            self.socket.setsockopt(SOL_XDP, ring, struct.pack("=I", 64))

    def bind(self):
        name = struct.pack("=HHIII", AF_XDP, COPY, socket.if_nametoindex("left"), 0, 0)
        if libc.bind(self.socket.fileno(), name, len(name)):
            raise OSError(ctypes.get_errno(), "bind")

    def close(self):
        self.socket.close()


class Udp:
    def __init__(self):
        self.socket = socket.socket(type=socket.SOCK_DGRAM)

    def bind(self):
        self.socket.bind(("127.0.0.1", 5300))

    def close(self):
        self.socket.close()


def bound(kind):
    """A socket that is bound, whether that was refused at first, and how long it took."""
    made, refused, begun = kind(), False, time.monotonic()
    while True:
        try:
            made.bind()
            return made, refused, time.monotonic() - begun
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EADDRINUSE):
                raise
            refused = True
            time.sleep(0.0005)


def behind_close(kind):
    before, _, _ = bound(kind)
    before.close()
    after, refused, took = bound(kind)
    after.close()
    return refused, took


def behind_exit(kind):
    child = os.fork()
    if child == 0:
        bound(kind)
        os._exit(0)
    os.waitpid(child, 0)
    after, refused, took = bound(kind)
    after.close()
    return refused, took


for name, kind, behind in (
    ("AF_XDP, bound behind close()", Xdp, behind_close),
    ("AF_XDP, bound behind the end of another process", Xdp, behind_exit),
    ("UDP, bound behind close()", Udp, behind_close),
):
    seen = [behind(kind) for _ in range(TRIES)]
    most = max(took for _, took in seen)
    within = "all bound within 200 ms" if most < 0.2 else f"one bound after {most * 1000:.0f} ms"
    first = "refused at first" if any(refused for refused, _ in seen) else "taken at once"
    print(f"{name}: {first}, {within}")
EOF
timeout 60 unshare --net sh -c '
    ip link set lo up && ip link add left type veth peer name right && ip link set left up && ip link set right up &&
    python3 bind.py' | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
