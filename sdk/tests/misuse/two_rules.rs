use shunt_sdk::prelude::*;

mod one {
    use super::*;

    struct One;

    #[rule]
    impl One {
        fn on_request(&self, _request: &Request) -> request::Verdict {
            next()
        }
    }
}

mod two {
    use super::*;

    struct Two;

    #[rule]
    impl Two {
        fn on_flow(&self, _flow: &Flow) -> flow::Verdict {
            next()
        }
    }
}

fn main() {}
