#!/usr/bin/env bash
# Software:  docker-registry 2.8.2+ds1-1 of Debian 12 (CNCF Distribution), on a file system.
# Behaviour: Three answers on valid requests that a client would not expect. A manifest of OCI is "unknown" (404) for who
#            accepts anything: `Accept: */*`, or no such field, both of which mean every type (RFC 9110 section 12.5.1).
#            `tags/list?n=1` gives all tags, and no Link to a next page. And Docker-Content-Digest is not that of the
#            bytes that are sent: it repeats the digest that was asked for, also where what is stored was changed.
# For Shunt: It names the types that it accepts, bounds a page of tags by bytes and not by what it asked for, and computes
#            each digest itself.
# Seen:      Accept */*: 404
#            no Accept: 404
#            Accept of OCI: 200
#            tags with n=1: 3, Link: no
#            a changed blob: 200, digest of the field: that of the request, of the bytes: another
#            a changed manifest: 200, digest of the field: that of the request, of the bytes: another
# Needs:     Debian 12 with its package sources (apt-get download), python3.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download docker-registry=2.8.2+ds1-1 > /dev/null
dpkg-deb -x docker-registry_*.deb unpacked
unpacked/usr/bin/docker-registry --version
cat > ask.py <<'PYTHON'
import hashlib
import http.client
import json
import os
import socket
import subprocess
import time

OCI = "application/vnd.oci.image.manifest.v1+json"
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
with open("config.yml", "w") as file:
    file.write(f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {os.getcwd()}/data}}}}
http: {{addr: '127.0.0.1:{port}', secret: x}}
""")


def ask(method, target, body=None, headers={}):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def stored(name):
    name = name.removeprefix("sha256:")
    return f"data/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"


quiet = subprocess.DEVNULL
registry = subprocess.Popen(["unpacked/usr/bin/docker-registry", "serve", "config.yml"], stdout=quiet, stderr=quiet)
try:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    blob = b"x" * 1000
    for content in [blob, b"{}"]:
        _, headers, _ = ask("POST", "/v2/a/blobs/uploads/", b"")
        target = headers["Location"].split(str(port), 1)[1] + "&digest=" + digest(content)
        assert ask("PUT", target, content)[0] == 201
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": OCI,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
        "layers": [{"mediaType": "application/octet-stream", "digest": digest(blob), "size": len(blob)}],
    }).encode()
    for tag in ["1", "2", "3"]:
        assert ask("PUT", f"/v2/a/manifests/{tag}", manifest, {"Content-Type": OCI})[0] == 201
    print("Accept */*:", ask("GET", "/v2/a/manifests/1", headers={"Accept": "*/*"})[0])
    print("no Accept:", ask("GET", "/v2/a/manifests/1")[0])
    print("Accept of OCI:", ask("GET", "/v2/a/manifests/1", headers={"Accept": OCI})[0])
    _, headers, body = ask("GET", "/v2/a/tags/list?n=1")
    print(f"tags with n=1: {len(json.loads(body)['tags'])}, Link: {'yes' if headers['Link'] else 'no'}")
    for what, content, target in [
        ("blob", blob, f"/v2/a/blobs/{digest(blob)}"),
        ("manifest", manifest, f"/v2/a/manifests/{digest(manifest)}"),
    ]:
        with open(stored(digest(content)), "wb") as file:
            # Still a manifest, where it is one.
            file.write(content.replace(b"octet", b"ottet").replace(b"x", b"y", 1))
        status, headers, body = ask("GET", target, headers={"Accept": OCI})
        names = {digest(content): "that of the request", digest(body): "that of the bytes"}
        told = names.get(headers["Docker-Content-Digest"], "another")
        of_bytes = "the same" if digest(body) == digest(content) else "another"
        print(f"a changed {what}: {status}, digest of the field: {told}, of the bytes: {of_bytes}")
finally:
    registry.terminate()
    registry.wait()
PYTHON
timeout 60 python3 ask.py | tee seen
sed -n '/^# Seen:/,/^# Needs:/p' "$script" | sed '$d' | cut -c14- > expected
diff expected seen || { echo "the behaviour changed" >&2; exit 1; }
echo "as described"
