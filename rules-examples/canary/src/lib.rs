use shunt_sdk::prelude::*;

/// Sends a share of the clients to the canary pool; a client stays where it went.
#[derive(Settings)]
struct Canary {
    /// Share of clients, 0 to 100.
    percent: u8,
    /// A cookie that overrides the share: with the value "canary" or "primary" it
    /// names the pool.
    cookie: Option<String>,
}

#[rule]
impl Canary {
    fn on_load(&self) -> Result<(), String> {
        if self.percent > 100 { Err("percent: at most 100".into()) } else { Ok(()) }
    }

    fn on_request(&self, request: &Request) -> request::Verdict {
        let wish = self.cookie.as_deref().and_then(|name| request.cookie(name));
        match wish.as_deref() {
            Some("canary") => to_pool("canary"),
            Some("primary") => to_pool("primary"),
            _ if self.is_chosen(request.flow().client.ip()) => to_pool("canary"),
            _ => to_pool("primary"),
        }
    }

    /// The same client gets the same answer from every balancer, and raising the share
    /// keeps those who were in it.
    fn is_chosen(&self, client: IpAddr) -> bool {
        stable_hash(client) % 100 < u64::from(self.percent)
    }
}
