#!/usr/bin/env python3
"""Compares proxies on loopback: requests/s, latency and proxy CPU per request.

Each proxy gets ONE worker thread pinned to --proxy-cpu; the origin and the load
generator share --load-cpu.  Peers are measured interleaved (A B C A B C ...).
The machine may be shared, so trust `cpu_us` (user+sys CPU time of the proxy's
processes per request, from /proc) before requests/s.

  ./l7.py                                    all peers found here, all cases
  ./l7.py --cases h1,rule --rounds 5
  ./l7.py --candidate 'ours=/path/lb --listen {port} --a {origin_a} --b {origin_b} --mode {mode}'
  ./l7.py --candidate 'ours[plain,rule]=...' --peers nginx,nginx-lua,haproxy-lua

A candidate runs in the foreground, listens on 127.0.0.1:{port} and forwards to
{origin_a} / {origin_b} (ip:port).  {mode} is plain, rule, tls, tls-rule or l4; {cert} and
{key} are PEM files, {work} a scratch folder.  It must pass the same checks as the
peers before it is measured (see check()).

RULE (modes rule and tls-rule): path begins with /api/ and header X-Canary is 1 -> origin_b,
else origin_a; response header X-Pool: a|b names the choice.
"""
import argparse
import fcntl
import http.client
import json
import os
import platform
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import peers as P

TICK = os.sysconf('SC_CLK_TCK')

# case: mode, load generator, what it is
CASES = {
    'h1':       ('plain', 'wrk',      'HTTP/1.1 keep-alive, 1 KB, no rule'),
    'h1-256':   ('plain', 'wrk-256',  'the same over 256 connections in place of 32'),
    'lat':      ('plain', 'rate',     'HTTP/1.1 keep-alive at a fixed rate (latency, no coordinated omission)'),
    'rule':     ('rule',  'wrk-rule', 'path+header rule picks a pool, sets a response header'),
    'lat-rule': ('rule',  'rate-rule', 'the rule at a fixed rate'),
    'limit':    ('limit', 'wrk-limit', 'a limit of requests for each of 10,000 clients, by a field'),
    'tls':      ('tls',   'wrk-tls',  'TLS 1.3 keep-alive, HTTP/1.1'),
    'tls-new':  ('tls',   'ab-tls',   'full TLS 1.3 handshake + 1 request per connection'),
    'h2':       ('tls',   'h2load',   'HTTP/2 over TLS downstream, 8 connections x 16 streams'),
    'h2-rule':  ('tls-rule', 'h2load-rule', 'the same with the rule'),
    'conn':     ('plain', 'ab',       'new TCP connection per request'),
    'l4':       ('l4',    'wrk',      'TCP passthrough, keep-alive, 1 KB'),
    'l4-conn':  ('l4',    'ab',       'TCP passthrough, new connection per request, 1 KB'),
    'l4-10m':   ('l4',    'wrk-10m',  'TCP passthrough, 10 MB bodies'),
}


def sh(cmd, timeout):
    r = subprocess.run(cmd, capture_output=True, text=True, timeout=timeout)
    if r.returncode:
        raise RuntimeError(f'{cmd[0]} failed: {(r.stderr or r.stdout)[-300:]}')
    return r.stdout + r.stderr


