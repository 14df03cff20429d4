#!/usr/bin/env bash
# Software:  h2o 2.2.5+dfsg2-7 of Debian 12, as a reverse proxy (proxy.reverse.url).
# Behaviour: A member's chunked answer without its last chunk is incomplete (RFC 9112 section 8). h2o tells its client
#            so (an invalid chunk, then the end) where the member ends within a chunk, or resets the connection. Where
#            the member ends between two chunks, h2o writes the missing last chunk itself and keeps the connection: the
#            client takes a part for the whole. It does the same to an answer without a length that was reset.
# For Shunt: Where such a proxy stands between Shunt and a server, an answer may be a part of it though its framing is
#            whole, and nothing can tell.
# Seen:      chunked, whole: "4 part 0" and the connection stays
#            chunked, the end within a chunk: "4 part 1" and the connection ends
#            chunked, a reset between chunks: "4 part 1" and the connection ends
#            chunked, the end between chunks: "4 part 0" and the connection stays
#            no length, a reset: "4 part 0" and the connection stays
# Needs:     Debian 12 with its package sources (apt-get download), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download \
    h2o=2.2.5+dfsg2-7 libh2o-evloop0.13=2.2.5+dfsg2-7 libh2o0.13=2.2.5+dfsg2-7 libyaml-0-2=0.2.5-1 > /dev/null
for package in *.deb; do
    dpkg-deb -x "$package" unpacked
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu
unpacked/usr/bin/h2o --version | sed -n 1p
cat > cut.py <<'EOF'
import re
import socket
import struct
import subprocess
import time

WAIT = 5
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def until(connection, pattern, got=b""):
    """What came as far as the pattern, or as far as the end."""
    while not re.search(pattern, got, re.S) and (more := connection.recv(4096)):
        got += more
    return got


def connect(port):
    for _ in range(WAIT * 20):
        try:
            return socket.create_connection(("127.0.0.1", port), WAIT)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("h2o does not listen")


def exchange(port, listener, answer, end):
    client = connect(port)
    client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    member, _ = listener.accept()
    member.settimeout(WAIT)
    until(member, rb"\r\n\r\n")
    member.sendall(answer)
    # The part has reached the client before the member ends.
    got = until(client, rb"part")
    end(member)
    got = until(client, rb"\r\n0\r\n\r\n$", got)
    stays = got.endswith(b"\r\n0\r\n\r\n")
    if stays:
        # It is kept: h2o takes the next request.
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        listener.accept()[0].close()
    client.close()
    body = " ".join(got.partition(b"\r\n\r\n")[2].decode().split())
    return f'"{body}" and the connection {"stays" if stays else "ends"}'


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(WAIT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open("h2o.conf", "w") as config:
        config.write(f"""
listen: {{ host: 127.0.0.1, port: {port} }}
num-threads: 1
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: "http://127.0.0.1:{listener.getsockname()[1]}/"
""")
    with open("log", "w") as log:
        proxy = subprocess.Popen(["unpacked/usr/bin/h2o", "-c", "h2o.conf"], stdout=log, stderr=log)
    close = socket.socket.close

    def whole(member):
        member.sendall(b"0\r\n\r\n")
        member.close()

    try:
        for name, answer, end in [
            ("chunked, whole", CHUNKED + b"4\r\npart\r\n", whole),
            ("chunked, the end within a chunk", CHUNKED + b"8\r\npart", close),
            ("chunked, a reset between chunks", CHUNKED + b"4\r\npart\r\n", reset),
            ("chunked, the end between chunks", CHUNKED + b"4\r\npart\r\n", close),
            ("no length, a reset", b"HTTP/1.1 200 OK\r\n\r\npart", reset),
        ]:
            print(f"{name}: {exchange(port, listener, answer, end)}", flush=True)
    finally:
        proxy.terminate()
        proxy.wait()
EOF
timeout 60 python3 cut.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
