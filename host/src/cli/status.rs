//! `shunt status`

use super::client::Client;
use super::failure::Failure;
use super::screen::{Paint, Screen, Tone};
use super::table::{Align, Cell, Table};
use super::{format, member, packet_status};
use shunt_api::rules::RuleStatus;
use shunt_api::status::Status;

/// Shows what runs.
///
/// # Errors
/// No daemon answers.
pub(super) fn status(client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.get("status")?;
    let status: Status = client.read(&answer)?;
    screen.show(&answer, |paint| told(&status, paint));
    Ok(())
}

fn told(status: &Status, paint: Paint) -> String {
    let Status { version, epoch, uptime_seconds, workers, .. } = status;
    let (up, workers) = (format::span(*uptime_seconds), format::count(*workers, "worker"));
    let draining = if status.draining { ", draining" } else { "" };
    let mut parts = vec![format!("shunt {version}, up {up}, {workers}, epoch {epoch}{draining}\n")];
    if status.log_lines_lost > 0 {
        let lost = format::count(status.log_lines_lost, "line");
        parts.push(format!(
            "the log lost {lost}: the reader of the log was gone or too slow, or the disk was full\n"
        ));
    }
    if !status.differences.is_empty() {
        parts.push(differences(status, paint));
    }
    if !status.virtuals.is_empty() {
        parts.push(virtuals(status).render(paint));
    }
    let certificates = certificates(status);
    if !certificates.is_empty() {
        parts.push(certificates.render(paint));
    }
    if !status.pools.is_empty() {
        parts.push(member::table(&status.pools).render(paint));
        let on_path = member::on_path(&status.pools);
        if !on_path.is_empty() {
            parts.push(on_path.render(paint));
        }
        let names = member::names(&status.pools);
        if !names.is_empty() {
            parts.push(names.render(paint));
        }
    }
    if let Some(packets) = &status.packets {
        let tables = packet_status::tables(packets);
        parts.push(packet_status::head(packets));
        parts.extend(tables.iter().map(|table| table.render(paint)));
    }
    let rules = rules(status);
    if !rules.is_empty() {
        parts.push(rules.render(paint));
    }
    parts.join("\n")
}

/// What a restart would change.
fn differences(status: &Status, paint: Paint) -> String {
    let mut text =
        format!("{} a restart would change this:\n", paint.on(Tone::Head, "differs from the configuration;"));
    for it in &status.differences {
        text.push_str(&format!("  {} {}\n", it.what, it.how));
    }
    text
}

fn virtuals(status: &Status) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("VIRTUAL", Left),
        ("LISTEN", Left),
        ("PROTOCOL", Left),
        ("TLS", Left),
        ("POOL", Left),
        ("OPEN", Right),
        ("CONNECTIONS", Right),
        ("REQUESTS", Right),
        ("2XX", Right),
        ("3XX", Right),
        ("4XX", Right),
        ("5XX", Right),
        ("ERRORS", Right),
    ]);
    for it in &status.virtuals {
        let [_, ok, elsewhere, client, server] = it.counts.answers;
        table.row([
            (&it.name).into(),
            (&it.listen).into(),
            (&it.protocol).into(),
            if it.tls { "yes" } else { "no" }.into(),
            it.pool.as_ref().into(),
            it.counts.open.into(),
            it.counts.connections.into(),
            it.counts.requests.into(),
            ok.into(),
            elsewhere.into(),
            client.into(),
            server.into(),
            it.counts.errors.into(),
        ]);
    }
    table
}

/// Certificates, CRLs and OCSP responses.
fn certificates(status: &Status) -> Table {
    use Align::Left;
    let mut table =
        Table::new([("EXPIRES", Left), ("VIRTUAL", Left), ("KIND", Left), ("FILE", Left), ("NAMES", Left)]);
    for it in &status.virtuals {
        for certificate in &it.certificates {
            table.row([
                (&certificate.not_after).into(),
                (&it.name).into(),
                "certificate".into(),
                (&certificate.file).into(),
                certificate.names.join(", ").into(),
            ]);
        }
        for revocation in &it.revocation {
            table.row([
                (&revocation.next_update).into(),
                (&it.name).into(),
                revocation.kind.as_str().into(),
                (&revocation.file).into(),
                "".into(),
            ]);
        }
    }
    table
}

