//! The configuration language, told by files: `accept` loads, `refuse` is refused with the very words
//! that stand beside it (`SHUNT_BLESS=1` rewrites them). Every key and every cause must occur.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue has failed")]

mod fixtures;
mod properties;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use shunt_config::model::{Forwarded, SetSource};
use shunt_config::monitors::{Http, Probe, Tcp};
use shunt_config::persistence::{Cookie, PersistBy};
use shunt_config::tls::{CertificateField, CipherSuite, Group, ServerName, Version};
use shunt_config::{Cause, Document, Remark, Report, entries, load, reference_markdown, schema};
use shunt_engine::balance::Balance;
use shunt_rules::OnFault;
use shunt_rules::trust::Source;

use fixtures::{fixtures, written_entries};

#[test]
fn what_is_right_loads() {
    for path in fixtures("accept") {
        if let Err(report) = load(&path) {
            panic!("{}:\n{report}", path.display());
        }
    }
}

#[test]
fn what_is_wrong_is_refused_in_these_words() {
    let bless = std::env::var_os("SHUNT_BLESS").is_some();
    let mut differing = Vec::new();
    for path in fixtures("refuse") {
        let report = load(&path).expect_err(&format!("{} must be refused", path.display()));
        let told = format!("{}{}\n", report.render(false), report.summary("nothing was changed"));
        let stored = path.with_extension("stderr");
        if bless {
            fs::write(&stored, &told).unwrap();
        } else if fs::read_to_string(&stored).unwrap_or_default() != told {
            differing.push(format!("{} now reads:\n{told}", stored.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// The warnings of each configuration of a folder.
fn warned(folder: &str) -> impl Iterator<Item = (PathBuf, Report)> {
    fixtures(folder).into_iter().map(|path| {
        let document = Document::read(&path).unwrap_or_else(|report| panic!("{}:\n{report}", path.display()));
        (path, document.warnings([]))
    })
}

#[test]
fn what_virtuals_have_in_common_is_filled_up() {
    let config = load(Path::new("tests/config/accept/shared.toml")).unwrap();
    let [plain, own] = config.virtuals.as_slice() else { panic!("two proxies") };
    let seconds = |head: u64, connect: u64| (Duration::from_secs(head), Duration::from_secs(connect));
    assert_eq!((plain.pool.as_deref(), plain.limits.head), (Some("web"), 16 << 10));
    assert_eq!((plain.timeouts.head, plain.timeouts.connect), seconds(5, 1));
    assert_eq!((own.pool.as_deref(), own.limits.head), (Some("other"), 16 << 10));
    assert_eq!((own.timeouts.head, own.timeouts.connect), seconds(7, 1));
    assert_eq!((own.forwarded, plain.forwarded), (plain.forwarded, Forwarded::Append));
    assert_eq!(config.packet_virtuals[0].interfaces, ["eth0"]);
}

#[test]
fn what_is_not_meant_is_warned_of_in_these_words() {
    for (path, report) in warned("warn") {
        let (told, stored) = (report.render(false), path.with_extension("stderr"));
        if std::env::var_os("SHUNT_BLESS").is_some() {
            fs::write(&stored, &told).unwrap();
        }
        assert_eq!(told, fs::read_to_string(&stored).unwrap_or_default(), "{}", path.display());
        assert!(!report.is_empty() && report.lines().len() == report.problems().len());
    }
}

#[test]
fn every_key_is_accepted_somewhere_and_refused_somewhere() {
    let known: BTreeSet<String> = entries().into_iter().map(|entry| entry.key).collect();
    let accepted: BTreeSet<String> =
        fixtures("accept").iter().flat_map(|path| written_entries(path, &known)).collect();
    let refused: BTreeSet<String> = fixtures("refuse")
        .iter()
        .flat_map(|path| load(path).unwrap_err().problems())
        // A key that is unknown is not what its table is refused for.
        .filter(|problem| problem.cause != Cause::UnknownKey)
        .filter_map(|problem| problem.entry)
        .collect();
    let missing = |seen: &BTreeSet<String>| known.difference(seen).cloned().collect::<Vec<_>>();
    assert_eq!(missing(&accepted), Vec::<String>::new(), "no file in `accept` has these");
    assert_eq!(missing(&refused), Vec::<String>::new(), "no file in `refuse` has these wrong");
}

#[test]
fn every_cause_occurs() {
    let told: BTreeSet<Cause> = fixtures("refuse")
        .iter()
        .flat_map(|path| load(path).unwrap_err().problems())
        .map(|problem| problem.cause)
        // What is found out after reading has its own test.
        .chain([Cause::Refused])
        .chain(warned("warn").flat_map(|(_, report)| report.problems()).map(|problem| problem.cause))
        .collect();
    assert_eq!(told, BTreeSet::from(Cause::ALL));
}

#[test]
fn codes_are_the_same_for_people_and_programs() {
    for cause in Cause::ALL {
        assert_eq!(serde_json::to_value(cause).unwrap(), cause.code());
    }
}

#[test]
fn defaults_are_what_the_reference_says() {
    let path = Path::new("tests/config/accept/defaults.toml");
    let mut written = load(path).unwrap();
    let mut least = load(Path::new("tests/config/accept/minimal.toml")).unwrap();
    assert_eq!(written, least);

    let known: BTreeSet<String> = entries().into_iter().map(|entry| entry.key).collect();
    let there = written_entries(path, &known);
    for entry in entries() {
        let literal = entry.default.as_deref().is_some_and(|default| default.starts_with('`'));
        assert!(!literal || there.contains(&entry.key), "defaults.toml lacks {}", entry.key);
    }
    // And the comparison can tell.
    written.process.drain += Duration::from_secs(1);
    assert_ne!(written, least);
    least.process.drain += Duration::from_secs(1);
    assert_eq!(written, least);
}

#[test]
fn everything_means_what_it_says() {
    let config = load(Path::new("tests/config/accept/everything.toml")).unwrap();
    let folder = Path::new("tests/config/accept");
    assert_eq!(config.process.workers.unwrap().get(), 16);
    assert_eq!(config.process.drain, Duration::ZERO);
    assert_eq!(config.admin.socket, folder.join("admin.sock"));
    let resolver = &config.resolver;
    assert_eq!(resolver.servers, ["10.0.0.53:53", "[2001:db8::53]:5353"].map(|it| it.parse().unwrap()));
    assert_eq!(
        (resolver.min_ttl, resolver.hold),
        (Duration::from_millis(100), Duration::from_secs(30 * 24 * 3600))
    );
    assert_eq!(config.packs.cache, Some(folder.join("packs")));
    let [team, local] = config.policies.as_slice() else { panic!("two policies") };
    assert_eq!(team.pattern.as_str(), "registry.example/team/*");
    assert_eq!(
        (team.keys.as_slice(), team.threshold),
        (&["team", "ops"].map(|it| folder.join(format!("keys/{it}.pub")))[..], 1)
    );
    assert!(local.unsigned && local.keys.is_empty() && !team.unsigned);
    assert!(local.pattern.matches(&Source::Path(std::path::absolute("tests/config/packs/canary").unwrap())));

    let shop = &config.virtuals[0];
    assert_eq!(shop.listen, ["[::]:8443".parse().unwrap()]);
    let tls = shop.tls.as_ref().unwrap();
    assert_eq!(tls.certificates[0].certificate, folder.join("tls/shop.pem"));
    assert_eq!(tls.certificates[1].key, Path::new("/etc/shunt/other.key"));
    assert_eq!(tls.certificates[1].names, ["other.example", "*.other.example"]);
    assert_eq!(tls.policy.min_version, Version::Tls13);
    assert_eq!(tls.policy.ciphers, [CipherSuite(0x1301)]);
    assert_eq!(tls.policy.groups, [Group(0x11ec), Group(0x1d)]);
    let clients = tls.clients.as_ref().unwrap();
    assert_eq!((clients.ca.len(), clients.crl.len(), clients.required), (2, 1, false));
    assert_eq!(clients.headers, [CertificateField::Subject, CertificateField::Der]);
    assert_eq!(tls.ticket_keys.as_deref(), Some(&*folder.join("tls/tickets")));
    let web = &config.pools[0];
    let with_members = web.tls.as_ref().unwrap();
    assert_eq!(with_members.server_name, ServerName::OfRequest);
    assert_eq!((with_members.ca.len(), with_members.certificate.is_some()), (1, true));
    assert_eq!(web.members[0].server_name.as_deref(), Some("one.internal"));
    assert_eq!(tls.key_log.as_deref(), Some(&*folder.join("secrets")));
    let persistence = shop.persistence.as_ref().unwrap();
    assert_eq!(persistence.by, PersistBy::Cookie(Cookie::named("__Host-shunt".to_string())));
    assert_eq!(persistence.timeout, Some(Duration::from_secs(365 * 24 * 3600)));
    assert_eq!(shop.timeouts.first_byte, Duration::from_secs(90 * 60));
    assert_eq!((shop.limits.head, shop.limits.body), (8192, Some(10 << 30)));

    let canary = &shop.rules[0];
    assert_eq!(canary.pack, Source::Path(folder.join("../packs/canary")));
    let slots =
        [("canary", "spare"), ("primary", "web")].map(|(slot, pool)| (slot.to_string(), pool.to_string()));
    assert_eq!(canary.slots, slots);
    let lines = ["/old /new", "/other"].map(str::to_string).to_vec();
    let sets = [
        ("deny".to_string(), SetSource::File(folder.join("deny.txt"))),
        ("paths".to_string(), SetSource::Lines(lines)),
    ];
    assert_eq!(canary.sets, sets);
    assert_eq!(canary.keys, [("session".to_string(), folder.join("session.key"))]);
    let settings = r#"{"percent": 5, "share": 0.25, "enabled": true, "paths": ["/a", "/b"], "nested": {"deep": [{"x": -1}]}}"#;
    assert_eq!(canary.settings, serde_json::from_str::<Value>(settings).unwrap());
    assert_eq!(canary.budget.memory, 64 << 10);
    assert_eq!(canary.on_fault, OnFault::Pool("spare".to_string()));

    let web = &config.pools[0];
    assert_eq!(web.members.iter().map(|member| member.weight).collect::<Vec<_>>(), [256, 1]);
    let Probe::Http(Http { path, host, expect, .. }) = &web.monitors[0].probe else {
        panic!("an HTTP probe")
    };
    assert_eq!((path.as_str(), host.as_deref()), ("/health?deep=1", Some("shop.example:8080")));
    assert_eq!(expect, &[200..=200, 204..=204, 300..=399]);
    assert_eq!(config.pools[1].monitors[0].probe, Probe::Tcp(Tcp));
}

#[test]
fn what_follows_from_something_else_follows() {
    let of = |pool: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shunt.toml");
        let listener = "[[virtual]]\nname = 'v'\nlisten = '127.0.0.1:1'\nprotocol = 'http'\npersistence = { cookie = 'C' }\n";
        fs::write(&path, format!("{listener}[[pool]]\nname = 'p'\n{pool}")).unwrap();
        load(&path).unwrap_or_else(|report| panic!("{report}"))
    };
    let member = |weight: u32| format!("{{ address = '10.0.0.1:{weight}', weight = {weight} }}");
    let alike = of("members = [{ address = '10.0.0.1:1' }, { address = '10.0.0.1:2' }]");
    assert_eq!(alike.pools[0].balance, Balance::RoundRobin);
    let unlike = of(&format!("members = [{}, {}]", member(1), member(2)));
    assert_eq!(unlike.pools[0].balance, Balance::WeightedRoundRobin);
    // One that takes no turns makes no difference between the others.
    let leaving = of(&format!("members = [{}, {}]", member(0).replace(":0'", ":7'"), member(1)));
    assert_eq!((leaving.pools[0].balance, leaving.pools[0].members[0].weight), (Balance::RoundRobin, 0));
    // A cookie without a time lives as long as the browser.
    assert_eq!(unlike.virtuals[0].persistence.as_ref().unwrap().timeout, None);
    for (interval, timeout) in [("1s", 1), ("1m", 2)] {
        let config =
            of(&format!("members = [{}]\nmonitor = {{ tcp = true, interval = '{interval}' }}", member(1)));
        assert_eq!(config.pools[0].monitors[0].timeout, Duration::from_secs(timeout));
    }
}

#[test]
fn five_mistakes_are_five_errors() {
    let report = load(Path::new("tests/config/refuse/five-mistakes.toml")).unwrap_err();
    let told: Vec<_> = report
        .problems()
        .into_iter()
        .map(|problem| (problem.line.unwrap(), problem.column.unwrap(), problem.cause, problem.key.unwrap()))
        .collect();
    let expected = [
        (4, 1, Cause::UnknownKey, "virtual.shop.lisen"),
        (6, 8, Cause::Unresolved, "virtual.shop.pool"),
        (7, 21, Cause::WrongType, "virtual.shop.timeouts.idle"),
        (10, 8, Cause::Duplicate, "virtual.shop.name"),
        (16, 24, Cause::BadValue, "pool.web.members[0].address"),
    ];
    assert_eq!(told, expected.map(|(line, column, cause, key)| (line, column, cause, key.to_string())));
    assert_eq!(report.summary("nothing was changed"), "5 errors; nothing was changed");
}

#[test]
fn programs_get_both_places_of_a_duplicate() {
    let report = load(Path::new("tests/config/refuse/folder")).unwrap_err();
    let problems = serde_json::to_value(report.problems()).unwrap();
    let listen =
        problems.as_array().unwrap().iter().find(|problem| problem["entry"] == "virtual.listen").unwrap();
    assert_eq!(listen["file"], "tests/config/refuse/folder/20-more.toml");
    assert_eq!((&listen["line"], &listen["column"]), (&6.into(), &10.into()));
    assert_eq!(listen["cause"], "duplicate");
    assert_eq!(listen["also"][0]["file"], "tests/config/refuse/folder/10-base.toml");
    assert_eq!(listen["also"][0]["line"], 6);
}

#[test]
fn colours_only_for_those_who_ask() {
    let report = load(Path::new("tests/config/refuse/terminal.toml")).unwrap_err();
    assert!(report.render(true).contains("\u{1b}["));
    let plain = report.render(false);
    assert!(!plain.contains(|letter: char| letter.is_control() && letter != '\n'), "{plain:?}");
    assert_eq!(report.to_string(), plain.trim_end());
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let told = |path: &Path| {
        let problems = load(path).unwrap_err().problems();
        assert_eq!((problems.len(), problems[0].cause), (1, Cause::Unreadable));
        format!("{} ({})", problems[0].message, problems[0].help.as_deref().unwrap_or_default())
    };
    assert!(
        told(folder.path())
            .ends_with("has no `*.toml` (put at least one configuration file into it, or name a file)")
    );
    fs::write(folder.path().join("shunt.toml"), "").unwrap();
    assert!(told(&folder.path().join("shnut.toml")).ends_with("(did you mean `shunt.toml`?)"));
    assert!(told(&folder.path().join("absent/shunt.toml")).contains("there is no `"));
    fs::create_dir(folder.path().join("a.toml")).unwrap();
    assert!(told(folder.path()).contains("Shunt cannot read `"));
}

#[test]
fn files_that_it_names_are_checked_apart() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy("tests/config/accept/design.toml", folder.path().join("shunt.toml")).unwrap();
    fs::create_dir(folder.path().join("canary")).unwrap();
    fs::create_dir(folder.path().join("shop.pem")).unwrap();
    let document = Document::read(&folder.path().join("shunt.toml")).unwrap();
    let told: Vec<_> = document
        .verify_files()
        .unwrap_err()
        .problems()
        .into_iter()
        .map(|problem| (problem.key.unwrap(), problem.cause))
        .collect();
    let key = |name: &str| format!("virtual.shop.tls.{name}");
    assert_eq!(told, [(key("certificate"), Cause::Refused), (key("key"), Cause::Unreadable)]);

    fs::remove_dir(folder.path().join("shop.pem")).unwrap();
    fs::write(folder.path().join("shop.pem"), "").unwrap();
    fs::write(folder.path().join("shop.key"), "").unwrap();
    document.verify_files().unwrap();
}

#[test]
fn a_tilde_is_not_expanded() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string("tests/config/accept/design.toml").unwrap();
    fs::write(folder.path().join("shunt.toml"), text.replace("\"shop.pem\"", "\"~/shop.pem\"")).unwrap();
    let document = Document::read(&folder.path().join("shunt.toml")).unwrap();
    let problems = document.verify_files().unwrap_err().problems();
    let certificate = problems.iter().find(|it| it.message.contains("~/shop.pem")).unwrap();
    assert_eq!(certificate.help.as_deref(), Some("`~` is not expanded: write the path of the folder"));
}

#[test]
fn what_is_found_out_later_stands_at_its_key() {
    let document = Document::read(Path::new("tests/config/accept/design.toml")).unwrap();
    let remark = |key: &[&str], message: &str| Remark {
        key: key.iter().map(|name| name.to_string()).collect(),
        message: message.to_string(),
        help: None,
    };
    let rule = ["virtual", "shop", "rule", "canary"];
    let report = document.refuse([
        remark(&[&rule[..], &["settings", "percent"]].concat(), "`percent` is not within 0 to 4"),
        // Not written: it stands at its table.
        remark(&[&rule[..], &["isolation"]].concat(), "this rule needs `flow`"),
        remark(&["nowhere"], "lost"),
    ]);
    let source = fs::read_to_string("tests/config/accept/design.toml").unwrap();
    let line = |text: &str| source.lines().position(|line| line.contains(text)).map(|line| line + 1);
    let told: Vec<_> =
        report.problems().into_iter().map(|problem| (problem.line, problem.key, problem.entry)).collect();
    let told_at =
        |line, key: &str, entry: Option<&str>| (line, Some(key.to_string()), entry.map(String::from));
    let expected = [
        told_at(None, "nowhere", None),
        told_at(line("[[virtual.rule]]"), "virtual.shop.rule.canary.isolation", Some("virtual.rule")),
        told_at(
            line("percent = 5"),
            "virtual.shop.rule.canary.settings.percent",
            Some("virtual.rule.settings"),
        ),
    ];
    assert_eq!(told, expected);
    assert!(report.problems().iter().all(|problem| problem.cause == Cause::Refused));
}

#[test]
fn the_schema_and_the_reference_have_every_key() {
    fn collect(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        if let Some(properties) = schema["properties"].as_object() {
            for (name, schema) in properties {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                assert!(schema["description"].as_str().is_some_and(|doc| doc.ends_with('.')), "{path}");
                collect(schema, &path, found);
                found.insert(path);
            }
            assert_eq!(schema["additionalProperties"], false, "{path}");
        }
        collect_inner(schema, path, found);
    }
    fn collect_inner(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        if schema["items"].is_object() {
            collect(&schema["items"], path, found);
        }
        for choice in schema["anyOf"].as_array().into_iter().flatten() {
            collect(choice, path, found);
        }
    }
    let mut found = BTreeSet::new();
    collect(&schema(), "", &mut found);
    let known: BTreeSet<String> = entries().into_iter().map(|entry| entry.key).collect();
    assert_eq!(found, known);

    let reference = reference_markdown();
    for entry in entries() {
        assert!(reference.contains(&format!("| `{}` | {} |", entry.name(), entry.takes)), "{}", entry.key);
        assert!(reference.contains(entry.doc), "{}", entry.key);
    }
}
