#!/usr/bin/env python3
"""What a rule costs: two virtuals of one daemon, without the rule and with it, asked in turns.

    tests/bench/own_ratio.py target/release/shunt rules-examples/api-canary/dist/api-canary.wasm
    tests/bench/own_ratio.py target/release/shunt tests/guests/prefix/dist/prefix.wasm --protocol tcp

Both have the same worker, origin and clients, and each pair of measurements is a ratio of its own: what differs between
two processes, or drifts with the time, is not in it. Prints processor time per request, by the kernel, and the ratios.
"""
import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
import types

import l7
import peers as P


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('shunt')
    a.add_argument('pack')
    a.add_argument('--slots', default='a = "a", b = "b"', help='slots of the pack; there are the pools a and b')
    a.add_argument('--settings', default='', help='settings of the rule: `percent = 5`')
    a.add_argument('--protocol', choices=('http', 'tcp'), default='http',
                   help='tcp: a new connection for each request, by ab')
    a.add_argument('--path', default='/api/x')
    a.add_argument('--header', action='append', help='default: X-Canary: 1')
    a.add_argument('--connections', type=int, default=32)
    a.add_argument('--rounds', type=int, default=8)
    a.add_argument('--seconds', type=int, default=2)
    a.add_argument('--settle', type=float, default=5, help='seconds to wait at most for a quiet machine before each run')
    a.add_argument('--proxy-cpu', default='0')
    a.add_argument('--load-cpu', default='1')
    a.add_argument('--base-port', type=int, default=21500)
    o = a.parse_args()
    lock = l7.only_one()  # noqa: F841
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))  # so that the daemon is stopped too
    o.work = tempfile.mkdtemp(prefix='own-ratio-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    os.makedirs(os.path.join(o.work, 'tmp'))
    try:
        run(o)
    finally:
        shutil.rmtree(o.work, ignore_errors=True)


def run(o):
    a, b, plain, ruled = range(o.base_port + 1, o.base_port + 5)
    env = dict(work=o.work, origin_a=f'127.0.0.1:{a}', origin_b=f'127.0.0.1:{b}')
    running = []

    def start(argv, cpu, name, ports):
        log = os.path.join(o.work, name + '.log')
        running.append(l7.Proc(argv, cpu, log))
        if not all(l7.wait_port(port, running[-1]) for port in ports):
            with open(log) as f:
                sys.exit(f'{name} does not start: {f.read()[-500:]}')
        return running[-1]

    try:
        l7.prefer('self')
        start(P.origin(a, b, env), o.load_cpu, 'origin', (a, b))
        file = P.put(env, 'shunt.toml', config(o, env, plain, ruled))
        daemon = start([os.path.abspath(o.shunt), 'run', '--config', file], o.proxy_cpu, 'shunt', (plain, ruled))
        asked = types.SimpleNamespace(load_cpu=o.load_cpu, work=o.work)
        headers = o.header or ['X-Canary: 1']

        def measure(port, seconds):
            l7.settle(o)
            before, begin = daemon.cpu()[0], time.time()
            if o.protocol == 'tcp':
                requests, _, _, _, errors = l7.ab(asked, port, seconds)
            else:
                requests, _, _, _, errors = l7.wrk(asked, port, seconds, path=o.path, conns=o.connections, headers=headers)
            cpu = daemon.cpu()[0] - before
            if errors:
                sys.exit(f'{errors} requests failed')
            return cpu / 1e3 / requests, cpu / 1e9 / (time.time() - begin)

        for port in (plain, ruled):
            measure(port, 1)  # warm up
        found = {plain: [], ruled: []}
        for number in range(o.rounds):
            # Either is first as often as the other.
            for port in (plain, ruled) if number % 2 == 0 else (ruled, plain):
                found[port].append(measure(port, o.seconds))
        for name, port in (('without', plain), ('with', ruled)):
            cpu = [cpu for cpu, _ in found[port]]
            util = statistics.median(util for _, util in found[port])
            print(f'{name:8} {statistics.median(cpu):6.2f} us/request ({min(cpu):.2f}-{max(cpu):.2f}), util {util:.2f}')
        ratios = sorted(y[0] / x[0] for x, y in zip(found[plain], found[ruled]))
        more = sorted(y[0] - x[0] for x, y in zip(found[plain], found[ruled]))
        print(f'more     {statistics.median(more):6.2f} us ({more[0]:.2f}-{more[-1]:.2f})')
        print(f'ratio    {statistics.median(ratios):6.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f}) of {len(ratios)} pairs')
    finally:
        for process in reversed(running):
            process.stop()


def config(o, env, plain, ruled):
    pools = ''.join(f'\n[[pool]]\nname = "{name}"\nmembers = [{{ address = "{env["origin_" + name]}" }}]\n' for name in 'ab')
    virtuals = ''.join(f'\n[[virtual]]\nname = "{name}"\nlisten = "127.0.0.1:{port}"\nprotocol = "{o.protocol}"\npool = "a"\n'
                       for name, port in (('without', plain), ('with', ruled)))
    # It belongs to the virtual above it.
    rule = (f'\n[[virtual.rule]]\nname = "measured"\npack = "{os.path.abspath(o.pack)}"\nslots = {{ {o.slots} }}\n'
            f'settings = {{ {o.settings} }}\n')
    return f'[admin]\nsocket = "{o.work}/admin.sock"\n\n[process]\nworkers = 1\n{virtuals}{rule}{pools}'


if __name__ == '__main__':
    main()
