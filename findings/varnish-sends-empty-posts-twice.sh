#!/usr/bin/env bash
# Software:  Varnish 7.1.1 of Debian 12, which passes everything (return (pass)), beside HAProxy 2.6.12 and nginx 1.22.1.
# Behaviour: A proxy must not send a request again by itself whose method is not idempotent, unless it knows that the server
#            did not take it (RFC 9110 section 9.2.2). Where a connection that has served before ends without an answer,
#            Varnish sends a POST without content again on a new one, though the server has read it whole: it keeps back
#            only requests with content. A button that is pressed once orders twice. HAProxy and nginx do not send again.
# For Shunt: It sends a POST again only where none of it can have been read. Where Varnish stands between Shunt and a server,
#            what Shunt sent once may be done twice; the book says so.
# Seen:      haproxy, POST with content: member gets it on a new connection, client gets 502
#            haproxy, POST with content: member gets it on a used connection, client gets nothing
#            haproxy, POST without content: member gets it on a new connection, client gets 502
#            haproxy, POST without content: member gets it on a used connection, client gets nothing
#            nginx, POST with content: member gets it on a new connection, client gets 502
#            nginx, POST with content: member gets it on a used connection, client gets 502
#            nginx, POST without content: member gets it on a new connection, client gets 502
#            nginx, POST without content: member gets it on a used connection, client gets 502
#            varnish, POST with content: member gets it on a new connection, client gets 503
#            varnish, POST with content: member gets it on a used connection, client gets 503
#            varnish, POST without content: member gets it on a new connection, client gets 503
#            varnish, POST without content: member gets it on a used, and on a new connection, client gets 503
# Needs:     Debian 12 with its package sources, root (apt-get downloads), python3, gcc (for Varnish).
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir archives archives/partial
apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/archives" install \
    --download-only --reinstall --no-install-recommends \
    haproxy=2.6.12-1+deb12u4 nginx=1.22.1-9+deb12u11 varnish=7.1.1-2+deb12u1 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in haproxy nginx varnish; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
libraries=$folder/unpacked/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$libraries:$libraries/varnish
cat > twice.py <<'EOF'
import os
import socket
import subprocess
import threading
import time

WAIT = 10
HERE, UNPACKED = os.getcwd(), os.getcwd() + "/unpacked"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Member:
    """Reads each POST whole, and then closes its connection without an answer. Other requests get one."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.posts = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        served, got = 0, b""
        with connection:
            while True:
                while b"\r\n\r\n" not in got:
                    try:
                        piece = connection.recv(65536)
                    except OSError:
                        return
                    if not piece:
                        return
                    got += piece
                head, _, got = got.partition(b"\r\n\r\n")
                fields = dict(
                    line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:]
                )
                length = int(fields.get(b"content-length", b"0"))
                if b"transfer-encoding" in fields:
                    while not got.endswith(b"0\r\n\r\n"):
                        got += connection.recv(65536)
                    got = b""
                else:
                    while len(got) < length:
                        got += connection.recv(65536)
                    got = got[length:]
                if head.startswith(b"POST"):
                    self.posts.append("used" if served else "new")
                    return
                connection.sendall(ANSWER)
                served += 1


def exchange(client, request):
    client.sendall(request)
    got = b""
    while b"\r\n\r\n" not in got:
        piece = client.recv(65536)
        if not piece:
            return "nothing"
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields.get(b"content-length", b"0")):
        body += client.recv(65536)
    return head.split()[1].decode()


def wait_for(port):
    for _ in range(WAIT * 20):
        try:
            return socket.create_connection(("127.0.0.1", port), WAIT)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("the proxy does not listen")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def write(name, text):
    with open(name, "w") as file:
        file.write(text)
    os.chmod(name, 0o644)


def haproxy(port, member):
    write("haproxy.cfg", f"""
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    http-reuse always
listen l
    bind 127.0.0.1:{port}
    server s 127.0.0.1:{member}
""")
    return [f"{UNPACKED}/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"]


def nginx(port, member):
    bodies = "".join(f"{kind}_temp_path {HERE}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    write("nginx.conf", f"""
daemon off;
master_process off;
pid {HERE}/nginx.pid;
error_log {HERE}/nginx.log;
events {{}}
http {{
    access_log off;
    {bodies}
    upstream u {{ server 127.0.0.1:{member}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
""")
    return [f"{UNPACKED}/usr/sbin/nginx", "-e", f"{HERE}/nginx.log", "-c", f"{HERE}/nginx.conf"]


def varnish(port, member):
    write("pass.vcl", f"""vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{member}"; }}
sub vcl_recv {{ return (pass); }}
""")
    return [
        f"{UNPACKED}/usr/sbin/varnishd", "-F", "-j", "none", "-s", "malloc,10m", "-n", f"{HERE}/varnish",
        "-a", f"127.0.0.1:{port}", "-f", f"{HERE}/pass.vcl", "-p", f"vmod_path={UNPACKED}/usr/lib",
    ]


GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POSTS = [("with content", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"),
         ("without content", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")]
for configure in (haproxy, nginx, varnish):
    name = configure.__name__
    member, port = Member(), free_port()
    with open(f"{name}.out", "w") as log:
        proxy = subprocess.Popen(configure(port, member.port), stdout=log, stderr=log)
    try:
        wait_for(port).close()
        for what, post in POSTS:
            for begin in ("new", "used"):
                member.posts.clear()
                with wait_for(port) as client:
                    # A connection to the member that has served, or none.
                    first = exchange(client, GET) if begin == "used" else "200"
                    assert first == "200", first
                    status = exchange(client, post)
                # A second one would come at once.
                time.sleep(0.5)
                print(f"{name}, POST {what}: member gets it on a {', and on a '.join(member.posts)} connection,"
                      f" client gets {status}", flush=True)
    finally:
        proxy.terminate()
        proxy.wait()
EOF
timeout 300 python3 twice.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
