#!/usr/bin/env bash
# Software:  ab 2.3 of Apache 2.4.71, h2load 1.52.0 (with --h1), hey 0.1.4, httperf 0.9.0, siege 4.0.7, wrk 4.1.0 of Debian
#            12.
# Behaviour: Load generators say how many requests failed. Where every fourth answer is cut, hey counts each as one of
#            status 200: it does not look whether the body came to its end, and its HTTP client asks again in silence where
#            nothing came at all. httperf takes a body that is shorter than its length for the whole. h2load gives a
#            connection's share of the requests up with the first cut answer, and counts as failed what it has not sent.
#            siege and wrk count what was wrong, and so does ab, which ends with the first reset unless it is told not to.
# For Shunt: Its benches use ab, wrk and h2load, which count each of these faults, if not each exactly. The book has the
#            table: that hey or httperf sees no failure shows nothing about answers that were cut.
# Seen:      ab       status all, cut all, chunks all, nothing all
#            h2load   status all, cut too many, reset too many, chunks too many, nothing too many
#            hey      status all, cut none, reset none, chunks none, nothing none
#            httperf  status all, cut none, reset all, chunks all, nothing all
#            siege    status all, cut all, reset all, chunks all, nothing all
#            wrk      status all, cut all, reset all, chunks all, nothing all
#            (of every fourth answer: status 503; half a body and the end; half a body and a reset; no last chunk; the end
#            without an answer)
# Needs:     Debian 12 with its package sources, root (apt-get downloads), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir archives archives/partial
apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/archives" install \
    --download-only --reinstall --no-install-recommends \
    apache2-utils=2.4.71-1~deb12u1 hey=0.1.4-2+b4 httperf=0.9.0-9+b2 nghttp2-client=1.52.0-1+deb12u3 \
    siege=4.0.7-1+b1 wrk=4.1.0-3+b2 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in apache2-utils hey httperf nghttp2-client siege wrk; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu HOME=$folder
cat > count.py <<'EOF'
import asyncio
import os
import re
import socket
import struct
import subprocess
import threading

WAIT = 60
REQUESTS = 400
UNPACKED = os.getcwd() + "/unpacked/usr/bin/"
BODY = b"0123456789" * 10
# ab keeps connections of HTTP/1.0, and has to be told.
GOOD = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 100\r\n\r\n" + BODY


class Server(asyncio.Protocol):
    """Answers every fourth request in the way of `fault`."""

    fault, asked, wrong = None, 0, 0

    def connection_made(self, transport):
        self.transport, self.got = transport, b""

    def data_received(self, piece):
        self.got += piece
        while b"\r\n\r\n" in self.got and not self.transport.is_closing():
            _, _, self.got = self.got.partition(b"\r\n\r\n")
            Server.asked += 1
            if Server.fault is None or Server.asked % 4 != 2:
                self.transport.write(GOOD)
                continue
            Server.wrong += 1
            getattr(self, Server.fault)()

    def status(self):
        self.transport.write(GOOD.replace(b"200 OK", b"503 No"))

    def cut(self):
        self.transport.write(GOOD[:-50])
        self.transport.close()

    def reset(self):
        self.transport.write(GOOD[:-50])
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def chunks(self):
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + BODY + b"\r\n")
        self.transport.close()

    def nothing(self):
        self.transport.close()


def number(pattern, text):
    return sum(int(found) for found in re.findall(pattern, text))


def ab(url):
    text = run("ab", "-q", "-k", "-n", str(REQUESTS), "-c", "1", url)
    return max(number(r"Failed requests: +(\d+)", text), number(r"Non-2xx responses: +(\d+)", text))


def h2load(url):
    text = run("h2load", "--h1", "-t", "1", "-c", "1", "-n", str(REQUESTS), url)
    return REQUESTS - number(r", (\d+) succeeded", text)


def hey(url):
    text = run("hey", "-c", "1", "-n", str(REQUESTS), url)
    return REQUESTS - number(r"\[200\]\s+(\d+) responses", text)


def httperf(url):
    port = url.split(":")[2].strip("/")
    text = run("httperf", "--hog", "--server=127.0.0.1", f"--port={port}", f"--num-conns={REQUESTS}", "--num-calls=1")
    return REQUESTS - number(r"2xx=(\d+)", text)


def siege(url):
    with open("siegerc", "w") as file:
        file.write("logging = false\nfailures = 100000\nprotocol = HTTP/1.1\nconnection = keep-alive\nparser = false\n")
    text = run("siege", "-R", "siegerc", "-q", "-j", "-b", "-c", "1", "-r", str(REQUESTS), url)
    return number(r'"failed_transactions":\s+(\d+)', text)


def wrk(url):
    text = run("wrk", "-t1", "-c1", "-d1s", url)
    return number(r"(?:connect|read|write|timeout) (\d+)", text) + number(r"Non-2xx or 3xx responses: (\d+)", text)


def run(tool, *arguments):
    done = subprocess.run([UNPACKED + tool, *arguments], capture_output=True, text=True, timeout=WAIT)
    return done.stdout + done.stderr


def serve():
    async def begin():
        listener = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        ready.port = listener.sockets[0].getsockname()[1]
        ready.set()
        await asyncio.Event().wait()

    ready = threading.Event()
    threading.Thread(target=lambda: asyncio.run(begin()), daemon=True).start()
    assert ready.wait(WAIT)
    return ready.port


def words(said, wrong):
    if said == 0:
        return "none"
    if abs(said - wrong) <= wrong / 20:
        return "all"
    return "too many" if said > wrong else "some"


url = f"http://127.0.0.1:{serve()}/"
for tool in (ab, h2load, hey, httperf, siege, wrk):
    seen = []
    for fault in ("status", "cut", "reset", "chunks", "nothing"):
        if tool is ab and fault == "reset":
            # It ends with the first.
            continue
        Server.fault, Server.asked, Server.wrong = fault, 0, 0
        said = tool(url)
        seen.append(f"{fault} {words(said, Server.wrong)}")
    print(f"{tool.__name__:8} " + ", ".join(seen), flush=True)
EOF
timeout 300 python3 count.py | tee seen
sed -n '/^# Seen:/,/^# *(of every/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
