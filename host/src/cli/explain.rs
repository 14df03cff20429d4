//! `shunt explain`

use http::Method;
use serde_json::{Value, json};

use super::args::{ExplainArgs, ExplainCommand, PacketArgs};
use super::client::{Body, Client};
use super::failure::{Exit, Failure};
use super::screen::{Paint, Screen, Tone};
use super::table::{Align, Cell, Table};
use shunt_api::explain::{ConsideredStatus, Explained, RewriteStatus};

mod request;
mod trace;

pub(super) use trace::trace;

/// Traces how a packet or a request would be handled.
///
/// # Errors
/// No daemon answers, or there is no such packet or request.
pub(super) fn explain(args: &ExplainArgs, client: &Client, screen: &Screen) -> Result<(), Failure> {
    match &args.request {
        Some(ExplainCommand::Http(request)) => request::explain(request, client, screen),
        None => packet(&args.packet, client, screen),
    }
}

fn packet(args: &PacketArgs, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let question = question(args)?;
    let answer = client.ask(Method::POST, &["explain"], Body::Json(question))?;
    let explained: Explained = client.read(&answer)?;
    screen.show(&answer, |paint| told(&explained, paint));
    Ok(())
}

/// What is asked, as it is sent.
fn question(args: &PacketArgs) -> Result<Value, Failure> {
    let PacketArgs { packet, flags, hex, interface } = args;
    let between = |word: &&String| !matches!(word.as_str(), ">" | "to");
    let packet: Vec<&String> = packet.iter().filter(between).collect();
    let mut question = match (packet.as_slice(), hex) {
        ([], Some(hex)) => json!({ "hex": hex }),
        ([protocol, source, destination], None) => {
            json!({ "protocol": protocol, "source": source, "destination": destination })
        }
        _ => {
            return Err(Failure::new(Exit::Usage, "usage", "a packet is given as PROTOCOL SOURCE DESTINATION")
                .help("write `shunt explain tcp 192.0.2.7:40000 203.0.113.1:80`; a `>` between the addresses must be quoted"));
        }
    };
    for (name, value) in [("flags", flags), ("interface", interface)] {
        if let Some(value) = value {
            question[name] = value.as_str().into();
        }
    }
    Ok(question)
}

/// How wide the names of sections and stages are.
const NAME: usize = 12;

fn told(it: &Explained, paint: Paint) -> String {
    let mut text = Sections { text: String::new(), paint, name: NAME };
    let guess = if it.interface_is_a_guess { " (it has the route to the source)" } else { "" };
    text.section("in", Tone::Head, [format!("by {}{guess}", it.interface)].iter().chain(&it.packet));
    text.line();
    for (place, stage) in (1..).zip(&it.stages) {
        let ended_it = it.verdict.reason.is_some() && place == it.stages.len();
        text.section(&stage.stage, if ended_it { Tone::Bad } else { Tone::Good }, &stage.found);
    }
    if !it.members.is_empty() {
        text.line();
        text.text.push_str(&members(&it.members).render(paint));
    }
    if let Some(rewrite) = it.rewrite.as_ref().filter(|_| it.verdict.reason.is_none()) {
        text.line();
        text.section("flow", Tone::Head, [flow(it.flow.as_ref(), rewrite)].iter());
        text.section("to server", Tone::Head, &rewrite.to_server);
        if rewrite.to_client.is_empty() {
            text.section(
                "to client",
                Tone::Head,
                ["the member sends replies directly to the client".to_owned()].iter(),
            );
        } else {
            text.section("to client", Tone::Head, &rewrite.to_client);
        }
    }
    for leaving in &it.leaves {
        text.line();
        let by = [format!("by {}", leaving.interface)];
        text.section("out", Tone::Head, by.iter().chain(&leaving.packet));
    }
    text.line();
    verdict(it, &mut text);
    text.text
}

fn members(members: &[ConsideredStatus]) -> Table {
    let mut table = Table::new([
        ("POOL", Align::Left),
        ("MEMBER", Align::Left),
        ("WEIGHT", Align::Right),
        ("ACTIVE", Align::Right),
        (" ", Align::Left),
        ("WHY", Align::Left),
    ]);
    for member in members {
        let tone = match (member.chosen, member.standing.as_str()) {
            (true, _) => Tone::Good,
            (_, "down") => Tone::Bad,
            _ => Tone::Plain,
        };
        table.row([
            Cell::from(&member.pool),
            Cell::from(&member.member).tone(tone),
            member.weight.into(),
            member.active.into(),
            Cell::from(if member.chosen { "→" } else { " " }).tone(tone),
            Cell::from(&member.why).tone(tone),
        ]);
    }
    table
}

fn flow(id: Option<&String>, rewrite: &RewriteStatus) -> String {
    let RewriteStatus { virtual_name, pool, member, mode, snat, .. } = rewrite;
    let which = match id {
        Some(id) => format!("{id}, which exists"),
        None => "a new flow".to_owned(),
    };
    let leased = snat.as_ref().map(|snat| format!(" from {snat}")).unwrap_or_default();
    // Without a pool packets go to where they are addressed.
    let of = if pool.is_empty() { String::new() } else { format!(" of pool {pool}") };
    format!("{which}: {virtual_name} to {member}{of}, mode {mode}{leased}")
}

