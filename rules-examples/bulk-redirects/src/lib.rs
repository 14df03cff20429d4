use shunt_sdk::prelude::*;

/// Redirects each path of a list to its place.
#[derive(Settings)]
struct BulkRedirects {
    /// The status of the redirects: 301, 302, 307 or 308.
    #[settings(default = 301)]
    status: u16,
}

#[rule]
impl BulkRedirects {
    fn on_load(&self) -> Result<(), String> {
        match self.status {
            301 | 302 | 307 | 308 => Ok(()),
            other => Err(format!("status: {other} is no redirect; use 301, 302, 307 or 308")),
        }
    }

    fn on_request(&self, request: &Request) -> request::Verdict {
        let Some(found) = sets::find("redirects", &request.path()) else { return next() };
        match request.query() {
            // A place that has a query of its own keeps that.
            Some(query) if !found.value.contains(['?', '#']) => {
                redirect(self.status, &format!("{}?{query}", found.value))
            }
            _ => redirect(self.status, &found.value),
        }
    }
}
