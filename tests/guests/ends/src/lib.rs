//! Logs how each connection ended, with what was noted of it when it began.

use shunt_sdk::prelude::*;

struct Ends;

#[rule]
impl Ends {
    fn on_flow(&self, flow: &Flow) -> flow::Verdict {
        vars::flow().set("from", flow.client.ip().to_string());
        next()
    }

    fn on_done(&self, summary: &done::Summary) {
        let from = vars::flow().text("from").unwrap_or_default();
        let done::Summary { outcome, status, member, bytes_to_server, bytes_to_client, .. } = summary;
        let member = member.map(|it| it.to_string()).unwrap_or_default();
        log::info!("{from}: {outcome:?} {status:?} [{member}] {bytes_to_server} {bytes_to_client}");
    }
}
