#!/usr/bin/env python3
"""Measures how long a daemon takes until it serves, by how many packs it has, with compiled code in its cache and without.

    tests/bench/start.py target/release/shunt PACK.wasm

PACK.wasm is a component as `shunt rule build` writes it, of version 1.0.0 and with one slot `web`, as that of
tests/guests/plain. Each of the packs is that component with another version, so that none is compiled for another. A start ends when the daemon answers on its admin socket; the fastest of the rounds counts.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROUNDS = 15


def main():
    shunt, pack = (os.path.abspath(path) for path in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as work:
        one = [versions(pack, work, 0)]
        many = [versions(pack, work, number) for number in range(50)]
        cases = {
            'no pack': ([], True),
            'one, cached': (one, True),
            'one, compiled': (one, False),
            '50, cached': (many, True),
            '50, compiled': (many, False),
        }
        # One round of each after the other, so that other work on the machine meets them all.
        best = dict.fromkeys(cases, float('inf'))
        for _ in range(ROUNDS):
            for name, (packs, keeps) in cases.items():
                best[name] = min(best[name], started(shunt, packs, keeps, work))
        for name, seconds in best.items():
            print(f'{name:14} {seconds * 1e3:7.1f} ms  {seconds / best["no pack"]:.2f} x')


def versions(pack, work, number):
    """The component with another version in its pack.toml."""
    with open(pack, 'rb') as file:
        code = file.read()
    version = f'version = "{number // 10 + 1}.{number % 10}.0"'.encode()
    assert code.count(b'version = "1.0.0"') == 1, f'{pack} has no version 1.0.0'
    path = os.path.join(work, f'{number}.wasm')
    with open(path, 'wb') as file:
        file.write(code.replace(b'version = "1.0.0"', version))
    return path


def started(shunt, packs, keeps, work):
    folder = os.path.join(work, 'run')
    os.makedirs(folder, exist_ok=True)
    cache = os.path.join(work, f'cache-{len(packs)}')
    if not keeps:
        cache = os.path.join(work, 'none')
        shutil.rmtree(cache, ignore_errors=True)
    admin = os.path.join(folder, 'admin.sock')
    rules = ''.join(f'[[virtual.rule]]\nname = "r{n}"\npack = "{pack}"\nslots = {{ web = "web" }}\n\n'
                    for n, pack in enumerate(packs))
    with open(os.path.join(folder, 'shunt.toml'), 'w') as file:
        file.write(f'[process]\nworkers = 1\n\n[admin]\nsocket = "{admin}"\n\n[packs]\ncache = "{cache}"\n\n'
                   f'[[virtual]]\nname = "v"\nlisten = "127.0.0.1:{free()}"\nprotocol = "http"\npool = "web"\n\n{rules}'
                   '[[pool]]\nname = "web"\nmembers = [{ address = "127.0.0.1:9" }]\n')
    begin = time.perf_counter()
    daemon = subprocess.Popen([shunt, 'run', '--config', os.path.join(folder, 'shunt.toml')],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect(admin)
                    client.sendall(b'GET /v1/status HTTP/1.1\r\nHost: shunt\r\nConnection: close\r\n\r\n')
                    if client.recv(16).startswith(b'HTTP/1.1 200'):
                        return time.perf_counter() - begin
                except OSError:
                    pass
            assert daemon.poll() is None, 'the daemon ended'
            time.sleep(0.0005)
    finally:
        daemon.kill()
        daemon.wait()
        if os.path.exists(admin):
            os.remove(admin)


def free():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


main()
