use shunt_sdk::prelude::*;
use table::{Values, Windows};

const FAILURES: Windows<IpAddr> = Windows::new("failures");
const BLOCKED: Values<IpAddr, bool> = Values::new("blocked");

/// Refuses clients for a while that failed to log in too often.
#[derive(Settings)]
struct PenaltyBox {
    /// Failed log-ins of a client before it is refused.
    #[settings(default = 5)]
    failures: u32,
    /// The time in which they count, in seconds.
    #[settings(default = 60)]
    within: u32,
    /// How long a client is refused, in seconds.
    #[settings(default = 300)]
    refused_for: u32,
    /// Where clients log in: the beginning of the path.
    #[settings(default = "/")]
    prefix: String,
}

#[rule]
impl PenaltyBox {
    fn on_request(&self, request: &Request) -> request::Verdict {
        match BLOCKED.get(&request.flow().client.ip()) {
            Some(_) => respond(429)
                .header("retry-after", self.refused_for.to_string())
                .text("Too many failed log-ins.\n"),
            None => next(),
        }
    }

    fn on_response(&self, request: &Request, response: &Response) -> response::Verdict {
        // RFC 9110 section 15.5.2: the credentials are missing or wrong.
        if response.status() == 401 && request.path().starts_with(&self.prefix) {
            let client = request.flow().client.ip();
            let within = Duration::from_secs(self.within.into());
            if FAILURES.allow(&client, self.failures, within).remaining == 0 {
                BLOCKED.put_for(&client, &true, Duration::from_secs(self.refused_for.into()));
                log::warn!("{client} is refused for {} s", self.refused_for);
            }
        }
        next()
    }
}
