//! Packs that go and come.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use shunt_lab::needs;
use shunt_tests::registry::{Registry, Setup};
use shunt_tests::root::FullFileSystem;

use super::Team;

#[test]
fn a_pack_comes_as_it_went() {
    let Some(registry) = Registry::start() else { return };
    let team = Team::new();
    let (at, digest) = (format!("{}/team/headers", registry.name()), team.digest());
    let pushed = team.plain(&registry, &["push", team.file(), &at, "-o", "json"]).json();
    let pinned = format!("{at}:1.0.0@{digest}");
    assert_eq!((&pushed["reference"], &pushed["signatures"]), (&json!(pinned), &json!(1)));
    let again = team.plain(&registry, &["push", team.file(), &at, "-o", "json"]).json();
    assert_eq!((&again["reference"], &again["sent"]), (&json!(pinned), &json!(0)));

    for reference in [format!("{at}:1.0.0"), format!("{at}@{digest}"), pinned] {
        let pulled = team.plain(&registry, &["pull", &reference, "-o", "json"]).json();
        assert_eq!(pulled["file"], "headers-1.0.0.pack.tar");
        let file = team.path().join("headers-1.0.0.pack.tar");
        assert!(std::fs::read(&file).unwrap() == std::fs::read(&team.file).unwrap(), "{reference}");
        std::fs::remove_file(file).unwrap();
    }
    let listed = team.plain(&registry, &["list", &at, "-o", "json"]).json();
    let row = json!({ "tag": "1.0.0", "version": "1.0.0", "digest": digest });
    assert_eq!(listed, json!({ "repository": at, "tags": [row], "more": [] }));
    assert_eq!(team.plain(&registry, &["list", &at]).good(), format!("1.0.0  {digest}\n"));
    // The digest of the component is not that of the pack.
    let shown = team.pack(&["inspect", team.file(), "-o", "json"]).json();
    for component in ["manifest", "digest"] {
        let wrong = format!("{at}@{}", shown["component"][component].as_str().unwrap());
        let text = team.plain(&registry, &["pull", &wrong]).refused(1);
        assert!(
            text.contains("this is the digest of a component") && text.contains(&format!("use @{digest}")),
            "{text}"
        );
    }
    // A range is for a lock.
    let text = team.plain(&registry, &["pull", &format!("{at}:1")]).refused(1);
    assert!(text.contains("name a version: 1.0.0 is the highest within it"), "{text}");
    // Nothing but another pack file of the same pack is replaced.
    let reference = format!("{at}:1.0.0");
    let other = team.folder.write("notes.txt", "mine");
    let pull = |file: &str| team.plain(&registry, &["pull", &reference, "--file", file]);
    pull("copy.tar").good();
    pull("copy.tar").good();
    let text = pull("notes.txt").refused(1);
    assert!(text.contains("notes.txt is there, and is something that is no pack file"), "{text}");
    assert_eq!(std::fs::read_to_string(other).unwrap(), "mine");
    // The other commands take it where they take a file.
    let shown = team.plain(&registry, &["inspect", &reference, "--key", "team.pub", "-o", "json"]).json();
    assert_eq!((&shown["digest"], &shown["signatures"][0]["validity"]), (&json!(digest), &json!("valid")));
    team.plain(&registry, &["verify", &reference, "--key", "team.pub"]).good();
    assert_eq!(team.plain(&registry, &["diff", &reference, team.file()]).good(), "");
    // No bar and no other word is there for who reads no terminal.
    let quiet = team.plain(&registry, &["pull", &reference]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_registry_that_is_away_or_takes_nothing_says_so() {
    let Some(mut registry) = Registry::start() else { return };
    let team = Team::new();
    let at = format!("{}/team/headers", registry.name());
    team.plain(&registry, &["push", team.file(), &at]).good();
    let reference = format!("{at}:1.0.0");
    let text = team.plain(&registry, &["pull", &format!("{at}:2.0.0")]).refused(1);
    assert!(text.contains("manifest 2.0.0 of team/headers: there is none; there are 1.0.0"), "{text}");
    let text = team.pack(&["pull", &reference]).refused(1);
    assert!(text.contains("does not speak TLS"), "{text}");
    let text = team.plain(&registry, &["inspect", &at]).refused(1);
    assert!(text.contains("names no version; add a tag"), "{text}");

    registry.restart(Setup { read_only: true, ..Setup::default() });
    team.plain(&registry, &["pull", &reference]).good();
    let text = team.plain(&registry, &["push", team.file(), &format!("{at}-2")]).refused(1);
    assert!(
        text.contains("the registry does not do this (405 Method Not Allowed); it may be read-only"),
        "{text}"
    );
    registry.stop();
    let text = team.plain(&registry, &["pull", &reference]).refused(1);
    assert!(text.contains("cannot connect to") && text.contains("that it runs"), "{text}");
}

/// Ten thousand tags are named, and the highest are looked at.
#[test]
fn ten_thousand_tags_are_listed() {
    let Some(registry) = Registry::start() else { return };
    let team = Team::new();
    let at = format!("{}/team/headers", registry.name());
    team.plain(&registry, &["push", team.file(), &at]).good();
    let link = std::fs::read(registry.tag("team/headers", "1.0.0")).unwrap();
    for number in 0..10_000 {
        let path = registry.tag("team/headers", &format!("0.1.{number}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &link).unwrap();
    }
    let listed = team.plain(&registry, &["list", &at, "-o", "json"]).json();
    let (tags, more) = (listed["tags"].as_array().unwrap(), listed["more"].as_array().unwrap());
    assert_eq!((tags.len(), more.len()), (50, 9_951));
    assert_eq!((&tags[0]["tag"], &tags[1]["tag"]), (&json!("1.0.0"), &json!("0.1.9999")));
}

/// Sits before the registry, and breaks the first connections that were sent so many bytes.
fn breaks_after(registry: SocketAddr, bytes: usize, times: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let left = Arc::new(AtomicUsize::new(times));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(registry).unwrap();
            let (mut up, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut up, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let (mut from, mut client, left) = (server, client, left.clone());
            std::thread::spawn(move || {
                let (mut buffer, mut sent) = (vec![0; 16 << 10], 0);
                while let Ok(size @ 1..) = from.read(&mut buffer) {
                    sent += size;
                    if client.write_all(&buffer[..size]).is_err() {
                        return;
                    }
                    let break_it = |left: usize| left.checked_sub(1);
                    if sent > bytes
                        && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, break_it).is_ok()
                    {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
                let _ = from.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

#[test]
fn a_pull_that_breaks_goes_on() {
    let Some(registry) = Registry::start() else { return };
    let team = Team::with_a_large_pack();
    team.plain(&registry, &["push", team.file(), &format!("{}/team/large", registry.name())]).good();
    // In one run, and over several: a connection that breaks each time, more often than a run tries.
    for (times, runs) in [(2, 1), (7, 2)] {
        let between = breaks_after(registry.address, 512 << 10, times).to_string();
        let reference = format!("{between}/team/large:0.1.0");
        let pull = ["pull", &reference, "--insecure-registry", &between, "--file", "out.tar"];
        for run in 1..=runs {
            let ended = team.pack(&pull);
            if run < runs {
                assert!(ended.refused(1).contains("broke"));
                assert!(!team.left().is_empty() && !team.path().join("out.tar").exists());
            } else {
                ended.good();
            }
        }
        let out = team.path().join("out.tar");
        assert!(std::fs::read(&out).unwrap() == std::fs::read(&team.file).unwrap());
        std::fs::remove_file(out).unwrap();
        assert_eq!(team.left(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_disk_that_is_full_is_told_and_nothing_is_left() {
    let Some(registry) = Registry::start() else { return };
    if !needs::root("to mount a file system that is full") {
        return;
    }
    let team = Team::new();
    let at = format!("{}/team/headers", registry.name());
    team.plain(&registry, &["push", team.file(), &at]).good();
    let full = FullFileSystem::mount(&team.path().join("full"));
    let out = full.path().join("out.tar");
    let before = std::fs::read_dir(full.path()).unwrap().count();
    let text =
        team.plain(&registry, &["pull", &format!("{at}:1.0.0"), "--file", out.to_str().unwrap()]).refused(1);
    assert!(text.contains("cannot write") && text.contains("No space left"), "{text}");
    assert_eq!(std::fs::read_dir(full.path()).unwrap().count(), before);
}