fn rules(status: &Status) -> Table {
    use Align::{Left, Right};
    let mut table =
        Table::new([("RULE", Left), ("RUNS", Left), ("CALLS", Right), ("FAULTS", Right), ("STATE", Left)]);
    let packets = status.packets.iter().flat_map(|it| &it.virtuals).flat_map(|it| &it.rules);
    for rule in status.virtuals.iter().flat_map(|it| &it.rules).chain(packets) {
        let running = rule.versions.iter().find(|version| Some(version.number) == rule.running);
        let (state, tone) = state(rule);
        table.row([
            (&rule.name).into(),
            running.map(|version| format!("{} {}", version.pack, version.version)).into(),
            rule.hooks.iter().map(|hook| hook.calls).sum::<u64>().into(),
            rule.hooks.iter().flat_map(|hook| hook.faults.values()).sum::<u64>().into(),
            Cell::from(state).tone(tone),
        ]);
    }
    table
}

/// How a rule does, in a word.
pub(super) fn state(rule: &RuleStatus) -> (&'static str, Tone) {
    match (rule.running, rule.breaker.as_deref()) {
        (None, _) => ("unloaded", Tone::Faint),
        (Some(_), Some("open")) => ("breaker open", Tone::Bad),
        (Some(_), _) => ("running", Tone::Good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    #[test]
    fn what_is_shown() {
        let status = serde_json::to_value(sample::status()).unwrap();
        let status: Status = serde_json::from_value(status).unwrap();
        let expected = "\
shunt 0.1.0, up 1h 2m, 2 workers, epoch 4, draining

the log lost 6 lines: the reader of the log was gone or too slow, or the disk was full

differs from the configuration; a restart would change this:
  10.0.0.2:80 in pool web is draining

VIRTUAL  LISTEN        PROTOCOL  TLS  POOL  OPEN  CONNECTIONS  REQUESTS   2XX  3XX  4XX  5XX  ERRORS
shop     0.0.0.0:8443  http      yes  web      7          100      1234  1200   20    9    5       4

EXPIRES               VIRTUAL  KIND         FILE                  NAMES
2027-01-31T23:59:59Z  shop     certificate  /etc/shunt/shop.pem   shop.example
2026-12-06T23:59:59Z  shop     crl          /etc/shunt/staff.crl  -

POOL  MEMBER       WEIGHT  ADMIN    HEALTH  ACTIVE  REQUESTS  FAILED  LAST PROBE
web   10.0.0.1:80       1  enabled  up           3       617       3  status 200
web   10.0.0.2:80       1  enabled  down         3       617       3  connection refused

SERVICE PATH OF  MODE  POOL  MEMBER       HEALTH  LAST PROBE
mail             nat   web   10.0.0.1:80  up      connected
mail             nat   web   10.0.0.2:80  up      connected

NAME             POOL  MEMBERS  HELD   TTL  LAST ERROR
app.internal:80  web         2     1  30 s  app.internal AAAA: 10.0.0.53:53 answers SERVFAIL

packets: 12 flows, 2 workers

PACKET VIRTUAL  LISTEN           TRANSPORT  POOL       MODE  REFUSED  ACTIVE  FLOWS  TO SERVER  TO CLIENT
resolvers       203.0.113.53:53  udp        resolvers  snat       17      12   1200    197 KiB    1.5 MiB

TRANSLATOR  INTERFACES  REFUSED  TO IPV4  TO IPV6
clat        eth1              2   88 KiB  859 KiB

POOL       MEMBER       ACTIVE  FLOWS  TO SERVER  TO CLIENT
resolvers  10.0.0.4:53      12   1200    197 KiB    1.5 MiB

MODE  ACTIVE  FLOWS  TO SERVER  TO CLIENT
snat      12   1200    197 KiB    1.5 MiB

SNAT POOL  ADDRESSES  LEASED  QUARANTINED  LEAST FREE
out                4      12           30       32000

INTERFACE  XDP     QUEUES  RECEIVED  SENT  LOST
eth0       native       2      4000  3900     2

NOT FORWARDED  PACKETS  WHAT TO DO
no-virtual          17  Clients try a port that no virtual listens on.

RULE                 RUNS          CALLS  FAULTS  STATE
shop/canary          canary 1.2.0   1234       3  running
resolvers/by-client  canary 1.2.0   1234       3  running
";
        assert_eq!(told(&status, Paint(false)), expected);
    }
}
