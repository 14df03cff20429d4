use shunt_sdk::prelude::*;

/// Sends a share of the clients to the canary pool; a client always gets the same pool.
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

    /// Every load balancer sends a client to the same pool, and raising the share
    /// keeps the clients that were in it.
    fn is_chosen(&self, client: IpAddr) -> bool {
        stable_hash(client) % 100 < u64::from(self.percent)
    }
}
