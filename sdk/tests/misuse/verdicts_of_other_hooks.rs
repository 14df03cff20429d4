use shunt_sdk::prelude::*;

fn on_flow() -> flow::Verdict {
    respond(403)
}

fn on_response() -> response::Verdict {
    to_pool("web")
}

fn on_connect_failed() -> connect_failed::Verdict {
    reject()
}

fn on_request() -> request::Verdict {
    retry()
}

fn mixed() -> request::Verdict {
    respond(200).persist("user")
}

fn done_is_done() -> request::Verdict {
    next().persist("user")
}

fn main() {}
