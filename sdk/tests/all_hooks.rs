//! A rule with every hook, in the shapes that authors may write them, compiles.

use shunt_sdk::prelude::*;

/// Sends some away.
#[derive(Settings)]
struct Everything {
    /// Who may come in.
    #[settings(default)]
    allowed: Vec<Prefix>,
    names: Option<Vec<String>>,
}

#[rule]
impl Everything {
    const SORRY: &str = "sorry";

    fn on_load(&mut self) -> Result<(), String> {
        self.names.iter_mut().flatten().for_each(|name| name.make_ascii_lowercase());
        if self.allowed.is_empty() { Err("allowed: at least one".into()) } else { Ok(()) }
    }

    fn on_flow(&self, flow: &Flow) -> flow::Verdict {
        if self.may_enter(flow.client.ip()) { to_pool("in").persist(flow.client.ip()) } else { drop_flow() }
    }

    fn on_client_hello(&self, hello: &ClientHello) -> client_hello::Verdict {
        match hello.server_name().as_deref() {
            Some("raw.example") => to_pool("in").pass_through(),
            Some("staff.example") => {
                to_pool("in").certificate("staff.example").protocols(&["h2"]).member(self.member())
            }
            Some(_) if hello.offers("h2") => next(),
            _ => client_hello::reject_with(client_hello::Alert::UnrecognizedName),
        }
    }

    fn on_data(&self, flow: &Flow, data: &Data) -> data::Verdict {
        match data.bytes.as_slice() {
            [] if !data.is_open() => next(),
            [b'E', ..] if data.is_of_client() => to_pool("in").persist(flow.client.ip()),
            [b'2', b'2', b'0', ..] => data::replace("220 mail.example\r\n"),
            bytes if bytes.len() < 8 => data::need(8 - bytes.len()),
            _ if data.offset == 0 => data::pass_as(1, "x"),
            _ => data::pass(1),
        }
    }

    fn on_request(&self, request: &Request) -> Result<request::Verdict, FieldError> {
        request.set_header("x-from", "shunt")?;
        request.remove_header("x-secret").ok();
        Ok(if request.header_is("content-type", "text/plain") { need_body(1_000) } else { next() })
    }

    fn on_request_body(&self, _request: &Request, body: &request_body::Body) -> request_body::Verdict {
        if body.complete { replace_body(body.bytes.to_ascii_lowercase()) } else { reject() }
    }

    fn on_selected(
        &self,
        request: Option<&Request>,
        selection: &selected::Selection,
    ) -> Result<selected::Verdict, FieldError> {
        if let Some(request) = request {
            request.set_header("x-member", selection.member.to_string())?;
        }
        Ok(match selection.reason {
            selected::Reason::Balance if selection.active > 10 => veto("too busy"),
            selected::Reason::Rule => to_pool("in"),
            _ => next(),
        })
    }

    fn on_connect_failed(
        &self,
        request: &Request,
        failure: &connect_failed::Failure,
    ) -> connect_failed::Verdict {
        log::warn!("{} failed: {:?}", request.path(), failure.cause);
        match failure.attempts {
            0..3 => retry(),
            _ => respond(503).header("retry-after", "5").text(Self::SORRY),
        }
    }

    fn on_response(&self, _: &Request, response: &Response) -> response::Verdict {
        if response.status() == 200 {
            response.need_body(1_000);
        }
        if response.status() == 502 { retry() } else { next() }
    }

    fn on_response_body(
        &self,
        _request: &Request,
        response: &Response,
        body: &response_body::Body,
    ) -> Result<response_body::Verdict, FieldError> {
        response.remove_header("content-encoding")?;
        Ok(if body.complete { replace_body(body.bytes.to_ascii_uppercase()) } else { respond(502) })
    }

    #[cfg(not(windows))]
    fn on_done(&self, summary: &done::Summary) {
        log::info!("{:?} after {:?}", summary.outcome, summary.duration);
    }

    #[cfg(windows)]
    fn on_done(&self, _: &done::Summary) {}

    fn on_probe(&self, probe: &Probe) -> probe::Verdict {
        match (probe.step, probe.line()) {
            (0, _) => probe::send("PING\r\n"),
            (_, Some(b"+PONG")) => probe::up("PONG"),
            (_, Some(_)) => probe::down("no PONG"),
            (_, None) if probe.is_open() => probe::need(1),
            (_, None) => probe::down(format!("{} said {:?}", probe.member, probe.bytes)),
        }
    }

    fn member(&self) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 443))
    }

    fn may_enter(&self, client: IpAddr) -> bool {
        self.allowed.iter().any(|prefix| prefix.contains(client))
    }
}

#[test]
fn plain_methods_can_be_tested_without_a_host() {
    let rule = Everything { allowed: vec!["192.0.2.0/24".parse().unwrap()], names: None };
    assert!(rule.may_enter("192.0.2.7".parse().unwrap()));
    assert!(!rule.may_enter("198.51.100.7".parse().unwrap()));
}
