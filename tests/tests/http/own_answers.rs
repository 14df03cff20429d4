//! What clients get where Shunt answers in a member's place.

use serde_json::Value;
use shunt_tests::address;
use shunt_tests::daemon::{Daemon, Folder, until};
use shunt_tests::origin::Origin;
use shunt_tests::program;
use shunt_tests::raw::{Client, Message};
use shunt_tests::site::{self, Site};

const JSON: &str = "Accept: application/json, text/plain, */*\r\n";

fn get(client: &mut Client, fields: &str) -> Message {
    client.ask(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

/// A virtual `web` without a member that is up, whose files are in its folder.
fn site_of_pages(pages: &str, files: &[(&str, &[u8])], pool: &str) -> Result<Site, String> {
    let (folder, listen) = (Folder::new(), address::free());
    for (name, content) in files {
        folder.write(name, content);
    }
    folder.configure(&site::config(listen, pages, pool));
    let checked = program::ended(program::command().arg("check").arg(folder.config()));
    if checked.code != Some(0) {
        return Err(checked.stderr);
    }
    Ok(Site { daemon: Daemon::start_in(folder), address: listen })
}

#[test]
fn a_client_that_prefers_json_gets_it() {
    let site = Site::members("", &[address::free()]);
    let mut client = site.client();
    let text = get(&mut client, "");
    assert_eq!((text.status(), text.text().as_str()), (502, "no member accepted a connection\n"));
    assert_eq!(text.get("content-type"), Some("text/plain; charset=utf-8"));
    let json = get(&mut client, JSON);
    assert_eq!((json.status(), json.get("content-type")), (502, Some("application/json")));
    let details: Value = serde_json::from_str(&json.text()).unwrap();
    assert_eq!((&details["status"], &details["title"]), (&502.into(), &"Bad Gateway".into()));
    assert_eq!(details["detail"], "no member accepted a connection");
    let problem = get(&mut client, "Accept: application/problem+json\r\n");
    assert_eq!(problem.get("content-type"), Some("application/problem+json"));
    // To HEAD it says the same of itself.
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.answer_head();
    assert_eq!(head.get("content-length"), Some("32"));
}

#[test]
fn pages_of_the_operator_by_status() {
    let pages = "pages = { 400 = \"400.txt\", 405 = \"405.html\", 502 = \"502.json\" }";
    let files = [
        ("400.txt", "what?".as_bytes()),
        ("405.html", b"<h1>not so</h1>"),
        ("502.json", b"{\"error\":\"gone\"}"),
    ];
    let pool = site::pool("web", "", &[address::free()]);
    let site = site_of_pages(pages, &files, &pool).unwrap();
    let refused = site.client().ask("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
    assert_eq!((refused.status(), refused.text().as_str()), (405, "<h1>not so</h1>"));
    assert_eq!(refused.get("content-type"), Some("text/html; charset=utf-8"));
    assert!(refused.get("allow").is_some() && refused.get("connection") == Some("close"));
    let mut client = site.client();
    for fields in ["", JSON] {
        let gone = get(&mut client, fields);
        assert_eq!((gone.status(), gone.text().as_str()), (502, "{\"error\":\"gone\"}"), "{fields}");
        assert_eq!(gone.get("content-type"), Some("application/json"));
    }
    // What is no request, too.
    let refused = site.client().ask("what is this\r\n\r\n");
    assert_eq!((refused.status(), refused.text().as_str()), (400, "what?"));
    assert_eq!(refused.get("connection"), Some("close"));
    // A member's own answers are the member's.
    let origin = Origin::answering("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nown");
    let config = site::config(site.address, pages, &site::pool("web", "", &[origin.address()]));
    site.daemon.reload(&config);
    assert_eq!(get(&mut client, "").text(), "own");
}

#[test]
fn a_pool_without_a_member_that_is_up_says_when_to_come_back() {
    let monitor = "monitor = { tcp = true, interval = \"1500ms\", timeout = \"1s\", rise = 2, fall = 1 }";
    let pool = site::pool("web", monitor, &[address::free()]);
    let files = [("sorry.html", "<p>Back soon".as_bytes()), ("503.txt", b"busy")];
    let site = site_of_pages("pages = { sorry = \"sorry.html\", 503 = \"503.txt\" }", &files, &pool).unwrap();
    until("the member is down", || site.daemon.status()["pools"][0]["members"][0]["health"] == "down");
    let mut client = site.client();
    let sorry = get(&mut client, "Accept: text/html,*/*;q=0.8\r\n");
    assert_eq!((sorry.status(), sorry.text().as_str()), (503, "<p>Back soon"));
    // Two successful probes.
    assert_eq!(sorry.get("retry-after"), Some("3"));
    let json = get(&mut client, JSON);
    let details: Value = serde_json::from_str(&json.text()).unwrap();
    assert_eq!((json.status(), &details["detail"]), (503, &"pool web has no member that is up".into()));

    // What the operator took out does not come back by itself.
    site.daemon.shunt(&["member", "disable", "web", &site_member(&site)]).good();
    assert_eq!(get(&mut client, "").get("retry-after"), None);
}

fn site_member(site: &Site) -> String {
    let status = site.daemon.status();
    status["pools"][0]["members"][0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn files_that_are_no_pages_are_refused_before_anything_changes() {
    let pool = site::pool("web", "", &[address::free()]);
    let large = vec![b'x'; (64 << 10) + 1];
    for (file, content, says) in [
        ("large.html", &large[..], "the page is larger than 64 KiB"),
        ("latin.txt", b"caf\xe9", "the page is not UTF-8 text"),
        ("page.php", b"x", "rename the file"),
    ] {
        let refused = site_of_pages(&format!("pages = {{ 502 = \"{file}\" }}"), &[(file, content)], &pool);
        let told = refused.err().unwrap_or_else(|| panic!("{file} is taken"));
        assert!(told.contains(says) && told.contains("pages"), "{told}");
    }
    let missing = site_of_pages("pages = { 502 = \"none.html\" }", &[], &pool).err().unwrap();
    assert!(missing.contains("none.html"), "{missing}");

    let files = [("502.html", "first".as_bytes())];
    let site = site_of_pages("pages = { 502 = \"502.html\" }", &files, &pool).unwrap();
    let mut client = site.client();
    assert_eq!(get(&mut client, "").text(), "first");
    site.daemon.folder().write("502.html", &large);
    let refused = site.daemon.shunt(&["reload"]).refused(1);
    assert!(refused.contains("larger than 64 KiB"), "{refused}");
    assert_eq!(get(&mut client, "").text(), "first", "nothing changed");
    site.daemon.folder().write("502.html", "second");
    site.daemon.shunt(&["reload"]).good();
    assert_eq!(get(&mut client, "").text(), "second");
}

/// RFC 9110 section 9.3.2, whether Shunt could read the request or not.
#[test]
fn the_answer_to_a_head_request_that_is_refused_has_no_body() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    for (refused, rest) in [
        ("HTTP/1.1\r\nHost: h\r\nContent-Length: x", "\r\n\r\n"),
        ("HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", "\r\n\r\n"),
        ("HTTP/1.1\r\nX: y", "\r\n\r\n"),
        ("HTTP/3.0", "\r\n\r\n"),
        // It never ends.
        ("HTTP/1.1\r\nHost: h\r\nno colon", "\r\nX: y\r\n"),
    ] {
        for method in ["HEAD", "GET"] {
            let mut client = site.client();
            client.send(format!("{method} / {refused}{rest}"));
            let head = client.answer_head();
            assert_eq!(head.status(), 400, "{method} {refused:?}");
            let length: usize = head.get("content-length").unwrap().parse().unwrap();
            let body = client.try_rest().unwrap();
            assert_eq!(body.len(), if method == "HEAD" { 0 } else { length }, "{method} {refused:?}");
        }
    }
    // A head that is malformed from its second read on.
    let mut client = site.client();
    for byte in b"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\nX" {
        client.send([*byte]);
    }
    assert_eq!(client.answer().status(), 400);
    assert_eq!(site.client().ask("GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n").status(), 400);
    assert_eq!(origin.count(), 0);
}
