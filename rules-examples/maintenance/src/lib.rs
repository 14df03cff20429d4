use shunt_sdk::prelude::*;

/// Responds with a maintenance page, except to testers.
#[derive(Settings)]
struct Maintenance {
    /// Whether the page is shown now.
    #[settings(default = true)]
    active: bool,
    /// Addresses and prefixes of testers, whose requests go to members.
    #[settings(default)]
    testers: Vec<Prefix>,
    /// When clients may try again, in seconds.
    #[settings(default = 600)]
    retry_after: u32,
    /// A page of your own, in HTML.
    page: Option<String>,
}

#[rule]
impl Maintenance {
    fn on_request(&self, request: &Request) -> request::Verdict {
        if !self.active || self.is_tester(request.flow().client.ip()) {
            return next();
        }
        respond(503)
            .header("retry-after", self.retry_after.to_string())
            .header("cache-control", "no-store")
            .html(self.page.as_deref().unwrap_or(include_str!("page.html")))
    }

    fn is_tester(&self, client: IpAddr) -> bool {
        self.testers.iter().any(|prefix| prefix.contains(client))
    }
}
