use shunt_sdk::prelude::*;

/// When members fail: tries another, then another pool, then responds with a text.
#[derive(Settings)]
struct Fallback {
    /// How many members of the primary pool are tried before the other pool is.
    #[settings(default = 2)]
    tries: u32,
    /// The text that clients get when both pools fail.
    #[settings(default = "Sorry, we cannot answer just now. Please try again in a minute.\n")]
    sorry: String,
}

#[rule]
impl Fallback {
    fn on_connect_failed(&self, _: &Request, failure: &connect_failed::Failure) -> connect_failed::Verdict {
        let fell_back = vars::request().get("fell-back").is_some();
        if !fell_back && failure.attempts < self.tries && lb::pool("primary").usable > failure.attempts {
            return retry();
        }
        if !fell_back && lb::pool("fallback").usable > 0 {
            log::warn!("primary failed ({:?}) after {} tries", failure.cause, failure.attempts);
            vars::request().set("fell-back", "1");
            return to_pool("fallback");
        }
        respond(503).header("retry-after", "60").text(self.sorry.as_str())
    }
}
