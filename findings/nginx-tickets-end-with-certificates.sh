#!/usr/bin/env bash
# Software:  Apache 2.4.71, HAProxy 2.6.12, lighttpd 1.4.69, nghttpx 1.52.0, nginx 1.22.1 of Debian 12, and a client of
#            OpenSSL.
# Behaviour: Servers that share a file with a key of session tickets are to resume each other's sessions. nginx does so only
#            where the certificate is the same to the octet: it ties sessions to a digest of it. A certificate that was
#            renewed for the same name and the same key ends all of them, by a reload and between servers that have it and
#            those that still have the old one, although `ssl_session_ticket_key` is the same on all; so do servers of one
#            name with certificates of their own. The manual says nothing of it. The others resume.
# For Shunt: Its tickets are bound to the demand of client certificates and not to a certificate, as a test shows. The book
#            says what members behind TLS that is passed through need for a client that comes to another one to resume.
# Seen:      apache, TLS 1.2: itself resumes, same certificate resumes, renewed certificate resumes
#            apache, TLS 1.3: itself resumes, same certificate resumes, renewed certificate resumes
#            haproxy, TLS 1.2: itself resumes, same certificate resumes, renewed certificate resumes
#            haproxy, TLS 1.3: itself resumes, same certificate resumes, renewed certificate resumes
#            lighttpd, TLS 1.2: itself resumes, same certificate resumes, renewed certificate resumes
#            lighttpd, TLS 1.3: itself resumes, same certificate resumes, renewed certificate resumes
#            nghttpx, TLS 1.2: itself resumes, same certificate resumes, renewed certificate resumes
#            nghttpx, TLS 1.3: itself resumes, same certificate resumes, renewed certificate resumes
#            nginx, TLS 1.2: itself resumes, same certificate resumes, renewed certificate does not
#            nginx, TLS 1.3: itself resumes, same certificate resumes, renewed certificate does not
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
    apache2-bin=2.4.71-1~deb12u1 haproxy=2.6.12-1+deb12u4 lighttpd=1.4.69-1 lighttpd-mod-openssl=1.4.69-1 \
    nghttp2-proxy=1.52.0-1+deb12u3 nginx=1.22.1-9+deb12u11 > /dev/null