class Proc:
    """A pinned process in a session of its own; stopped by its own ids only."""

    def __init__(self, argv, cpu, log):
        self.log = open(log, 'w')
        self.p = subprocess.Popen(['taskset', '-c', str(cpu)] + argv, stdout=self.log, stderr=self.log,
                                  start_new_session=True, cwd='/')
        prefer(self.p.pid)

    def pids(self):
        """The process and everything in its session (workers that forked)."""
        out = []
        for d in os.listdir('/proc'):
            if d.isdigit():
                try:
                    if stat(d)[3] == str(self.p.pid):
                        out.append(int(d))
                except (OSError, IndexError):
                    pass
        return out

    def cpu(self):
        """(user+sys ns, user ticks, sys ticks, rss KiB) over all processes and threads."""
        ns = ut = st = rss = 0
        for pid in self.pids():
            try:
                f = stat(pid)
                ut, st, rss = ut + int(f[11]), st + int(f[12]), rss + int(f[21]) * 4
                for t in os.listdir(f'/proc/{pid}/task'):
                    with open(f'/proc/{pid}/task/{t}/schedstat') as s:
                        ns += int(s.read().split()[0])
            except OSError:
                pass
        return ns or (ut + st) * 10**9 // TICK, ut, st, rss

    def stop(self):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids():
                try:
                    os.kill(pid, sig)
                except OSError:
                    pass
            try:
                self.p.wait(3)
            except subprocess.TimeoutExpired:
                continue
            if not self.pids():
                break
        self.log.close()


def stat(pid):
    """/proc/PID/stat after the command name: [0] is the state, [3] the session."""
    with open(f'/proc/{pid}/stat') as f:
        return f.read().rsplit(')', 1)[1].split()


def prefer(pid):
    """Sessions are scheduled as groups (autogroup): ask for a larger share than other work here."""
    try:
        with open(f'/proc/{pid}/autogroup', 'w') as f:
            f.write('-15')
    except OSError:
        pass  # not root, or no autogroups: the `other` column tells what that cost


def only_one(secs=900):
    """One bench at a time on this machine: they would share CPUs and ports.  Keep what it returns."""
    f = open(os.path.join(tempfile.gettempdir(), 'lb-bench.lock'), 'w')
    for i in range(secs):
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return f
        except OSError:
            if i == 0:
                print('another bench is running, waiting for it', flush=True)
            time.sleep(1)
    sys.exit('another bench is still running')


def cpu_line(cpu):
    """Busy and steal ticks of one CPU."""
    with open('/proc/stat') as f:
        for line in f:
            if line.startswith(f'cpu{cpu} '):
                v = [int(x) for x in line.split()[1:9]]
                return v[0] + v[1] + v[2] + v[5] + v[6], v[7]
    return 0, 0


def settle(o):
    """Waits (bounded) until other work on this machine lets go of the two CPUs."""
    end = time.time() + o.settle
    while time.time() < end:
        t0, before = time.time(), [cpu_line(c)[0] for c in (o.proxy_cpu, o.load_cpu)]
        time.sleep(0.3)
        after = [cpu_line(c)[0] for c in (o.proxy_cpu, o.load_cpu)]
        if max(b - a for a, b in zip(before, after)) / TICK / (time.time() - t0) < 0.25:
            return


def wait_port(port, proc, secs=20):
    end = time.time() + secs
    while time.time() < end:
        if proc.p.poll() is not None:
            return False
        try:
            socket.create_connection(('127.0.0.1', port), 0.5).close()
            return True
        except OSError:
            time.sleep(0.1)
    return False


# ------------------------------------------------------------ correctness before speed
def get(port, tls, path='/', headers=None):
    if tls:
        c = http.client.HTTPSConnection('127.0.0.1', port, timeout=5, context=ssl._create_unverified_context())
    else:
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
    try:
        c.request('GET', path, headers=headers or {})
        r = c.getresponse()
        return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
    finally:
        c.close()


def check(port, mode):
    """'' when the proxy does what the mode asks, else what is wrong."""
    tests = [('/', {}, 'a')]
    rule = mode in ('rule', 'tls-rule')
    if rule:
        tests += [('/api/x', {'X-Canary': '1'}, 'b'), ('/api/x', {}, 'a'),
                  ('/api/x', {'X-Canary': '2'}, 'a'), ('/other', {'X-Canary': '1'}, 'a')]
    for path, hdr, pool in tests:
        try:
            status, h, body = get(port, mode.startswith('tls'), path, hdr)
        except (OSError, http.client.HTTPException) as e:
            return f'{path}: {e!r}'
        if status != 200 or len(body) != 1024:
            return f'{path}: status {status}, {len(body)} bytes'
        if h.get('x-origin') != pool or (rule and h.get('x-pool') != pool):
            return f"{path} {hdr}: origin {h.get('x-origin')}, x-pool {h.get('x-pool')}, wanted {pool}"
    return ''


