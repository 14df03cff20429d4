use shunt_sdk::prelude::*;

/// Chooses by the server name that a TLS client asks for. A name below the one of a route matches
/// as well where that begins with `*.`.
#[derive(Settings)]
struct ServerNames {
    /// Names of servers that have their own certificates: TLS is passed through to them.
    #[settings(default)]
    through: Vec<String>,
    /// Names that only clients with a certificate may ask for.
    #[settings(default)]
    staff: Vec<String>,
    /// Other names, and clients that send none, are refused.
    #[settings(default = false)]
    strict: bool,
}

#[rule]
impl ServerNames {
    fn on_client_hello(&self, hello: &ClientHello) -> client_hello::Verdict {
        let Some(name) = hello.server_name() else {
            return if self.strict { unrecognized() } else { next() };
        };
        if is_one_of(&self.through, &name) {
            to_pool("through").pass_through()
        } else if is_one_of(&self.staff, &name) {
            to_pool("web").client_certificate(client_hello::Demand::Required)
        } else if self.strict {
            unrecognized()
        } else {
            to_pool("web")
        }
    }
}

fn unrecognized() -> client_hello::Verdict {
    client_hello::reject_with(client_hello::Alert::UnrecognizedName)
}

fn is_one_of(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_prefix('*') {
        Some(domain) => name.len() > domain.len() && name.ends_with(domain),
        None => name.eq_ignore_ascii_case(pattern),
    })
}
