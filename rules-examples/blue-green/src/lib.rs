use shunt_sdk::prelude::*;

struct BlueGreen;

#[rule]
impl BlueGreen {
    fn on_request(&self, _: &Request) -> request::Verdict {
        if flags::is_on("green") { to_pool("green") } else { to_pool("blue") }
    }
}
