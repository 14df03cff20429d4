use shunt_sdk::Key;
use shunt_sdk::prelude::*;
use table::{Allowance, Buckets, Rate, Windows};

/// Where clients of one kind are counted: in windows, or in buckets.
type Tables<K> = (Windows<K>, Buckets<K>);

const ADDRESSES: Tables<IpAddr> = (Windows::new("windows"), Buckets::new("buckets"));
const KEYS: Tables<str> = (Windows::new("key-windows"), Buckets::new("key-buckets"));

/// Bytes of a key in a table.
const MAX_KEY: usize = 256;

/// Responds with 429 to clients that send too many requests.
#[derive(Settings)]
struct RateLimit {
    /// Requests of a client in the window.
    #[settings(default = 100)]
    limit: u32,
    /// The window, in milliseconds.
    #[settings(default = 60000)]
    window_ms: u32,
    /// Requests of a client at once: then the limit flows into a token bucket of that size. Without it, no window has more
    /// than the limit.
    burst: Option<u32>,
    /// Whether a client is who has the same `X-Api-Key`. Requests without one are counted by their address.
    #[settings(default = false)]
    by_key: bool,
    /// Whether responses say what is left, and not only the refusals.
    #[settings(default = false)]
    tell: bool,
}

#[rule]
impl RateLimit {
    fn on_load(&self) -> Result<(), &'static str> {
        match (self.limit, self.window_ms, self.burst) {
            (0, ..) => Err("limit: at least 1"),
            (_, 0, _) => Err("window-ms: at least 1"),
            (_, _, Some(0)) => Err("burst: at least 1"),
            _ => Ok(()),
        }
    }

    fn on_request(&self, request: &Request) -> request::Verdict {
        let key = if self.by_key { request.header("x-api-key") } else { None };
        let allowance = match key {
            Some(key) => self.ask(KEYS, &key[..key.floor_char_boundary(MAX_KEY)]),
            None => self.ask(ADDRESSES, &network(request.flow().client.ip())),
        };
        if self.tell || !allowance.allowed {
            // draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4.
            let seconds = self.window_ms.div_ceil(1000);
            let policy = ["\"client\";q=", &self.limit.to_string(), ";w=", &seconds.to_string()].concat();
            request.set_response_header("ratelimit-policy", &policy).ok();
            let left = ["\"client\";r=", &allowance.remaining.to_string()].concat();
            request.set_response_header("ratelimit", &left).ok();
        }
        if allowance.allowed {
            return next();
        }
        let wait = allowance.retry_after_seconds().unwrap_or(1);
        respond(429).header("retry-after", wait.to_string()).text("Too many requests.\n")
    }

    fn ask<K: Key + ?Sized>(&self, (windows, buckets): Tables<K>, client: &K) -> Allowance {
        let per = Duration::from_millis(self.window_ms.into());
        match self.burst {
            Some(burst) => buckets.take(client, Rate { tokens: self.limit, per, burst }),
            None => windows.allow(client, self.limit, per),
        }
    }
}

/// Who is counted as one: an IPv4 address, or the 64 bits of an IPv6 address that a site gives to a network.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}
