use shunt_sdk::prelude::*;

/// The names under `[slots]` in `pack.toml`.
const SLOTS: [&str; 3] = ["web", "api", "static"];

/// Chooses the pool by host and path. Requests that no route matches go to the
/// configured pool.
#[derive(Settings)]
struct Switch {
    /// Tried in order; the first that matches decides.
    routes: Vec<Route>,
}

/// A route matches where all that it names matches.
#[derive(Settings)]
struct Route {
    /// The host, without port: "shop.example", or "*.shop.example" for every name below.
    host: Option<String>,
    /// The beginning of the path.
    prefix: Option<String>,
    /// The end of the path.
    suffix: Option<String>,
    /// The slot: "web", "api" or "static".
    slot: String,
}

#[rule]
impl Switch {
    fn on_load(&mut self) -> Result<(), String> {
        for (at, route) in self.routes.iter_mut().enumerate() {
            if !SLOTS.contains(&route.slot.as_str()) {
                return Err(format!("routes.{at}.slot: one of {}", SLOTS.join(", ")));
            }
            if let Some(host) = &mut route.host {
                host.make_ascii_lowercase();
            }
        }
        Ok(())
    }

    fn on_request(&self, request: &Request) -> request::Verdict {
        let (host, path) = (request.host(), request.path());
        match self.routes.iter().find(|route| route.matches(&host, &path)) {
            Some(route) => to_pool(&route.slot),
            None => next(),
        }
    }
}

impl Route {
    fn matches(&self, host: &str, path: &str) -> bool {
        self.host.as_deref().is_none_or(|own| names(own, host))
            && self.prefix.as_deref().is_none_or(|prefix| path.starts_with(prefix))
            && self.suffix.as_deref().is_none_or(|suffix| path.ends_with(suffix))
    }
}

/// Whether the pattern matches the host.
fn names(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(domain) => host.len() > domain.len() && host.ends_with(domain),
        None => host == pattern,
    }
}
