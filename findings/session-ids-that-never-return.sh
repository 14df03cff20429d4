#!/usr/bin/env bash
# Software:  Apache 2.4.71, GnuTLS 3.7.9 (gnutls-serv), HAProxy 2.6.12, lighttpd 1.4.69 (with OpenSSL, GnuTLS and NSS),
#            nghttpx 1.52.0, nginx 1.22.1, stunnel 5.68 of Debian 12 as they come, and a client of OpenSSL.
# Behaviour: Load balancers keep a client of TLS 1.2 with its server by the session id that they read in the ServerHello, and
#            meet in the client's next ClientHello. With session tickets, which each of these servers gives and clients
#            take, that id never comes again: OpenSSL's servers send none, those of GnuTLS and NSS one that the client drops
#            for an id of its own (RFC 5077 section 3.4). Without tickets Apache and lighttpd with OpenSSL still send none,
#            for they cache no sessions, and nginx and lighttpd send ids of sessions that they have not kept.
# For Shunt: Persistence by TLS session id needs servers without tickets and with a cache of sessions; the book says so, and
#            `check` asks for a second key.
# Seen:      apache           tickets: no id                   without tickets: no id
#            gnutls-serv      tickets: another id comes        without tickets: the id comes again, and is resumed
#            haproxy          tickets: no id                   without tickets: the id comes again, and is resumed
#            lighttpd-openssl tickets: no id                   without tickets: no id
#            lighttpd-gnutls  tickets: another id comes        without tickets: the id comes again, and is not resumed
#            lighttpd-nss     tickets: another id comes        without tickets: the id comes again, and is not resumed
#            nghttpx          tickets: no id                   without tickets: the id comes again, and is resumed
#            nginx            tickets: no id                   without tickets: the id comes again, and is not resumed
#            stunnel          tickets: no id                   without tickets: the id comes again, and is resumed
# Needs:     Debian 12 with its package sources, root (apt-get downloads), openssl, python3 with OpenSSL.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
mkdir archives archives/partial
apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$folder/archives" install \
    --download-only --reinstall --no-install-recommends \
    apache2-bin=2.4.71-1~deb12u1 gnutls-bin=3.7.9-2+deb12u7 haproxy=2.6.12-1+deb12u4 lighttpd=1.4.69-1 \
    lighttpd-mod-gnutls=1.4.69-1 lighttpd-mod-nss=1.4.69-1 lighttpd-mod-openssl=1.4.69-1 \
    nghttp2-proxy=1.52.0-1+deb12u3 nginx=1.22.1-9+deb12u11 stunnel4=3:5.68-2+deb12u1 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in apache2-bin gnutls-bin haproxy lighttpd nghttp2-proxy nginx stunnel4; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 2 -subj /CN=h 2> /dev/null
cat certificate.pem key.pem > both.pem
cat > ids.py <<'EOF'
import os
import socket
import ssl
import subprocess
import time

WAIT = 5
HERE, UNPACKED = os.getcwd(), os.getcwd() + "/unpacked"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def session_id(flight):
    """That of the hello at the begin of what one side sent (RFC 5246 section 7.4.1): record, handshake, version, random."""
    at = 5 + 4 + 2 + 32
    return flight[at + 1:at + 1 + flight[at]]


