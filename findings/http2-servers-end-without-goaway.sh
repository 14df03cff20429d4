#!/usr/bin/env bash
# Software:  Apache 2.4.71, Caddy 2.6.2, h2o 2.2.5, HAProxy 2.6.12, lighttpd 1.4.69, nghttpx 1.52.0, nginx 1.22.1, Varnish
#            7.1.1 of Debian 12, and hypercorn 0.18.0, speaking HTTP/2 with prior knowledge.
# Behaviour: A server that ends a connection of HTTP/2 should say GOAWAY first, with the last stream that it took (RFC 9113
#            section 6.8): a request that crosses it can be sent again, whatever its method, for the client knows that it was
#            not taken. nghttpx, hypercorn and Varnish end a connection that has been idle for their time-out without a word,
#            as over HTTP/1.1; hypercorn, Varnish and Caddy do so as well when they are told to stop.
# For Shunt: A request that is not idempotent and crosses such an end gets 502. `keep-alive` of the pool has to be below the
#            members' time-out, as it is where nothing is written; and Shunt learns from such an end how long the member
#            keeps connections. The book has the table.
# Seen:      apache    idle: GOAWAY of 1, end; told to stop: GOAWAY of 1, end
#            caddy     idle: GOAWAY of 1, end; told to stop: end
#            h2o       idle: GOAWAY of 1, end; told to stop: GOAWAY of all, GOAWAY of 1, end
#            haproxy   idle: GOAWAY of 1, end; told to stop: GOAWAY of all, GOAWAY of 1, end
#            hypercorn idle: end; told to stop: end
#            lighttpd  idle: GOAWAY of 1, end; told to stop: GOAWAY of 1, end
#            nghttpx   idle: end; told to stop: GOAWAY of all, GOAWAY of 1, end
#            nginx     idle: GOAWAY of 1, end; told to stop: GOAWAY of 1, end
#            varnish   idle: end; told to stop: end
# Needs:     Debian 12 with its package sources, root (apt-get downloads), python3 with venv, PyPI, gcc (for Varnish).
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir archives archives/partial
apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/archives" install \
    --download-only --reinstall --no-install-recommends \
    apache2-bin=2.4.71-1~deb12u1 caddy=2.6.2-5 h2o=2.2.5+dfsg2-7 haproxy=2.6.12-1+deb12u4 lighttpd=1.4.69-1 \
    nghttp2-proxy=1.52.0-1+deb12u3 nginx=1.22.1-9+deb12u11 varnish=7.1.1-2+deb12u1 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in apache2-bin caddy h2o haproxy lighttpd nghttp2-proxy nginx varnish; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check h2==4.4.1 hpack==4.2.0 hyperframe==6.1.0 hypercorn==0.18.0
libraries=$folder/unpacked/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$libraries:$libraries/varnish HOME=$folder
cat > goodbye.py <<'EOF'
import os
import signal
import socket
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.events

WAIT = 20
HERE, UNPACKED = os.getcwd(), os.getcwd() + "/unpacked"


class Web:
    """The server behind those that are proxies alone."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        got = b""
        while piece := connection.recv(4096):
            got += piece
            while b"\r\n\r\n" in got:
                got = got.partition(b"\r\n\r\n")[2]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def wait_for(port):
    for _ in range(WAIT * 20):
        try:
            return socket.create_connection(("127.0.0.1", port), WAIT)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("the server does not listen")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def write(name, text):
    with open(name, "w") as file:
        file.write(text)
    os.chmod(name, 0o644)


def apache(port, web):
    modules = "".join(
        f"LoadModule {module}_module {UNPACKED}/usr/lib/apache2/modules/mod_{module}.so\n"
        for module in ("mpm_event", "authz_core", "dir", "http2")
    )
    write("apache.conf", f"""
