#!/usr/bin/env python3
"""Packet-forwarding load balancers compared in network namespaces (root needed).

One bridge with a client, a balancer and two servers (nginx, 1 KB; iperf3 on the first).  The
service address belongs to the balancer.  Peers, interleaved:
  direct        client to server 1, no balancer (what the network itself costs)
  nft-fullnat   nftables DNAT + masquerade; answers come back through the balancer
  nft-dsr       nftables netdev ingress: MAC rewrite + fwd, answers go straight to the client (L2DSR)
  haproxy       a TCP proxy, for scale
  candidates    --candidate 'NAME[nat]=COMMAND' or 'NAME[dsr]=COMMAND', run in the balancer's namespace with
                {if} {vip} {port} {real1} {real2} {mac1} {mac2} {self} {client_mac} replaced; it may forward in the
                kernel (XDP, eBPF, nft) or in user space, and must undo what it did when it gets SIGTERM

Packets are forwarded in whoever's softirq, so no single process shows the cost.  `all_cpu_us` is the CPU time per
request of everything this bench runs (client, balancer, servers; from a cgroup v2 of its own) plus the ksoftirqd
threads; no host leaves checksums to its network card (XDP would see half of them); `lb_cpu_us` is that minus the `direct` row: the price of balancing.  `other` is the CPU share of
foreign work during the run; rates suffer from it, CPU figures much less.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import signal

import l7
import peers as P

NET, VIP, PORT = '10.214.0.', '10.214.0.100', 8080
HOSTS = {'cl': 1, 'lb': 2, 's1': 11, 's2': 12}


def sh(cmd, check=True, timeout=30):
    r = subprocess.run(cmd, shell=isinstance(cmd, str), capture_output=True, text=True, timeout=timeout)
    if check and r.returncode:
        raise RuntimeError(f'{cmd}: {r.stderr.strip()[:200]}')
    return r.stdout


class Lab:
    def __init__(self):
        self.p, self.procs = f'lb{os.getpid() % 10000}', []

    def ns(self, n):
        return ['ip', 'netns', 'exec', self.p + n]

    def up(self):
        for n in list(HOSTS) + ['br']:
            sh(['ip', 'netns', 'add', self.p + n])
            sh(self.ns(n) + ['ip', 'link', 'set', 'lo', 'up'])
        sh(self.ns('br') + ['ip', 'link', 'add', 'br0', 'type', 'bridge'])
        sh(self.ns('br') + ['ip', 'link', 'set', 'br0', 'up'])
        for n, i in HOSTS.items():
            mac = f'02:00:00:00:00:{i:02x}'
            sh(f'ip -n {self.p}{n} link add eth0 address {mac} type veth peer name p{n} netns {self.p}br')
            sh(f'ip -n {self.p}{n} addr add {NET}{i}/24 dev eth0 && ip -n {self.p}{n} link set eth0 up')
            sh(f'ip -n {self.p}br link set p{n} master br0 up')
            # A frame that XDP sees must carry its whole checksum: the same for all rows.
            sh(self.ns(n) + ['ethtool', '-K', 'eth0', 'tx', 'off'])
        for n in ('s1', 's2'):   # the service address on lo, silent in ARP: for direct server return
            sh(self.ns(n) + ['sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1', 'net.ipv4.conf.all.arp_announce=2'])
            sh(self.ns(n) + ['ip', 'addr', 'add', VIP + '/32', 'dev', 'lo'])
        sh(self.ns('lb') + ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.send_redirects=0'])
        sh(self.ns('lb') + ['ip', 'addr', 'add', VIP + '/24', 'dev', 'eth0'])

    def down(self):
        for p in self.procs:
            p.stop()
        for n in list(HOSTS) + ['br']:
            sh(['ip', 'netns', 'del', self.p + n], check=False)


def nft(lab, rules):
    sh(lab.ns('lb') + ['nft', 'flush', 'ruleset'])
    if rules:
        r = subprocess.run(lab.ns('lb') + ['nft', '-f', '-'], input=rules, capture_output=True, text=True, timeout=10)
        if r.returncode:
            raise RuntimeError(r.stderr[:400])


FULLNAT = f'''table ip t {{
  chain a {{
    type nat hook prerouting priority -100;
    ip daddr {VIP} tcp dport 5201 dnat to {NET}11
    ip daddr {VIP} tcp dport {PORT} dnat to numgen inc mod 2 map {{ 0 : {NET}11, 1 : {NET}12 }}
  }}
  chain b {{
    type nat hook postrouting priority 100;
    masquerade
  }}
}}
'''
DSR = f'''table netdev t {{
  chain a {{
    type filter hook ingress device "eth0" priority 0;
    ip daddr {VIP} tcp dport 5201 ether saddr set 02:00:00:00:00:02 ether daddr set 02:00:00:00:00:0b fwd to "eth0"
    ip daddr {VIP} tcp dport {PORT} ether saddr set 02:00:00:00:00:02 ether daddr set jhash ip saddr . tcp sport mod 2 map {{ 0 : 02:00:00:00:00:0b, 1 : 02:00:00:00:00:0c }} fwd to "eth0"
  }}
}}
'''


def busy():
    """CPU seconds of the whole machine."""
    with open('/proc/stat') as f:
        v = [int(x) for x in f.readline().split()[1:9]]
    return (v[0] + v[1] + v[2] + v[5] + v[6]) / l7.TICK


class Meter:
    """CPU seconds of this process and all it starts, wherever they run, plus softirq threads."""

    def __init__(self):
        self.dir = None
        with open('/proc/mounts') as f:
            root = next((line.split()[1] for line in f if line.split()[2] == 'cgroup2'), None)
        try:
            d = os.path.join(root, f'l4-bench-{os.getpid()}')
            os.mkdir(d)
            self.root, self.dir = root, d
            with open(d + '/cgroup.procs', 'w') as f:
                f.write(str(os.getpid()))
        except (OSError, TypeError):
            print('no cgroup v2: CPU figures are of the whole machine, foreign work included')
        self.soft = [d for d in os.listdir('/proc') if d.isdigit() and
                     open(f'/proc/{d}/comm').read().startswith('ksoftirqd')]

    def cpu(self):
        if not self.dir:
            return busy()
        with open(self.dir + '/cpu.stat') as f:
            n = int(f.readline().split()[1]) / 1e6
        for d in self.soft:
            with open(f'/proc/{d}/schedstat') as f:
                n += int(f.read().split()[0]) / 1e9
        return n

    def close(self):
        if self.dir:
            with open(self.root + '/cgroup.procs', 'w') as f:
                f.write(str(os.getpid()))
            time.sleep(0.3)
            try:
                os.rmdir(self.dir)
            except OSError:
                pass


def measure(lab, o, meter, case, target):
    t0, c0, b0 = time.time(), meter.cpu(), busy()
    lat = 0
    if case == 'keepalive':
        out = sh(lab.ns('cl') + ['wrk', '-t1', '-c32', f'-d{o.seconds}s', '--latency', f'http://{target}:{PORT}/'], timeout=60)
        n, took = re.search(r'(\d+) requests in ([\d.]+\w+)', out).groups()
        rate, lat = int(n) / (l7.us(took) / 1e6), l7.us(re.search(r'99%\s+([\d.]+\w+)', out).group(1))
        units = int(n)
    elif case == 'connect':
        out = sh(lab.ns('cl') + ['ab', '-q', '-r', '-t', str(o.seconds), '-n', '10000000', '-c', '32', f'http://{target}:{PORT}/'], timeout=60)
        units = int(re.search(r'Complete requests:\s+(\d+)', out).group(1))
        rate = float(re.search(r'Requests per second:\s+([\d.]+)', out).group(1))
        lat = float(re.search(r'99%\s+(\d+)', out).group(1)) * 1e3
    else:
        j = json.loads(sh(lab.ns('cl') + ['iperf3', '-c', target, '-t', str(o.seconds), '-J'], timeout=60))
        units = j['end']['sum_received']['bytes'] / 1e6
        rate = units * 8 / o.seconds / 1e3
    cpu = meter.cpu() - c0
    return dict(rate=rate, p99_us=lat, all_cpu_us=cpu * 1e6 / max(units, 1), other=max(busy() - b0 - cpu, 0) / (time.time() - t0))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--rounds', type=int, default=3)
    a.add_argument('--seconds', type=int, default=2)
    a.add_argument('--candidate', action='append', default=[])
    a.add_argument('--json', default='')
    o = a.parse_args()
    lock = l7.only_one()  # noqa: F841
    l7.prefer('self')
    lab, meter, work = Lab(), Meter(), tempfile.mkdtemp(prefix='l4-')
    os.makedirs(work + '/tmp')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    env = dict(work=work, origin_a=f'{NET}11:{PORT}', origin_b=f'{NET}12:{PORT}')
    rows = []
    try:
        lab.up()
        body = 'x' * 1024
        for n in ('s1', 's2'):
            conf = P.nginx_http(env, f'server {{ listen 0.0.0.0:{PORT} backlog=8192; return 200 "{body}"; }}')
            lab.procs.append(l7.Proc(lab.ns(n) + P.nginx_conf(env, 'srv-' + n, conf), '0-1', f'{work}/{n}.log'))
        lab.procs.append(l7.Proc(lab.ns('s1') + ['iperf3', '-s'], '0-1', work + '/iperf.log'))
        time.sleep(1)

        def haproxy():
            cfg = P.put(env, 'h.cfg', P.HAPROXY.format(
                glob='', mode='tcp', dflt='option splice-auto', port=PORT, bind='', srv='', back_b='', back_a='',
                front='default_backend a', origin_a=env['origin_a'], origin_b=env['origin_b']).replace(
                    f'bind 127.0.0.1:{PORT}', f'bind {VIP}:{PORT}') + f'\nlisten i\n  bind {VIP}:5201\n  server s {NET}11:5201\n')
            return l7.Proc(lab.ns('lb') + ['haproxy', '-db', '-f', cfg], '0-1', work + '/haproxy.log')

        setups = [('direct', 'nat', None), ('nft-fullnat', 'nat', FULLNAT),
                  ('nft-dsr', 'dsr', DSR), ('haproxy', 'nat', haproxy)]
        for c in o.candidate:
            m = re.match(r'([\w.-]+)\[(nat|dsr)\]=(.*)$', c, re.S)
            if not m:
                a.error(f"--candidate wants 'NAME[nat|dsr]=COMMAND', got {c!r}")
            cmd = m.group(3)
            for k, v in {'if': 'eth0', 'vip': VIP, 'port': PORT, 'real1': NET + '11', 'real2': NET + '12', 'self': NET + '2',
                         'mac1': '02:00:00:00:00:0b', 'mac2': '02:00:00:00:00:0c', 'client_mac': '02:00:00:00:00:01'}.items():
                cmd = cmd.replace('{' + k + '}', str(v))
            setups.append((m.group(1), m.group(2), lambda cmd=cmd: l7.Proc(
                lab.ns('lb') + ['/bin/sh', '-c', 'exec ' + cmd], '0-1', work + '/candidate.log')))
        for r in range(o.rounds):
            for name, kind, how in setups:
                nft(lab, how if isinstance(how, str) else None)
                proc = how() if callable(how) else None
                time.sleep(1.0 if proc else 0.2)
                target = NET + '11' if name == 'direct' else VIP
                try:
                    code = sh(lab.ns('cl') + ['curl', '-s', '-m', '3', '-o', '/dev/null', '-w', '%{http_code}', f'http://{target}:{PORT}/'], check=False)
                    if code != '200':
                        print(f'   {name}: round {r}: no answer ({code})', flush=True)
                        continue
                    for case in ('keepalive', 'connect', 'bulk'):
                        try:
                            m = measure(lab, o, meter, case, target)
                            rows.append(dict(m, peer=name, case=case, round=r))
                        except (RuntimeError, subprocess.TimeoutExpired, AttributeError, KeyError) as e:
                            print(f'   {name} {case}: {str(e)[:120]}', flush=True)
                finally:
                    if proc:
                        proc.stop()
        nft(lab, None)
    finally:
        lab.down()
        meter.close()
        shutil.rmtree(work, ignore_errors=True)
    units = {'keepalive': 'req/s', 'connect': 'conn/s', 'bulk': 'Gbit/s (cpu per MB)'}
    for case in units:
        print(f"\n== {case}: {units[case]}\n   {'peer':<14}{'rate':>10}{'p99 us':>9}{'all cpu us':>12}{'lb cpu us':>11}{'other':>11}")
        base = None
        for name, _, _ in setups:
            mine = [r for r in rows if r['peer'] == name and r['case'] == case]
            if not mine:
                continue
            m = {k: statistics.median(r[k] for r in mine) for k in ('rate', 'p99_us', 'all_cpu_us', 'other')}
            base = m['all_cpu_us'] if base is None else base
            print(f"   {name:<14}{m['rate']:>10.{1 if case == 'bulk' else 0}f}{m['p99_us']:>9.0f}{m['all_cpu_us']:>12.1f}"
                  f"{m['all_cpu_us'] - base:>11.1f}{m['other']:>11.2f}")
    path = o.json or os.path.join(P.HERE, 'results', time.strftime('l4-netns-%Y%m%d-%H%M%S.json'))
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, 'w') as f:
        json.dump(dict(when=time.strftime('%Y-%m-%d %H:%M:%S %Z'), kernel=os.uname().release, rounds=o.rounds, seconds=o.seconds, rows=rows), f, indent=1)
    print('\nwritten:', os.path.relpath(path))


if __name__ == '__main__':
    main()