for package in archives/*.deb; do
    dpkg-deb -x "$package" unpacked
done
for package in apache2-bin haproxy lighttpd nghttp2-proxy nginx; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' archives/"$package"_*.deb
done
export LD_LIBRARY_PATH=$folder/unpacked/usr/lib/x86_64-linux-gnu
# The same key and the same name, as a renewal gives them.
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out first.pem -days 2 -subj /CN=h 2> /dev/null
openssl req -x509 -new -key key.pem -out renewed.pem -days 3 -subj /CN=h 2> /dev/null
cat first.pem key.pem > first-both.pem
cat renewed.pem key.pem > renewed-both.pem
head -c 48 /dev/urandom > tickets.48
head -c 80 /dev/urandom > tickets.80
cat > tickets.py <<'EOF'
import base64
import os
import socket
import ssl
import struct
import subprocess
import time

WAIT = 5
HERE, UNPACKED = os.getcwd(), os.getcwd() + "/unpacked"
PORT = 8443


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def apache(name, address, certificate):
    modules = "".join(
        f"LoadModule {module}_module {UNPACKED}/usr/lib/apache2/modules/mod_{module}.so\n"
        for module in ("mpm_event", "authz_core", "dir", "ssl")
    )
    write(f"{name}.conf", f"""
ServerRoot {HERE}
ServerName h
PidFile {HERE}/{name}.pid
Listen {address}:{PORT}
{modules}
User nobody
Group nogroup
ErrorLog {HERE}/{name}.log
DocumentRoot {HERE}/www
SSLEngine on
SSLCertificateFile {HERE}/{certificate}.pem
SSLCertificateKeyFile {HERE}/key.pem
SSLSessionTicketKeyFile {HERE}/tickets.48
""")
    return [f"{UNPACKED}/usr/sbin/apache2", "-D", "FOREGROUND", "-f", f"{HERE}/{name}.conf"]


def haproxy(name, address, certificate):
    write(f"{name}.cfg", f"""
defaults
    mode http
    timeout client 5s
frontend f
    bind {address}:{PORT} ssl crt {HERE}/{certificate}-both.pem tls-ticket-keys {HERE}/tickets.lines
    http-request return status 200
""")
    return [f"{UNPACKED}/usr/sbin/haproxy", "-db", "-q", "-f", f"{name}.cfg"]


def lighttpd(name, address, certificate):
    write(f"{name}.conf", f"""
server.document-root = "{HERE}/www"
server.bind = "{address}"
server.port = {PORT}
server.modules = ("mod_openssl")
server.errorlog = "{HERE}/{name}.log"
index-file.names = ("index.html")
ssl.engine = "enable"
ssl.pemfile = "{HERE}/{certificate}-both.pem"
ssl.stek-file = "{HERE}/tickets.stek"
""")
    return [f"{UNPACKED}/usr/sbin/lighttpd", "-D", "-f", f"{name}.conf", "-m", f"{UNPACKED}/usr/lib/lighttpd"]


def nghttpx(name, address, certificate):
    return [
        f"{UNPACKED}/usr/sbin/nghttpx", "--conf=/dev/null", f"--frontend={address},{PORT}", "--backend=127.0.0.1,9",
        "--workers=1", "--log-level=ERROR", f"--tls-ticket-key-file={HERE}/tickets.48", f"{HERE}/key.pem",
        f"{HERE}/{certificate}.pem",
    ]


def nginx(name, address, certificate):
    bodies = "".join(f"{kind}_temp_path {HERE}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    write(f"{name}.conf", f"""
daemon off;
master_process off;
pid {HERE}/{name}.pid;
error_log {HERE}/{name}.log;
events {{}}
http {{
    access_log off;
    {bodies}
    server {{
        listen {address}:{PORT} ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {HERE}/{certificate}.pem;
        ssl_certificate_key {HERE}/key.pem;
        ssl_session_ticket_key {HERE}/tickets.80;
        location / {{ return 200; }}
    }}
}}
""")
    return [f"{UNPACKED}/usr/sbin/nginx", "-e", f"{HERE}/{name}.log", "-c", f"{HERE}/{name}.conf"]


def shake(context, address, session=None):
    """A handshake and a request: the session, and whether it was resumed."""
    with socket.create_connection((address, PORT), WAIT) as connection:
        with context.wrap_socket(connection, session=session) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            try:
                # The tickets of TLS 1.3 come behind the handshake.
                while tls.recv(65536):
                    pass
            except OSError:
                pass
            return tls.session, tls.session_reused


def wait_for(address):
    for _ in range(WAIT * 20):
        try:
            socket.create_connection((address, PORT), WAIT).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("the server does not listen")


def context(version):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    return made


os.makedirs("www")
write("www/index.html", "x")
with open("tickets.80", "rb") as file:
    key = file.read()
with open("tickets.lines", "wb") as file:
    file.write(b"".join(base64.b64encode(key) + b"\n" for _ in range(3)))
with open("tickets.stek", "wb") as file:
    file.write(struct.pack("=III", 0, 0, 2 ** 31 - 1) + key)
SERVERS = [
    ("itself", "127.83.1.1", "first"),
    ("same certificate", "127.83.1.2", "first"),
    ("renewed certificate", "127.83.1.3", "renewed"),
]
for configure in (apache, haproxy, lighttpd, nghttpx, nginx):
    running = []
    try:
        for at, (_, address, certificate) in enumerate(SERVERS):
            name = f"{configure.__name__}{at}"
            with open(f"{name}.out", "w") as log:
                running.append(subprocess.Popen(configure(name, address, certificate), stdout=log, stderr=log))
        for _, address, _ in SERVERS:
            wait_for(address)
        for version, said in ((ssl.TLSVersion.TLSv1_2, "1.2"), (ssl.TLSVersion.TLSv1_3, "1.3")):
            seen = []
            for what, address, _ in SERVERS:
                client = context(version)
                session, _ = shake(client, SERVERS[0][1])
                resumed = shake(client, address, session)[1]
                seen.append(f"{what} {'resumes' if resumed else 'does not'}")
            print(f"{configure.__name__}, TLS {said}: " + ", ".join(seen), flush=True)
    finally:
        for server in running:
            server.terminate()
            server.wait()
EOF
timeout 300 python3 tickets.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
