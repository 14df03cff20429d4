#!/usr/bin/env python3
"""Push and pull of a pack beside curl moving the same blobs, in turns, with a registry of its own on loopback.

Needs docker-registry and curl. The pack is a file that `shunt pack build` wrote. Prints the minimum of the rounds, and
the ratio. Shunt asks for manifests as well, computes digests, and writes one file; curl does none of it.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time


def registry(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = os.path.join(folder, "config.yml")
    with open(config, "w") as file:
        file.write(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}', secret: bench}}\n"
        )
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(["docker-registry", "serve", config], stdout=quiet, stderr=quiet)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, f"127.0.0.1:{port}"
        except OSError:
            time.sleep(0.05)


def blobs(pack, folder):
    """The blobs of a pack file, without its manifests: what is pushed and pulled as blobs."""
    found = {}
    with tarfile.open(pack) as archive:
        for entry in archive:
            if entry.name.startswith("blobs/"):
                content = archive.extractfile(entry).read()
                is_manifest = content.startswith(b'{"schemaVersion"')
                if not is_manifest:
                    path = os.path.join(folder, os.path.basename(entry.name))
                    with open(path, "wb") as file:
                        file.write(content)
                    found[os.path.basename(entry.name)] = path
    return found


def timed(command, **options):
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, **options)
    took = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{command}: {done.stderr.decode()}")
    return took


def curl_push(name, repository, files, folder):
    """As little as an upload needs: a POST for each blob, and a PUT to where that says, each on one connection."""
    base = f"http://{name}/v2/{repository}/blobs/uploads/"
    begin, put = ["curl"], ["curl"]
    for digest in files:
        begin += ["-s", "-D", os.path.join(folder, "head-" + digest), "-o", "/dev/null", "-X", "POST", base, "--next"]
    took = timed(begin[:-1])
    for digest, path in files.items():
        with open(os.path.join(folder, "head-" + digest)) as head:
            lines = [line.strip().partition(": ") for line in head]
        location = next(value for field, _, value in lines if field.lower() == "location")
        # Without Expect, an upload does not wait for leave.
        put += ["-sf", "-X", "PUT", "-H", "Expect:", "-H", "Content-Type: application/octet-stream"]
        put += ["--data-binary", f"@{path}", f"{location}&digest=sha256:{digest}", "--next"]
    return took + timed(put[:-1])


def curl_pull(name, repository, files, folder):
    command = ["curl", "-sf"]
    for digest in files:
        command += ["-o", os.path.join(folder, "out-" + digest), f"http://{name}/v2/{repository}/blobs/sha256:{digest}"]
    return timed(command)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("shunt")
    arguments.add_argument("pack")
    arguments.add_argument("--rounds", type=int, default=20)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, name = registry(folder)
        try:
            files = blobs(asked.pack, folder)
            size = os.path.getsize(asked.pack)
            environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(folder, "cache"))
            plain = ["--insecure-registry", name]
            rows = {"push": ([], []), "pull": ([], [])}
            for round in range(asked.rounds):
                push = [asked.shunt, "pack", "push", asked.pack, f"{name}/shunt/r{round}", *plain]
                rows["push"][0].append(curl_push(name, f"curl/r{round}", files, folder))
                rows["push"][1].append(timed(push, env=environment))
                tag = json.loads(subprocess.run(
                    [asked.shunt, "pack", "list", f"{name}/shunt/r{round}", "-o", "json", *plain], capture_output=True
                ).stdout)["tags"][0]["tag"]
                # A pull onto a file that is there reads it first, so each goes to a new one.
                out = os.path.join(folder, f"out-{round}.tar")
                pull = [asked.shunt, "pack", "pull", f"{name}/shunt/r{round}:{tag}", "--file", out, *plain]
                rows["pull"][0].append(curl_pull(name, f"curl/r{round}", files, folder))
                rows["pull"][1].append(timed(pull, env=environment))
            print(f"{size / 1048576:.1f} MiB, {len(files)} blobs, minimum of {asked.rounds} rounds")
            for what, (curl, shunt) in rows.items():
                best = min(curl), min(shunt)
                print(f"{what}: curl {best[0] * 1e3:.1f} ms, shunt {best[1] * 1e3:.1f} ms, {best[1] / best[0]:.2f}")
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
