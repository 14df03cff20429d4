use shunt_sdk::prelude::*;

struct DenyList;

#[rule]
impl DenyList {
    fn on_flow(&self, flow: &Flow) -> flow::Verdict {
        let client = flow.client.ip();
        let Some(reason) = sets::address("deny", client) else { return next() };
        log::info!("{client} is refused: {reason}");
        reject()
    }
}
