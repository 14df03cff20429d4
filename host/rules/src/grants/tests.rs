use super::*;

/// Everything, one of each.
const ALL: &str = r#"
    log = 8
    clock = true
    random = true
    vars = true
    lb = true
    modes = ["l3dsr-dscp", "nat"]
    data = ["replace", "choose", "to-client", "to-server"]
    [request]
    read = ["accept-language", "x-*"]
    write = ["x-team"]
    target = true
    body = true
    [response]
    read = ["content-type"]
    write = ["x-pool"]
    status = true
    answer = true
    body = true
"#;

fn grants(toml: &str) -> Grants {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{error}"))
}

fn told(excess: &[Excess]) -> Vec<String> {
    excess.iter().map(ToString::to_string).collect()
}

#[test]
fn each_grant_is_read_told_and_written() {
    let all = grants(ALL);
    let text: Vec<String> = all.iter().map(|grant| format!("{}: {grant}", grant.key.name())).collect();
    assert_eq!(
        text,
        [
            "log: write up to 8 lines to the log in a call",
            "clock: read the time",
            "random: get random numbers",
            "vars: keep variables of a request or flow",
            "lb: read the state of the pools that its slots are bound to",
            "modes: choose the mode nat",
            "modes: choose the mode l3dsr-dscp",
            "data: read what clients send over relayed connections",
            "data: read what members send over relayed connections",
            "data: choose where a connection goes by what its client sends first",
            "data: replace what is sent over relayed connections",
            "request.read: read the field accept-language of requests",
            "request.read: read the fields x-* of requests",
            "request.write: change the field x-team of requests",
            "request.target: change path, query and authority of requests",
            "request.body: read and replace bodies of requests",
            "response.read: read the field content-type of responses",
            "response.write: change the field x-pool of responses",
            "response.status: change the status of responses",
            "response.answer: respond in a member's place",
            "response.body: read and replace bodies of responses",
        ]
    );
    let json = serde_json::to_value(&all).unwrap();
    assert_eq!(serde_json::from_value::<Grants>(json).unwrap(), all);
    assert_eq!(grants(&toml::to_string(&all).unwrap()), all);
    assert_eq!(toml::to_string(&Grants::default()).unwrap(), "");
    assert!(Grants::default().is_empty() && !all.is_empty());
}

#[test]
fn what_is_asked_beyond_what_is_allowed() {
    let (all, none) = (grants(ALL), Grants::default());
    assert!(all.contains(&all) && all.contains(&none) && !none.contains(&all));
    assert_eq!(all.beyond(&none).len(), all.iter().count());
    for grant in all.iter() {
        // Without one line of it, that one thing is beyond.
        let (_, key) = grant.key.place();
        let allowed: Vec<&str> = ALL.lines().collect();
        let mut table = "";
        let allowed = allowed.into_iter().filter(|line| {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[') {
                table = name.trim_end_matches(']');
            }
            let name = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            !(line.starts_with(&format!("{key} =")) && name == grant.key.name())
        });
        let allowed = grants(&allowed.collect::<Vec<_>>().join("\n"));
        assert!(all.beyond(&allowed).iter().any(|excess| excess.grant == grant), "{grant}");
    }
    let asked = grants("log = 20\nmodes = [\"nat\"]\n[request]\nread = [\"x-team\", \"cookie\"]\n");
    let excess = asked.beyond(&grants("log = 8\nmodes = [\"nat\"]\n[request]\nread = [\"*\"]\n"));
    assert_eq!(
        told(&excess),
        [
            "write up to 20 lines to the log in a call, where 8 are allowed",
            "read the field cookie of requests"
        ]
    );
    assert_eq!(told(&asked.beyond(&none))[0], "write up to 20 lines to the log in a call");
}

#[test]
fn each_mistake_has_its_own_text() {
    for (toml, says) in [
        ("log = true", "expected u64"),
        ("log = 0", "1 to 64"),
        ("log = 65", "1 to 64"),
        ("clok = true", "expected one of `log`, `clock`"),
        ("clock = \"yes\"", "expected a boolean"),
        ("modes = [\"dsr\"]", "expected one of `proxy`, `nat`"),
        ("[request]\nread = \"x\"", "expected a sequence"),
        ("[request]\nread = [\"a b\"]", "a prefix such as \"x-*\""),
        ("[request]\nstatus = true", "unknown field `status`"),
        ("[response]\ntarget = true", "unknown field `target`"),
    ] {
        let error = toml::from_str::<Grants>(toml).unwrap_err().to_string();
        assert!(error.contains(says), "{toml:?} gave {error:?}");
    }
}

#[test]
fn remedies_say_what_to_write() {
    for (grant, says) in [
        (Grant::new(Key::Log, ""), "add `log = 8` to [capabilities]"),
        (Grant::new(Key::Clock, ""), "add `clock = true` to [capabilities]"),
        (Grant::new(Key::Modes, "nat"), "add \"nat\" to `modes` of [capabilities]"),
        (Grant::new(Key::RequestRead, ""), "add `read = [\"…\"]` to [capabilities.request]"),
        (Grant::new(Key::ResponseWrite, "x-a"), "add \"x-a\" to `write` of [capabilities.response]"),
    ] {
        assert_eq!(grant.remedy(), says);
    }
    assert_eq!(Grant::new(Key::RequestRead, "").to_string(), "read fields of requests");
    assert_eq!(Grant::new(Key::RequestRead, "*").to_string(), "read all fields of requests but credentials");
}