# ------------------------------------------------------------ load generators -> n, secs, p50, p99 (us), errors
def us(text):
    n, unit = re.match(r'([\d.]+)(us|ms|s|m)', text).groups()
    return float(n) * {'us': 1, 'ms': 1e3, 's': 1e6, 'm': 6e7}[unit]


def wrk(o, port, secs, tls=False, path='/', conns=32, headers=(), script=''):
    cmd = ['taskset', '-c', o.load_cpu, 'wrk', '-t1', f'-c{conns}', f'-d{secs}s', '--timeout', '10s', '--latency']
    for h in headers:
        cmd += ['-H', h]
    if script:
        file = os.path.join(o.work, 'wrk.lua')
        with open(file, 'w') as f:
            f.write(script)
        cmd += ['-s', file]
    out = sh(cmd + [f"http{'s' if tls else ''}://127.0.0.1:{port}{path}"], secs + 30)
    n, took = re.search(r'(\d+) requests in ([\d.]+\w+)', out).groups()
    errs = sum(int(x) for x in re.findall(r'(?:connect|read|write|timeout) (\d+)', out))
    m = re.search(r'Non-2xx or 3xx responses: (\d+)', out)
    return (int(n), us(took) / 1e6, us(re.search(r'50%\s+([\d.]+\w+)', out).group(1)),
            us(re.search(r'99%\s+([\d.]+\w+)', out).group(1)), errs + int(m.group(1) if m else 0))


def ab(o, port, secs, tls=False):
    # 64 connections with TLS: ab has no TCP_NODELAY and stalls 40 ms on servers that send no ticket at once
    csv = os.path.join(o.work, 'ab.csv')
    out = sh(['taskset', '-c', o.load_cpu, 'ab', '-q', '-r', '-t', str(secs), '-n', '10000000', '-c', '64' if tls else '16', '-e', csv]
             + (['-f', 'TLS1.3'] if tls else []) + [f"http{'s' if tls else ''}://127.0.0.1:{port}/"], secs + 30)
    with open(csv) as f:
        pct = dict(line.strip().split(',') for line in f if line[0].isdigit())
    n = int(re.search(r'Complete requests:\s+(\d+)', out).group(1))
    bad = re.search(r'Non-2xx responses:\s+(\d+)', out)
    fail = int(re.search(r'Failed requests:\s+(\d+)', out).group(1))
    return (n, float(re.search(r'Time taken for tests:\s+([\d.]+)', out).group(1)),
            float(pct['50']) * 1e3, float(pct['99']) * 1e3, fail + int(bad.group(1) if bad else 0))


