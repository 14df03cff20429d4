use shunt_sdk::prelude::*;

/// Redirects HTTP requests to HTTPS: the same host, path and query.
#[derive(Settings)]
struct HttpsRedirect {
    /// The status: 308 (permanent) or 307 (temporary); 301 and 302 are for old clients.
    #[settings(default = 308)]
    status: u16,
    /// The port of HTTPS.
    #[settings(default = 443)]
    port: u16,
    /// Beginnings of paths that are not redirected.
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