ServerRoot {HERE}
ServerName h
PidFile {HERE}/apache.pid
Listen 127.0.0.1:{port}
{modules}
User nobody
Group nogroup
ErrorLog {HERE}/apache.log
DocumentRoot {HERE}/www
Protocols h2c
Timeout 3
KeepAliveTimeout 3
StartServers 1
""")
    return [f"{UNPACKED}/usr/sbin/apache2", "-D", "FOREGROUND", "-f", f"{HERE}/apache.conf"], signal.SIGWINCH


def caddy(port, web):
    write("Caddyfile", f"""
{{
    admin off
    auto_https off
    servers {{
        protocols h1 h2c
        timeouts {{
            idle 3s
        }}
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    respond ok
}}
""")
    return [f"{UNPACKED}/usr/bin/caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"], signal.SIGTERM


def h2o(port, web):
    write("h2o.conf", f"""
listen: {{ host: 127.0.0.1, port: {port} }}
num-threads: 1
http2-idle-timeout: 3
http2-graceful-shutdown-timeout: 3
hosts:
  default:
    paths:
      /:
        file.dir: {HERE}/www
""")
    return [f"{UNPACKED}/usr/bin/h2o", "-c", "h2o.conf"], signal.SIGTERM


def haproxy(port, web):
    write("haproxy.cfg", f"""
defaults
    mode http
    timeout client 3s
    timeout http-keep-alive 3s
listen l
    bind 127.0.0.1:{port} proto h2
    http-request return status 200
""")
    return [f"{UNPACKED}/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"], signal.SIGUSR1


def hypercorn(port, web):
    write("app.py", '''
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
''')
    return [f"{HERE}/venv/bin/hypercorn", "--keep-alive", "3", "--bind", f"127.0.0.1:{port}", "app:app"], signal.SIGTERM


def lighttpd(port, web):
    write("lighttpd.conf", f"""
server.document-root = "{HERE}/www"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{HERE}/lighttpd.log"
server.max-keep-alive-idle = 3
index-file.names = ("index.html")
""")
    modules = f"{UNPACKED}/usr/lib/lighttpd"
    return [f"{UNPACKED}/usr/sbin/lighttpd", "-D", "-f", "lighttpd.conf", "-m", modules], signal.SIGINT


def nghttpx(port, web):
    return [
        f"{UNPACKED}/usr/sbin/nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{port};no-tls",
        f"--backend=127.0.0.1,{web}", "--workers=1", "--log-level=ERROR", "--frontend-http2-read-timeout=3s",
    ], signal.SIGQUIT


def nginx(port, web):
    bodies = "".join(f"{kind}_temp_path {HERE}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    write("nginx.conf", f"""
daemon off;
pid {HERE}/nginx.pid;
error_log {HERE}/nginx.log;
events {{}}
http {{
    access_log off;
    keepalive_timeout 3s;
    {bodies}
    server {{ listen 127.0.0.1:{port} http2; location / {{ return 200; }} }}
}}
""")
    return [f"{UNPACKED}/usr/sbin/nginx", "-e", f"{HERE}/nginx.log", "-c", f"{HERE}/nginx.conf"], signal.SIGQUIT


def varnish(port, web):
    write("pass.vcl", f"""vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{web}"; }}
sub vcl_recv {{ return (pass); }}
""")
    return [
        f"{UNPACKED}/usr/sbin/varnishd", "-F", "-j", "none", "-s", "malloc,10m", "-n", f"{HERE}/varnish",
        "-a", f"127.0.0.1:{port}", "-f", f"{HERE}/pass.vcl", "-p", f"vmod_path={UNPACKED}/usr/lib",
        "-p", "feature=+http2", "-p", "timeout_idle=3",
    ], signal.SIGTERM


def goodbye(port, then):
    """What comes behind an answer until the connection ends."""
    with wait_for(port) as connection:
        connection.settimeout(WAIT)
        side = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        side.initiate_connection()
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")]
        side.send_headers(1, head, end_stream=True)
        connection.sendall(side.data_to_send())
        said = []
        while True:
            try:
                octets = connection.recv(65536)
            except ConnectionResetError:
                said.append("reset")
                break
            except TimeoutError:
                said.append("nothing")
                break
            if not octets:
                said.append("end")
                break
            for event in side.receive_data(octets):
                if isinstance(event, h2.events.ResponseReceived):
                    assert (":status", "200") in [tuple(f) for f in event.headers], event.headers
                if isinstance(event, h2.events.StreamEnded):
                    threading.Timer(0.5, then).start()
                if isinstance(event, h2.events.ConnectionTerminated):
                    last = "of all" if event.last_stream_id == 2 ** 31 - 1 else f"of {event.last_stream_id}"
                    assert event.error_code == 0, event
                    said.append(f"GOAWAY {last}")
            try:
                connection.sendall(side.data_to_send())
            except OSError:
                pass
    # h2o repeats itself.
    return ", ".join(word for at, word in enumerate(said) if word not in said[:at])


os.makedirs("www", exist_ok=True)
write("www/index.html", "ok")
web = Web()
for configure in (apache, caddy, h2o, haproxy, hypercorn, lighttpd, nghttpx, nginx, varnish):
    port = free_port()
    command, stop = configure(port, web.port)
    with open(f"{configure.__name__}.out", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(port).close()
        idle = goodbye(port, lambda: None)
        stopped = goodbye(port, lambda: server.send_signal(stop))
    finally:
        server.terminate()
        server.wait()
    print(f"{configure.__name__:9} idle: {idle}; told to stop: {stopped}", flush=True)
EOF
timeout 200 venv/bin/python goodbye.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
