//! `shunt flow list|show|delete`

use http::Method;
use shunt_engine::flow::FlowId;

use super::args::FlowFilter;
use super::client::{Body, Client};
use super::failure::Failure;
use super::format;
use super::screen::{Paint, Screen, Tone};
use super::table::{Align, Cell, Table};
use shunt_api::flows::{FlowDetails, FlowStatus, Flows};

/// Lists flows, those that are shown by their age.
///
/// # Errors
/// No daemon answers, or it does not know what is asked for.
pub(super) fn list(filter: &FlowFilter, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let FlowFilter { virtual_name, client: of, member, mode, state, limit } = filter;
    let query = [
        ("virtual", virtual_name.clone()),
        ("client", of.map(|address| address.to_string())),
        ("member", member.map(|address| address.to_string())),
        ("mode", mode.clone()),
        ("state", state.clone()),
        ("limit", Some(limit.to_string())),
    ];
    let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let answer = client.search(&["flows"], &query)?;
    let flows: Flows = client.read(&answer)?;
    screen.show(&answer, |paint| listed(&flows, paint));
    Ok(())
}

/// Shows a flow.
///
/// # Errors
/// No daemon answers, or there is no such flow.
pub(super) fn show(id: FlowId, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.ask(Method::GET, &["flows", &id.to_string()], Body::None)?;
    let flow: FlowDetails = client.read(&answer)?;
    screen.show(&answer, |paint| told(&flow, paint));
    Ok(())
}

/// Ends a flow.
///
/// # Errors
/// No daemon answers, or there is no such flow.
pub(super) fn delete(id: FlowId, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let answer = client.ask(Method::DELETE, &["flows", &id.to_string()], Body::None)?;
    screen.show(&answer, |_| format!("flow {id} is deleted\n"));
    Ok(())
}

fn listed(flows: &Flows, paint: Paint) -> String {
    use Align::{Left, Right};
    if flows.flows.is_empty() {
        return "no flows\n".to_owned();
    }
    let mut table = Table::new([
        ("ID", Left),
        ("VIRTUAL", Left),
        ("PROTO", Left),
        ("CLIENT", Left),
        ("MEMBER", Left),
        ("MODE", Left),
        ("STATE", Left),
        ("AGE", Right),
        ("IDLE", Right),
        ("TO SERVER", Right),
        ("TO CLIENT", Right),
    ]);
    for flow in &flows.flows {
        table.row([
            (&flow.id).into(),
            (&flow.virtual_name).into(),
            (&flow.protocol).into(),
            (&flow.client).into(),
            (&flow.member).into(),
            (&flow.mode).into(),
            (&flow.state).into(),
            format::span(flow.age_ms / 1_000).into(),
            format::span(flow.idle_ms / 1_000).into(),
            format::bytes(flow.bytes_to_server).into(),
            to_client(flow),
        ]);
    }
    let mut text = table.render(paint);
    if flows.more {
        text.push_str("there are more; `--limit` shows more of them, and the other options pick some\n");
    }
    text
}

/// What came back; nothing where answers do not come through Shunt.
fn to_client(flow: &FlowStatus) -> Cell {
    if flow.packets_to_client == 0 { "".into() } else { format::bytes(flow.bytes_to_client).into() }
}

fn told(details: &FlowDetails, paint: Paint) -> String {
    let FlowDetails { flow, to_server, to_client } = details;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!("{} {value}\n", paint.on(Tone::Head, &format!("{name:<10}"))));
    };
    let ms = |milliseconds: u64| format::span(milliseconds / 1_000);
    line("flow", &flow.id);
    line("virtual", &format!("{}, {} to {}", flow.virtual_name, flow.protocol, flow.vip));
    line("client", &flow.client);
    line("member", &format!("{} of pool {}", flow.member, flow.pool));
    let leased = flow.snat.as_ref().map(|snat| format!(" from {snat}")).unwrap_or_default();
    line("mode", &format!("{}{leased}", flow.mode));
    let (age, idle, left) = (ms(flow.age_ms), ms(flow.idle_ms), ms(flow.expires_ms));
    line(
        "state",
        &format!("{}, {age} old, last packet {idle} ago, ends in {left} without another", flow.state),
    );
    let way =
        |packets: u64, bytes: u64| format!("{}, {}", format::count(packets, "packet"), format::bytes(bytes));
    line("to server", &way(flow.packets_to_server, flow.bytes_to_server));
    to_server.iter().for_each(|done| line("", done));
    if to_client.is_empty() {
        line("to client", "the member sends replies directly to the client");
    } else {
        line("to client", &way(flow.packets_to_client, flow.bytes_to_client));
        to_client.iter().for_each(|done| line("", done));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    #[test]
    fn what_is_listed() {
        let flow = serde_json::to_value(sample::flow().flow).unwrap();
        let flows: Flows =
            serde_json::from_value(serde_json::json!({ "flows": [flow], "more": true })).unwrap();
        let expected = "\
ID              VIRTUAL    PROTO  CLIENT           MEMBER       MODE  STATE     AGE  IDLE  TO SERVER  TO CLIENT
40000008000003  resolvers  udp    192.0.2.7:40000  10.0.0.4:53  snat  active  1m 5s    1s      195 B    1.5 KiB
there are more; `--limit` shows more of them, and the other options pick some
";
        assert_eq!(listed(&flows, Paint(false)), expected);
        assert_eq!(listed(&Flows { flows: Vec::new(), more: false }, Paint(false)), "no flows\n");
    }

    #[test]
    fn what_is_told_of_one() {
        let flow: FlowDetails =
            serde_json::from_value(serde_json::to_value(sample::flow()).unwrap()).unwrap();
        let expected = "\
flow       40000008000003
virtual    resolvers, udp to 203.0.113.53:53
client     192.0.2.7:40000
member     10.0.0.4:53 of pool resolvers
mode       snat from 10.10.1.1:1024
state      active, 1m 5s old, last packet 1s ago, ends in 58s without another
to server  3 packets, 195 B
           source becomes 10.10.1.1:1024
           destination becomes 10.0.0.4:53
to client  3 packets, 1.5 KiB
           source becomes 203.0.113.53:53
           destination becomes 192.0.2.7:40000
";
        assert_eq!(told(&flow, Paint(false)), expected);
    }
}
