#!/usr/bin/env bash
# Software:  Varnish 7.1.1 of Debian 12, which passes everything (return (pass)).
# Behaviour: Varnish knows no chunk extensions and no trailers (RFC 9112 sections 7.1.1 and 7.1.2). At the first of
#            them in a request it gives up: the client gets 503, and the member, which has had what came before, gets a
#            last chunk. It takes a part of the body, or none, for the whole, and acts. With a trailer the member has
#            the whole, and the client is told that it failed.
# For Shunt: Where Varnish stands between Shunt and a server, a POST that got 503 may have been done, in part too, with
#            a body whose framing is whole.
# Seen:      plain chunks: member takes "abcdef" whole, client gets 200
#            first chunk with an extension: member takes "" whole, client gets 503
#            second chunk with an extension: member takes "abc" whole, client gets 503
#            a trailer: member takes "abcdef" whole, client gets 503
# Needs:     Debian 12 with its package sources (apt-get download), python3, gcc (Varnish compiles its configuration).
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download \
    varnish=7.1.1-2+deb12u1 libvarnishapi3=7.1.1-2+deb12u1 libjemalloc2=5.3.0-1 > /dev/null
for package in *.deb; do
    dpkg-deb -x "$package" unpacked
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu:$folder/unpacked/usr/lib/x86_64-linux-gnu/varnish
unpacked/usr/sbin/varnishd -V 2>&1 | sed -n 1p
cat > pass.py <<'EOF'
import os
import re
import socket
import subprocess
import time

WAIT = 10
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = rb"(^|\r\n)0+\r\n\r\n$"


def until(connection, pattern, got=b""):
    """What came as far as the pattern, or as far as the end."""
    while not re.search(pattern, got, re.S) and (more := connection.recv(4096)):
        got += more
    return got


def content(chunks):
    """The content of chunks, and whether the last one is there."""
    text = b"".join(re.findall(rb"(?:^|\r\n)0*[1-9a-f][0-9a-f]*\r\n(\w+)", chunks))
    is_whole = re.search(LAST, chunks)
    return f'"{text.decode()}" {"whole" if is_whole else "cut"}'


def connect(port):
    for _ in range(WAIT * 20):
        try:
            return socket.create_connection(("127.0.0.1", port), WAIT)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("Varnish does not listen")


def ask(port, listener, request):
    client = connect(port)
    client.sendall(request)
    member, _ = listener.accept()
    member.settimeout(WAIT)
    _, _, body = until(member, rb"\r\n\r\n").partition(b"\r\n\r\n")
    body = until(member, LAST, body)
    try:
        member.sendall(ANSWER)
    except OSError:
        pass
    status = until(client, rb"\r\n").split()[1]
    member.close()
    client.close()
    return content(body), status.decode()


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(WAIT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open("pass.vcl", "w") as config:
        config.write(f"""
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{listener.getsockname()[1]}"; }}
sub vcl_recv {{ return (pass); }}
""")
    here = os.getcwd()
    command = ["unpacked/usr/sbin/varnishd", "-F", "-j", "none", "-n", f"{here}/work", "-f", f"{here}/pass.vcl"]
    command += ["-a", f"127.0.0.1:{port}", "-s", "malloc,10m", "-p", f"vmod_path={here}/unpacked/usr/lib"]
    with open("log", "w") as log:
        proxy = subprocess.Popen(command, stdout=log, stderr=log)
    post = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    try:
        for name, body in [
            ("plain chunks", b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"),
            ("first chunk with an extension", b"3;a=b\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"),
            ("second chunk with an extension", b"3\r\nabc\r\n3;a=b\r\ndef\r\n0\r\n\r\n"),
            ("a trailer", b"3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Sum: 7\r\n\r\n"),
        ]:
            took, status = ask(port, listener, post + body)
            print(f"{name}: member takes {took}, client gets {status}", flush=True)
    finally:
        proxy.terminate()
        proxy.wait()
EOF
timeout 120 python3 pass.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