def shake(context, port, session=None):
    """A handshake and a request: the session, the ids of both hellos, and whether the session was resumed."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, session=session)
    sent = received = b""
    with socket.create_connection(("127.0.0.1", port), WAIT) as connection:
        connection.settimeout(WAIT)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                flight = outgoing.read()
                sent += flight
                connection.sendall(flight)
                flight = connection.recv(65536)
                assert flight, "the server ends the handshake"
                received += flight
                incoming.write(flight)
        tls.write(b"GET / HTTP/1.0\r\n\r\n")
        connection.sendall(outgoing.read())
        try:
            while connection.recv(65536):
                pass
        except (ConnectionResetError, socket.timeout):
            pass
    return tls.session, session_id(sent), session_id(received), tls.session_reused


def meet_again(port, with_tickets):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if not with_tickets:
        context.options |= ssl.OP_NO_TICKET
    session, _, learned, _ = shake(context, port)
    _, shown, _, resumed = shake(context, port, session)
    if not learned:
        return "no id"
    if shown != learned:
        return "another id comes"
    return "the id comes again, and is " + ("resumed" if resumed else "not resumed")


def servers(origin):
    certificate, key, both = f"{HERE}/certificate.pem", f"{HERE}/key.pem", f"{HERE}/both.pem"
    os.makedirs("www", exist_ok=True)
    write("www/index.html", "x")
    port = free_port()
    modules = "".join(
        f"LoadModule {name}_module {UNPACKED}/usr/lib/apache2/modules/mod_{name}.so\n"
        for name in ("mpm_event", "authz_core", "dir", "ssl")
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
SSLEngine on
SSLCertificateFile {certificate}
SSLCertificateKeyFile {key}
""")
    yield "apache", port, [f"{UNPACKED}/usr/sbin/apache2", "-D", "FOREGROUND", "-f", f"{HERE}/apache.conf"]
    port = free_port()
    yield "gnutls-serv", port, [
        f"{UNPACKED}/usr/bin/gnutls-serv", "--http", "--quiet", f"--port={port}", f"--x509certfile={certificate}",
        f"--x509keyfile={key}",
    ]
    port = free_port()
    write("haproxy.cfg", f"""
defaults
    mode http
    timeout client 5s
frontend f
    bind 127.0.0.1:{port} ssl crt {both}
    http-request return status 200
""")
    yield "haproxy", port, [f"{UNPACKED}/usr/sbin/haproxy", "-db", "-q", "-f", "haproxy.cfg"]
    for library in ("openssl", "gnutls", "nss"):
        port = free_port()
        write(f"{library}.conf", f"""
server.document-root = "{HERE}/www"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_{library}")
server.errorlog = "{HERE}/lighttpd.log"
index-file.names = ("index.html")
ssl.engine = "enable"
ssl.pemfile = "{both}"
""")
        yield f"lighttpd-{library}", port, [
            f"{UNPACKED}/usr/sbin/lighttpd", "-D", "-f", f"{library}.conf", "-m", f"{UNPACKED}/usr/lib/lighttpd",
        ]
    port = free_port()
    yield "nghttpx", port, [
        f"{UNPACKED}/usr/sbin/nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{port}",
        f"--backend=127.0.0.1,{origin}", "--workers=1", "--log-level=ERROR", key, certificate,
    ]
    port = free_port()
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
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{ return 200; }}
    }}
}}
""")
    yield "nginx", port, [f"{UNPACKED}/usr/sbin/nginx", "-e", f"{HERE}/nginx.log", "-c", f"{HERE}/nginx.conf"]
    port = free_port()
    write("stunnel.conf", f"""
foreground = yes
pid =
[s]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{origin}
cert = {both}
""")
    yield "stunnel", port, [f"{UNPACKED}/usr/bin/stunnel4", "stunnel.conf"]


def wait_for(port):
    for _ in range(WAIT * 20):
        try:
            socket.create_connection(("127.0.0.1", port), WAIT).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("the server does not listen")


origin = free_port()
web = subprocess.Popen(
    ["python3", "-m", "http.server", "--bind", "127.0.0.1", str(origin)],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
try:
    wait_for(origin)
    for name, port, command in servers(origin):
        with open(f"{name}.out", "w") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(port)
            seen = meet_again(port, True), meet_again(port, False)
        finally:
            server.terminate()
            server.wait()
        print(f"{name:16} tickets: {seen[0]:23} without tickets: {seen[1]}", flush=True)
finally:
    web.terminate()
    web.wait()
EOF
timeout 300 python3 ids.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