def h2load(o, port, secs, path='/', headers=()):
    log = os.path.join(o.work, 'h2load.log')
    if os.path.exists(log):
        os.unlink(log)
    out = sh(['taskset', '-c', o.load_cpu, 'h2load', '-t1', '-c8', '-m16', '-D', str(secs), f'--log-file={log}',
              *(part for h in headers for part in ('-H', h)), f'https://127.0.0.1:{port}{path}'], secs + 30)
    if 'Application protocol: h2' not in out:
        raise RuntimeError('HTTP/2 was not negotiated')
    with open(log) as f:
        lat = sorted(int(line.split()[2]) for line in f)
    total, ok = re.search(r'requests: (\d+) total,.*? (\d+) succeeded', out).groups()
    return (len(lat), float(secs), lat[len(lat) // 2], lat[len(lat) * 99 // 100], len(lat) - int(ok))


def rate(o, port, secs, path='/', headers=()):
    cmd = ['taskset', '-c', o.load_cpu, o.oha, '-z', f'{secs}s', '-q', str(o.rate), '-c', '32', '--no-tui',
           '--latency-correction', '-w', '--worker-threads', '1', '--output-format', 'json']
    for h in headers:
        cmd += ['-H', h]
    j = json.loads(sh(cmd + [f'http://127.0.0.1:{port}{path}'], secs + 30))
    n = sum(j['statusCodeDistribution'].values())
    p = j['latencyPercentiles']
    return (n, j['summary']['total'], p['p50'] * 1e6, p['p99'] * 1e6,
            n - j['statusCodeDistribution'].get('200', 0) + sum(j['errorDistribution'].values()))


CANARY = dict(path='/api/x', headers=['X-Canary: 1'])
# Requests that are made beforehand: making them would cost the load generator more than sending them.
CLIENTS = '''local all, next = {}, 0
init = function()
  for n = 0, 9999 do
    all[n] = wrk.format("GET", "/", { ["Host"] = "127.0.0.1", ["X-Api-Key"] = string.format("client-%05d", n) })
  end
end
request = function()
  next = (next + 1) % 10000
  return all[next]
end
'''
LOADS = {
    'wrk-limit': lambda o, p, s: wrk(o, p, s, script=CLIENTS),
    'wrk': wrk, 'ab': ab, 'h2load': h2load, 'rate': rate,
    'wrk-256': lambda o, p, s: wrk(o, p, s, conns=256),
    'wrk-rule': lambda o, p, s: wrk(o, p, s, **CANARY),
    'h2load-rule': lambda o, p, s: h2load(o, p, s, **CANARY),
    'rate-rule': lambda o, p, s: rate(o, p, s, **CANARY),
    'wrk-tls': lambda o, p, s: wrk(o, p, s, tls=True),
    'ab-tls': lambda o, p, s: ab(o, p, s, tls=True),
    'wrk-10m': lambda o, p, s: wrk(o, p, s, path='/10m', conns=4),
}


def measure(o, case, name, proc, port, secs):
    c0, b0, t0 = proc.cpu(), cpu_line(o.proxy_cpu), time.time()
    n, took, p50, p99, errors = LOADS[CASES[case][1]](o, port, secs)
    c1, b1, wall = proc.cpu(), cpu_line(o.proxy_cpu), time.time() - t0
    n = max(n, 1)
    cpu = (c1[0] - c0[0]) / 1e9
    split = max(c1[1] - c0[1] + c1[2] - c0[2], 1)
    busy = (b1[0] - b0[0]) / TICK
    return dict(case=case, peer=name, requests=n, rps=n / took, p50_us=p50, p99_us=p99, errors=errors,
                cpu_us=cpu * 1e6 / n, user_share=(c1[1] - c0[1]) / split,
                all_cpu_us=busy * 1e6 / n,            # everything on the proxy's CPU: also kernel-side forwarding
                proxy_util=cpu / wall,                # near 1: the proxy was the bottleneck
                foreign=max(busy - cpu, 0) / wall,    # other work on the proxy's CPU
                steal=(b1[1] - b0[1]) / TICK / wall, rss_mib=c1[3] / 1024)


def run_case(o, case, starters, origin):
    mode, tool, what = CASES[case]
    live, skipped = [], {}
    for i, (name, modes, start) in enumerate(starters):
        if mode not in modes or (o.peers and name not in o.peers and name not in o.candidate_names):
            continue
        port = o.base_port + 100 + i
        proc = Proc(start(mode, port, o.env), o.proxy_cpu, os.path.join(o.work, f'{name}-{mode}.log'))
        why = check(port, mode) if wait_port(port, proc) else 'did not start'
        if why:
            proc.stop()
            with open(proc.log.name, errors='replace') as f:
                last = f.read().strip().splitlines()[-1:]
            skipped[name] = ': '.join([why] + [x.replace(o.work, 'WORK')[:200] for x in last])
        else:
            live.append((name, proc, port))
    print(f'\n== {case}: {what}', flush=True)
    for name, why in skipped.items():
        print(f'   {name}: SKIPPED, {why}', flush=True)
    rows = []
    try:
        for name, proc, port in live:
            LOADS[tool](o, port, 1)  # warm up
        for r in range(o.rounds):
            for name, proc, port in live:
                settle(o)
                try:
                    m = measure(o, case, name, proc, port, o.seconds)
                    m['round'] = r
                    rows.append(m)
                except (RuntimeError, subprocess.TimeoutExpired, AttributeError, KeyError, ValueError) as e:
                    print(f'   {name}: round {r} failed: {e!r}', flush=True)
    finally:
        for _, proc, _ in live:
            proc.stop()
    return rows, skipped


def summary(rows, baseline):
    """Medians per peer; ratios are against the first peer (or --baseline)."""
    out = []
    names = list(dict.fromkeys(r['peer'] for r in rows))
    for name in names:
        mine = [r for r in rows if r['peer'] == name]
        s = {k: statistics.median(r[k] for r in mine) for k in mine[0] if isinstance(mine[0][k], (int, float))}
        s.update(peer=name, rounds=len(mine), errors=sum(r['errors'] for r in mine),
                 cpu_us_min=min(r['cpu_us'] for r in mine), cpu_us_max=max(r['cpu_us'] for r in mine))
        out.append(s)
    if out:
        base = next((s for s in out if s['peer'] == baseline), out[0])
        for s in out:
            s['cpu_ratio'] = s['cpu_us'] / base['cpu_us'] if base['cpu_us'] else 0
            s['rps_ratio'] = s['rps'] / base['rps']
            s['baseline'] = base['peer']
    return out


def table(sums):
    print(f"   {'peer':<18}{'req/s':>9}{'x':>6}{'cpu us/req':>11}{'x':>6}  {'min-max':<15}"
          f"{'p50 us':>9}{'p99 us':>9}{'util':>6}{'other':>6}{'steal':>6}{'RSS MiB':>8}{'errors':>7}")
    for s in sums:
        span = f"{s['cpu_us_min']:.1f}-{s['cpu_us_max']:.1f}"
        print(f"   {s['peer']:<18}{s['rps']:>9.0f}{s['rps_ratio']:>6.2f}{s['cpu_us']:>11.1f}{s['cpu_ratio']:>6.2f}  "
              f"{span:<15}{s['p50_us']:>9.0f}{s['p99_us']:>9.0f}"
              f"{s['proxy_util']:>6.2f}{s['foreign']:>6.2f}{s['steal']:>6.2f}{s['rss_mib']:>8.0f}{s['errors']:>7}")
    sys.stdout.flush()


def version(cmd):
    try:
        r = subprocess.run(cmd, capture_output=True, text=True, timeout=10)
        line = next((x.strip() for x in (r.stdout + r.stderr).splitlines() if x.strip()), '?')
        return ' '.join(line.replace(cmd[0], os.path.basename(cmd[0])).split())
    except OSError:
        return '?'


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--cases', default=','.join(CASES), help='of: ' + ', '.join(CASES))
    a.add_argument('--peers', default='', help='only these peers (comma separated; candidates always run)')
    a.add_argument('--candidate', action='append', default=[], metavar='NAME[modes]=COMMAND')
    a.add_argument('--baseline', default='', help='peer that ratios refer to (default: the first)')
    a.add_argument('--rounds', type=int, default=3)
    a.add_argument('--seconds', type=int, default=3)
    a.add_argument('--rate', type=int, default=3000, help='requests/s of the lat cases')
    a.add_argument('--settle', type=float, default=5, help='seconds to wait at most for a quiet machine before each run')
    a.add_argument('--proxy-cpu', default='0')
    a.add_argument('--load-cpu', default='1')
    a.add_argument('--base-port', type=int, default=21000)
    a.add_argument('--envoy', default=os.environ.get('ENVOY') or shutil.which('envoy'))
    a.add_argument('--pingora', default=os.environ.get('PINGORA_RP') or shutil.which('pingora-rp'))
    a.add_argument('--haproxy', action='append', metavar='LABEL=BINARY', help='default: haproxy=haproxy')
    a.add_argument('--oha', default=os.environ.get('OHA') or shutil.which('oha'))
    a.add_argument('--merge', action='store_true', help='keep the other cases that the --json file already has')
    a.add_argument('--json', default='', help='default: results/l7-<time>.json beside this script')
    o = a.parse_args()
    o.peers = [p for p in o.peers.split(',') if p]
    haps = [h.split('=', 1) for h in o.haproxy] if o.haproxy else [('haproxy', 'haproxy')]
    haps = [(label, exe) for label, exe in haps if shutil.which(exe)]
    starters = P.peers(dict(envoy=o.envoy, pingora=o.pingora, haproxy=haps))
    o.candidate_names = []
    for c in o.candidate:
        m = re.match(r'([\w.-]+)(?:\[([\w,-]+)\])?=(.*)$', c, re.S)
        if not m:
            a.error(f'--candidate wants NAME=COMMAND, got {c!r}')
        o.candidate_names.append(m.group(1))
        starters.append((m.group(1), set((m.group(2) or 'plain,rule,tls,tls-rule,l4').split(',')), P.candidate(m.group(3))))

    lock = only_one()  # noqa: F841
    o.work = tempfile.mkdtemp(prefix='l7-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    os.makedirs(os.path.join(o.work, 'tmp'))
    cert, key = (os.path.join(o.work, n) for n in ('cert.pem', 'key.pem'))
    sh(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
        '-keyout', key, '-out', cert], 20)
    o.env = dict(work=o.work, cert=cert, key=key,
                 origin_a=f'127.0.0.1:{o.base_port + 1}', origin_b=f'127.0.0.1:{o.base_port + 2}')

    info = dict(when=time.strftime('%Y-%m-%d %H:%M:%S %Z'), kernel=platform.release(), cpus=os.cpu_count(),
                pinning=f'proxy: 1 worker thread on cpu {o.proxy_cpu}; origin and load generator: cpu {o.load_cpu}',
                rounds=o.rounds, seconds=o.seconds, rate=o.rate, versions={
                    'nginx': version(['nginx', '-v']),
                    **{label: version([exe, '-v']) for label, exe in haps},
                    **({'envoy': version([o.envoy, '--version'])} if o.envoy else {}),
                    'wrk': version(['wrk', '-v']), 'h2load': version(['h2load', '--version']),
                    'ab': version(['ab', '-V'])})
    for k, v in info.items():
        print(f'{k}: {v}')
    cases = [c for c in o.cases.split(',') if c]
    for c in cases:
        if c not in CASES:
            a.error(f'unknown case {c}')
    result = dict(info=info, cases={}, raw=[])
    if o.merge and os.path.exists(o.json):
        with open(o.json) as f:
            old = json.load(f)
        result['cases'] = old['cases']
        result['raw'] = [r for r in old['raw'] if r['case'] not in cases]
    prefer('self')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))  # so that the proxies are stopped too
    origin = Proc(P.origin(o.base_port + 1, o.base_port + 2, o.env), o.load_cpu, os.path.join(o.work, 'origin.log'))
    try:
        if not (wait_port(o.base_port + 1, origin) and wait_port(o.base_port + 2, origin)):
            sys.exit('the origin did not start: ' + open(os.path.join(o.work, 'origin.log')).read()[-500:])
        for case in cases:
            if CASES[case][1].startswith('rate') and not o.oha:
                print(f'\n== {case}: left out, oha is not here (--oha)')
                continue
            rows, skipped = run_case(o, case, starters, origin)
            sums = summary(rows, o.baseline)
            table(sums)
            result['cases'][case] = dict(what=CASES[case][2], peers=sums, skipped=skipped)
            result['raw'] += rows
    finally:
        origin.stop()
    path = o.json or os.path.join(P.HERE, 'results', time.strftime('l7-%Y%m%d-%H%M%S.json'))
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, 'w') as f:
        json.dump(result, f, indent=1)
    print('\nwritten:', os.path.relpath(path))
    shutil.rmtree(o.work, ignore_errors=True)


if __name__ == '__main__':
    main()