fn verdict(it: &Explained, text: &mut Sections) {
    let verdict = &it.verdict;
    let Some(reason) = &verdict.reason else {
        let lines = [format!("{}: {}", text.paint.on(Tone::Good, &verdict.action), verdict.means)];
        text.section("verdict", Tone::Head, lines.iter().chain(asked(it).iter()));
        return;
    };
    let at = verdict.stage.as_ref().map(|stage| format!(" at {stage}")).unwrap_or_default();
    let said = format!("{} {reason}{at}", verdict.action);
    let mut lines = vec![text.paint.on(Tone::Bad, &said), verdict.means.clone()];
    lines.extend(verdict.remedy.clone());
    lines.extend(asked(it));
    text.section("verdict", Tone::Head, &lines);
}

/// What the question itself changed.
fn asked(it: &Explained) -> Option<String> {
    let really = "the rules were called: one that counts packets has counted this one";
    (!it.rules.is_empty()).then(|| really.to_owned())
}

/// Lines with a name in front of the first.
struct Sections {
    text: String,
    paint: Paint,
    /// How wide the names are.
    name: usize,
}

impl Sections {
    fn section<'a>(&mut self, name: &str, tone: Tone, lines: impl IntoIterator<Item = &'a String>) {
        let (mut name, width) = (name, self.name);
        for line in lines {
            let shown = self.paint.on(tone, &format!("{name:<width$}"));
            self.text.push_str(&format!("{shown} {line}\n"));
            name = "";
        }
    }

    fn line(&mut self) {
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    fn explained() -> Explained {
        serde_json::from_value(serde_json::to_value(sample::explained()).unwrap()).unwrap()
    }

    fn args(packet: &[&str]) -> PacketArgs {
        let packet = packet.iter().map(|word| (*word).to_owned()).collect();
        PacketArgs { packet, flags: None, hex: None, interface: None }
    }

    #[test]
    fn a_packet_may_be_written_with_and_without_an_arrow() {
        let expected =
            json!({ "protocol": "tcp", "source": "192.0.2.7:40000", "destination": "203.0.113.1:80" });
        for between in [&[][..], &[">"], &["to"]] {
            let packet = [&["tcp", "192.0.2.7:40000"], between, &["203.0.113.1:80"]].concat();
            assert_eq!(question(&args(&packet)).unwrap(), expected);
        }
        let failure = question(&args(&["tcp", "192.0.2.7:40000"])).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let hex = PacketArgs { hex: Some("45".to_owned()), interface: Some("eth0".to_owned()), ..args(&[]) };
        assert_eq!(question(&hex).unwrap(), json!({ "hex": "45", "interface": "eth0" }));
    }

    #[test]
    fn what_is_told() {
        let expected = "\
in           by eth0 (it has the route to the source)
             Ethernet 02:00:00:00:0a:01 > 02:00:00:00:00:01
             IPv4 192.0.2.7 > 203.0.113.53, 33 bytes, time to live 64
             UDP 40000 > 53, 5 bytes

flow-table   the packet belongs to no flow of this worker
virtual      resolvers listens on 203.0.113.53:53, udp, on eth0
rule         resolvers/by-client says: next
             no rule decides, so the configuration does

POOL       MEMBER       WEIGHT  ACTIVE     WHY
resolvers  10.0.0.4:53       1      12  →  it is its turn
resolvers  10.0.0.5:53       1       0     down: connection refused

flow         a new flow: resolvers to 10.0.0.4:53 of pool resolvers, mode snat from 10.10.1.1:1024
to server    source becomes 10.10.1.1:1024
             destination becomes 10.0.0.4:53
to client    source becomes 203.0.113.53:53
             destination becomes 192.0.2.7:40000

out          by eth1
             IPv4 10.10.1.1 > 10.0.0.4, 33 bytes, time to live 63

verdict      send: the packet leaves by eth1
             the rules were called: one that counts packets has counted this one
";
        assert_eq!(told(&explained(), Paint(false)), expected);
    }

    #[test]
    fn a_flow_may_be_without_a_pool() {
        let mut it = explained();
        it.rewrite.as_mut().unwrap().pool.clear();
        let text = told(&it, Paint(false));
        assert!(text.contains("a new flow: resolvers to 10.0.0.4:53, mode snat"), "{text}");
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do() {
        let mut it = explained();
        it.verdict.action = "refuse".to_owned();
        it.verdict.means =
            "the packet is not forwarded; Shunt sends a TCP reset or an ICMP error by eth0".to_owned();
        it.verdict.reason = Some("no-member".to_owned());
        it.verdict.stage = Some("selection".to_owned());
        it.verdict.remedy = Some("All members are down.".to_owned());
        it.rules.clear();
        let text = told(&it, Paint(false));
        let end = "\
verdict      refuse no-member at selection
             the packet is not forwarded; Shunt sends a TCP reset or an ICMP error by eth0
             All members are down.
";
        assert!(text.ends_with(end), "{text}");
        assert!(!text.contains("to server"), "nothing is rewritten: {text}");
    }
}
