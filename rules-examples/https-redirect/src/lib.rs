use shunt_sdk::prelude::*;

/// Sends browsers that come by HTTP to HTTPS: the same host, path and query.
#[derive(Settings)]
struct HttpsRedirect {
    /// 308 keeps the method for good, 307 for now; 301 and 302 are for old clients.
    #[settings(default = 308)]
    status: u16,
    /// The port that HTTPS is on.
    #[settings(default = 443)]
    port: u16,
    /// Beginnings of paths that stay with HTTP.
    #[settings(default = ["/.well-known/acme-challenge/"])]
    exempt: Vec<String>,
}

#[rule]
impl HttpsRedirect {
    fn on_load(&self) -> Result<(), String> {
        match self.status {
            301 | 302 | 307 | 308 => Ok(()),
            _ => Err("status: 301, 302, 307 or 308".into()),
        }
    }

    fn on_request(&self, request: &Request) -> request::Verdict {
        let path = request.path_and_query();
        if request.scheme() == Scheme::Https || self.exempt.iter().any(|prefix| path.starts_with(prefix)) {
            return next();
        }
        match (request.host().as_str(), self.port) {
            ("", _) => respond(400).text("This site needs the Host field.\n"),
            (host, 443) => redirect(self.status, &format!("https://{host}{path}")),
            (host, port) => redirect(self.status, &format!("https://{host}:{port}{path}")),
        }
    }
}
