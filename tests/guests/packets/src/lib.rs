//! Forwards each client's flows as its settings say, and keeps count of them in its log.

use shunt_sdk::prelude::*;

/// `shunt rule build` refuses such a literal where a pool is named.
const SNAT: &str = "out";

#[derive(Settings)]
struct Packets {
    /// The first that holds the client's address decides; without any it is as configured.
    #[settings(default)]
    clients: Vec<Client>,
}

#[derive(Settings)]
struct Client {
    from: Prefix,
    /// The name of a mode; or `other`, `bare-snat`, `reject`, `drop` or `panic`.
    how: String,
}

#[rule]
impl Packets {
    fn on_flow(&self, flow: &Flow) -> flow::Verdict {
        let known = self.clients.iter().find(|client| client.from.contains(flow.client.ip()));
        let Some(Client { how, .. }) = known else { return next() };
        vars::flow().set("how", how);
        let mode = match how.as_str() {
            "nat" => Mode::Nat,
            "snat" => return to_pool("main").mode(Mode::Snat).snat_pool("out"),
            "l2dsr" => Mode::L2dsr,
            "l3dsr-dscp" => Mode::L3dsrDscp,
            "l3dsr-ipip" => Mode::L3dsrIpip,
            "l3dsr-gre" => Mode::L3dsrGre,
            "l3dsr-gue" => Mode::L3dsrGue,
            "other" => return to_pool("other"),
            "bare-snat" => return to_pool(SNAT),
            "reject" => return reject(),
            "drop" => return drop_flow(),
            _ => panic!("there is no way to forward called {how}"),
        };
        to_pool("main").mode(mode)
    }

    fn on_done(&self, summary: &done::Summary) {
        let how = vars::flow().text("how").unwrap_or_default();
        shunt_sdk::log::info!(
            "{} to {:?} as {how:?}: {} packets there, {} back",
            summary.flow.client,
            summary.member,
            summary.packets_to_server,
            summary.packets_to_client,
        );
    }
}
