//! What is pulled, and what is not.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use shunt_rules::Digest;
use shunt_rules::artefact::{Artefact, Reference, oci};

use super::fake::{Asked, End, Fake, Reply, Store};
use super::{asset, at, client, pack, signed};
use crate::{Cache, Client, Settings, Tag};

/// A registry that has the pack, with a trick that knows it.
async fn with(
    artefact: &Artefact,
    trick: impl Fn(&Asked, &mut Store) -> Option<Reply> + Send + Sync + 'static,
) -> Fake {
    let ready = Arc::new(AtomicUsize::new(0));
    let begun = ready.clone();
    let fake = Fake::with(
        move |asked, store| if begun.load(Ordering::Relaxed) > 0 { trick(asked, store) } else { None },
    )
    .await;
    client(&fake).push(artefact, &at(&fake, ""), Tag::Keep, &()).await.unwrap();
    ready.store(1, Ordering::Relaxed);
    fake.edit(|store| store.seen.clear());
    fake
}

async fn pulled(fake: &Fake, rest: &str) -> Result<Artefact, String> {
    client(fake).pull(&at(fake, rest), None, &()).await.map_err(|error| error.to_string())
}

#[track_caller]
fn says(result: Result<Artefact, String>, text: &str) {
    let error = result.unwrap_err();
    assert!(error.contains(text), "{text:?} is not in {error:?}");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A folder for a cache, which others cannot use.
fn folder() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    (folder, cache)
}

#[tokio::test]
async fn a_pack_comes_as_it_was_sent() {
    let good = signed(signed(pack("1.2.0", 100)));
    for subjects in [false, true] {
        let fake = Fake::start().await;
        fake.edit(|store| store.subjects = subjects);
        client(&fake).push(&good, &at(&fake, ""), Tag::Keep, &()).await.unwrap();
        let by_digest = format!(":other@sha256:{}", good.digest());
        for rest in [":1.2.0", &by_digest] {
            assert_eq!(pulled(&fake, rest).await.unwrap().to_bytes(), good.to_bytes(), "{rest}");
        }
        assert_eq!(fake.count("manifests/other"), 0, "beside a digest a tag says nothing");
        // Those of cosign have their place by its tag everywhere.
        let lists = fake.edit(|store| {
            let of_tags = store.seen.iter().filter(|it| it.starts_with("GET /v2/team/t/manifests/sha256-"));
            of_tags.filter(|it| !it.ends_with(".sig")).count()
        });
        assert_eq!(lists == 0, subjects, "lists that clients keep are for registries that keep none");
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_goes_on_where_it_was() {
    let good = pack("1.0.0", 1 << 20);
    let blob = format!("blobs/sha256:{}", asset(&good));
    let (cut, name) = (Arc::new(AtomicUsize::new(0)), blob.clone());
    let cuts = cut.clone();
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = ranges.clone();
    let fake = with(&good, move |asked, store| {
        if !asked.target.contains(&name) {
            return None;
        }
        seen.lock().unwrap().push(asked.header("range").to_owned());
        let mut reply = store.answer(asked, Vec::new());
        let length = reply.body.len();
        match cut.load(Ordering::Relaxed) {
            0 => None,
            // Half of what is left, then nothing at all.
            1 => {
                reply.body.truncate(length / 2);
                Some(reply.header("content-length", length.to_string()).end(End::Cut))
            }
            _ => Some(Reply::new(503, "")),
        }
    })
    .await;

    // In one go, with all the tries that there are.
    cuts.store(1, Ordering::Relaxed);
    says(pulled(&fake, ":1.0.0").await, "broke");
    assert_eq!(
        *ranges.lock().unwrap(),
        ["", "bytes=524288-", "bytes=786432-", "bytes=917504-", "bytes=983040-"]
    );
    ranges.lock().unwrap().clear();

    // Over the end of the process: what came is in the cache, and goes when it is whole.
    let (folder, cache) = folder();
    let pull = async || client(&fake).pull(&at(&fake, ":1.0.0"), Some(&cache), &()).await;
    pull().await.unwrap_err();
    let left = files(folder.path());
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].metadata().unwrap().len(), (1 << 20) - (1 << 15));
    cuts.store(0, Ordering::Relaxed);
    ranges.lock().unwrap().clear();
    assert_eq!(pull().await.unwrap().to_bytes(), good.to_bytes());
    assert_eq!(*ranges.lock().unwrap(), ["bytes=1015808-"]);
    assert_eq!(files(folder.path()), Vec::<std::path::PathBuf>::new());

    // What was kept and is damaged is got anew.
    cuts.store(1, Ordering::Relaxed);
    pull().await.unwrap_err();
    let left = files(folder.path()).remove(0);
    std::fs::write(&left, [7; 1000]).unwrap();
    cuts.store(0, Ordering::Relaxed);
    assert_eq!(pull().await.unwrap().to_bytes(), good.to_bytes());
    assert_eq!(files(folder.path()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn a_pack_in_the_cache_is_not_got_again() {
    let good = pack("1.0.0", 1000);
    let fake = with(&good, |_, _| None).await;
    let (folder, cache) = folder();
    assert!(cache.get(good.digest()).unwrap().is_none());
    let file = cache.put(&good).unwrap();
    let again = client(&fake).pull(&at(&fake, ":1.0.0"), Some(&cache), &()).await.unwrap();
    assert_eq!((again.to_bytes(), fake.count("/blobs/")), (good.to_bytes(), 0));
    // Damaged, it is not there, and neither is its file.
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[2000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(cache.get(good.digest()).unwrap().is_none());
    assert_eq!(files(folder.path()), Vec::<std::path::PathBuf>::new());
    // One that says that it is another is not that other.
    let other = pack("2.0.0", 10);
    std::fs::write(&file, other.to_bytes()).unwrap();
    assert!(cache.get(good.digest()).unwrap().is_none());
}

#[tokio::test]
async fn every_changed_byte_is_found_and_nothing_is_left() {
    let good = signed(pack("1.0.0", 300_000));
    let fake = with(&good, |_, _| None).await;
    let names: Vec<(bool, String)> = fake.edit(|store| {
        let blobs = store.blobs.keys().map(|name| (true, name.clone()));
        let manifests = store.manifests.keys().filter(|it| it.starts_with("sha256:"));
        blobs.chain(manifests.map(|name| (false, name.clone()))).collect()
    });
    let (folder, cache) = folder();
    for (is_blob, name) in names {
        let flip = |store: &mut Store| {
            let kept = if is_blob { &mut store.blobs } else { &mut store.manifests };
            if let Some(byte) = kept.get_mut(&name).unwrap().first_mut() {
                *byte ^= 1;
            }
        };
        fake.edit(flip);
        let pinned = at(&fake, &format!("@sha256:{}", good.digest()));
        let result = client(&fake).pull(&pinned, Some(&cache), &()).await;
        // The empty configuration is known, and lists of referrers by tag are not pinned: what they name is.
        let known = name.ends_with(&Digest::of(b"{}").to_string());
        let is_list = !is_blob
            && fake.edit(|store| !String::from_utf8_lossy(&store.manifests[&name]).contains("layers"));
        match result {
            Ok(_) => assert!(known || is_list, "{name} was changed"),
            Err(error) => {
                assert!(error.to_string().contains("what it stores was changed"), "{name}: {error}");
            }
        }
        assert_eq!(files(folder.path()), Vec::<std::path::PathBuf>::new(), "{name}");
        fake.edit(flip);
    }
    assert!(pulled(&fake, ":1.0.0").await.is_ok());
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_not_waited_for() {
    let good = pack("1.0.0", 100);
    let fake = with(&good, |asked, store| {
        asked.target.contains("/manifests/1.0.0").then(|| store.answer(asked, Vec::new()).end(End::Silence))
    })
    .await;
    says(pulled(&fake, ":1.0.0").await, "said nothing for 0.3 s");
    // One that accepts and never answers, not even TLS.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = silent.local_addr().unwrap().to_string();
    for insecure in [vec![name.clone()], Vec::new()] {
        let settings = Settings {
            insecure,
            docker_config: None,
            patience: std::time::Duration::from_millis(200),
            ..Settings::default()
        };
        let reference = format!("{name}/team/t:1.0.0").parse().unwrap();
        let error = Client::new(&settings).unwrap().pull(&reference, None, &()).await.unwrap_err();
        assert!(error.to_string().contains("said nothing for 0.2 s"), "{error}");
    }
}

/// For as long as it may be silent, and not for as long as all that it may send would take.
#[tokio::test]
async fn a_registry_that_sends_a_byte_now_and_then_is_given_up() {
    let good = pack("1.0.0", 100);
    let fake = with(&good, |asked, store| {
        let slow = asked.target.contains("/manifests/1.0.0");
        slow.then(|| store.answer(asked, Vec::new()).end(End::Trickle))
    })
    .await;
    says(pulled(&fake, ":1.0.0").await, "sends less than 4 KiB/s");
}

#[tokio::test]
async fn a_registry_that_sends_too_much_is_not_read_to_the_end() {
    let good = pack("1.0.0", 100);
    let blob = format!("blobs/sha256:{}", asset(&good));
    for (what, length) in
        [("/manifests/1.0.0", false), ("/manifests/1.0.0", true), (blob.leak(), false), ("/tags/list", true)]
    {
        let fake = with(&good, move |asked, _| {
            let reply = Reply::new(200, vec![b' '; 5 << 20]).end(End::Silence);
            let reply = if length { reply.header("content-length", (5 << 20).to_string()) } else { reply };
            asked.target.contains(what).then_some(reply)
        })
        .await;
        let reference = if what == "/tags/list" { ":none" } else { ":1.0.0" };
        says(pulled(&fake, reference).await, "sends more than the");
    }
}

#[tokio::test]
async fn what_is_no_pack_is_named() {
    let (good, other) = (pack("1.0.0", 100), pack("2.0.0", 100));
    let fake = with(&good, |_, _| None).await;
    client(&fake).push(&other, &at(&fake, ""), Tag::Keep, &()).await.unwrap();
    let image = json!({ "schemaVersion": 2, "mediaType": oci::MANIFEST, "layers": [],
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": format!("sha256:{}", Digest::of(b"{}")) } });
    fake.edit(|store| store.manifests.insert("image".to_owned(), image.to_string().into_bytes()));
    says(pulled(&fake, ":image").await, "it is \"application/vnd.oci.image.config.v1+json\" and no pack");
    says(pulled(&fake, ":3.0.0").await, "there are 2.0.0, 1.0.0, image");
    says(pulled(&fake, &format!("@sha256:{}", Digest::of(b"x"))).await, "the registry does not have it");
    says(pulled(&fake, "").await, "names no version; add a tag");
    let of_component = format!("@sha256:{}", good.component_digest());
    says(pulled(&fake, &of_component).await, &format!("use @sha256:{}", good.digest()));
    // What a pack consists of.
    let of_code = format!("@sha256:{}", good.pack().digest());
    says(pulled(&fake, &of_code).await, &format!("use @sha256:{}", good.digest()));
    let name = fake.name();
    says(
        pulled(&fake, &format!("@sha256:{}", asset(&good))).await,
        &format!(
            "of a part of a pack, and not of a pack; use one that `shunt pack list {name}/team/t` shows"
        ),
    );
    // A range is for a lock, and no tag is asked for.
    says(pulled(&fake, ":1").await, "alone resolves; name a version: 1.0.0 is the highest within it");
    says(pulled(&fake, ":1.1").await, "name a version: there is none within 1.1");
    assert_eq!(fake.count("GET /v2/team/t/manifests/1 "), 0);
    // A component that another tool pushed, and one of two packs.
    let list = format!("sha256-{}", good.component_digest());
    let two = fake.edit(|store| store.manifests[&list].clone());
    fake.edit(|store| store.manifests.remove(&list));
    says(pulled(&fake, ":1.0.0").await, "a component without a pack");
    let two = String::from_utf8(two).unwrap();
    let second = format!("{{\"digest\":\"sha256:{}\",\"artifactType\":\"{}\"}}", other.digest(), oci::PACK);
    let two = two.replace("\"manifests\":[", &format!("\"manifests\":[{second},"));
    fake.edit(|store| store.manifests.insert(list.clone(), two.into_bytes()));
    says(pulled(&fake, ":1.0.0").await, "belongs to more than one pack: use one of @sha256:");
    // The list names the pack of another component: parts of two packs.
    let swapped = format!("{{\"schemaVersion\":2,\"manifests\":[{second}]}}");
    fake.edit(|store| store.manifests.insert(list, swapped.into_bytes()));
    says(pulled(&fake, ":1.0.0").await, "parts of two packs were mixed");
}

#[tokio::test]
async fn a_login_goes_to_the_registry_alone() {
    let good = pack("1.0.0", 100);
    let elsewhere = Fake::start().await;
    let token = Fake::with(|asked, _| {
        assert_eq!(asked.target, "/token?service=r&scope=repository%3Ateam%2Ft%3Apull");
        // `team:word`
        let good = asked.header("authorization") == "Basic dGVhbTp3b3Jk";
        Some(if good {
            Reply::new(200, r#"{"token":"open"}"#)
        } else {
            Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"wrong"}]}"#)
        })
    })
    .await;
    let (other, realm) = (elsewhere.name(), token.name());
    let fake = with(&good, move |asked, _| {
        if asked.header("authorization") != "Bearer open" {
            let scope = "repository:team/t:pull";
            let challenge = format!("Bearer realm=\"http://{realm}/token\",service=\"r\",scope=\"{scope}\"");
            return Some(Reply::new(401, "").header("www-authenticate", challenge));
        }
        let (_, blob) = asked.target.split_once("/blobs/")?;
        Some(Reply::new(307, "").header("location", format!("http://{other}/v2/team/t/blobs/{blob}")))
    })
    .await;
    elsewhere.edit(|store| store.blobs = fake.edit(|from| std::mem::take(&mut from.blobs)));
    let folder = tempfile::tempdir().unwrap();
    let ask = async |auth: Option<&str>| {
        if let Some(auth) = auth {
            let config = json!({ "auths": { fake.name(): { "auth": auth } } });
            std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        }
        let insecure = vec![fake.name(), token.name(), elsewhere.name()];
        let settings =
            Settings { insecure, docker_config: Some(folder.path().to_owned()), ..Settings::default() };
        let pulled = Client::new(&settings).unwrap().pull(&at(&fake, ":1.0.0"), None, &()).await;
        pulled.map_err(|error| error.to_string())
    };
    says(
        ask(None).await,
        &format!("a login is needed (UNAUTHORIZED: wrong); run `docker login {}`", fake.name()),
    );
    // `team:wrong`
    says(ask(Some("dGVhbTp3cm9uZw==")).await, "the login of team is refused (UNAUTHORIZED: wrong)");
    assert_eq!(ask(Some("dGVhbTp3b3Jk")).await.unwrap().to_bytes(), good.to_bytes());
    // Where the blobs are, and to where without TLS none goes that was not named.
    assert!(elsewhere.count("GET /v2/team/t/blobs/") > 0);
    let settings = Settings {
        insecure: vec![fake.name(), token.name()],
        docker_config: Some(folder.path().to_owned()),
        ..Settings::default()
    };
    let error = Client::new(&settings).unwrap().pull(&at(&fake, ":1.0.0"), None, &()).await.unwrap_err();
    assert!(error.to_string().contains("is without TLS, and is not one of those"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_reached_says_why() {
    let fake = Fake::start().await;
    let asked = async |insecure: Vec<String>, name: &str| {
        let settings = Settings { insecure, docker_config: None, ..Settings::default() };
        let reference = format!("{name}/team/t:1.0.0").parse().unwrap();
        let result = Client::new(&settings).unwrap().pull(&reference, None, &()).await;
        result.map_err(|error| error.to_string())
    };
    let name = fake.name();
    says(
        asked(Vec::new(), &name).await,
        &format!("does not speak TLS; where that is meant, allow it with `--insecure-registry {name}`"),
    );
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    says(asked(vec![closed.clone()], &closed).await, "cannot connect to");
    let around =
        Fake::with(|asked, _| Some(Reply::new(302, "").header("location", asked.target.clone()))).await;
    says(asked(vec![around.name()], &around.name()).await, "sends us from one address to the next");
    let many = Fake::with(|_, _| Some(Reply::new(429, "").header("retry-after", "7"))).await;
    says(asked(vec![many.name()], &many.name()).await, "try again in 7 s");
    let secure =
        Fake::with(|_, _| Some(Reply::new(400, "Client sent an HTTP request to an HTTPS server.\n"))).await;
    let advice = format!("speaks TLS; ask it with TLS: leave out `--insecure-registry {}`", secure.name());
    says(asked(vec![secure.name()], &secure.name()).await, &advice);
    // What answers as TLS does: an alert (RFC 8446, section 6).
    let alert = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = alert.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut stream, _)) = alert.accept().await {
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 10]).await;
        }
    });
    says(asked(vec![at.clone()], &at).await, "speaks TLS");
    // A manifest by its digest that cannot be read.
    let digest = Digest::of(b"x");
    let damaged = Fake::with(move |asked, _| {
        let body = r#"{"errors":[{"code":"UNKNOWN","message":"unknown error"}]}"#;
        asked.target.contains("/manifests/").then(|| Reply::new(500, body))
    })
    .await;
    let settings = Settings { insecure: vec![damaged.name()], docker_config: None, ..Settings::default() };
    let pinned = at_digest(&damaged, digest);
    let error = Client::new(&settings).unwrap().pull(&pinned, None, &()).await.unwrap_err().to_string();
    assert!(error.contains("cannot read it (UNKNOWN: unknown error): what it stores was changed"), "{error}");
    let broken =
        Fake::with(|_, _| Some(Reply::new(500, r#"{"errors":[{"code":"X","message":"disk"}]}"#))).await;
    says(asked(vec![broken.name()], &broken.name()).await, "answers 500 (X: disk)");
    let forbidden = Fake::with(|_, _| Some(Reply::new(403, ""))).await;
    says(asked(vec![forbidden.name()], &forbidden.name()).await, "who is not logged in may not do this");
    let settings = Settings { ca: vec!["/nonexistent.pem".into()], ..Settings::default() };
    let error = Client::new(&settings).err().unwrap().to_string();
    assert!(error.contains("the CA file /nonexistent.pem cannot be read"), "{error}");
    // Nobody writes to it.
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let settings = Settings { ca: vec![fifo], ..Settings::default() };
    let error = Client::new(&settings).err().unwrap().to_string();
    assert!(error.contains("it is a FIFO and not a file"), "{error}");
}

fn at_digest(fake: &Fake, digest: Digest) -> Reference {
    at(fake, &format!("@sha256:{digest}"))
}

#[tokio::test]
async fn ten_thousand_tags_are_read_page_by_page() {
    let fake = Fake::with(|asked, _| {
        let from: usize = asked.target.split("last=").nth(1).map_or(0, |it| it.parse().unwrap());
        let page: Vec<String> = (from..from + 1000).map(|number| format!("1.0.{number}")).collect();
        let reply = Reply::new(200, json!({ "tags": page }).to_string());
        let next = format!("</v2/team/t/tags/list?n=1000&last={}>; rel=\"next\"", from + 1000);
        Some(if from + 1000 < 10_000 { reply.header("link", next) } else { reply })
    })
    .await;
    let tags = client(&fake).tags(&at(&fake, "")).await.unwrap();
    assert_eq!((tags.len(), tags[9_999].as_str(), fake.count("/tags/list")), (10_000, "1.0.9999", 10));
    // One that never ends.
    let endless = Fake::with(|asked, _| {
        let page: Vec<String> = (0..10_000).map(|number| format!("1.0.{number}")).collect();
        let reply = Reply::new(200, json!({ "tags": page }).to_string());
        Some(reply.header("link", format!("<{}>; rel=\"next\"", asked.target)))
    })
    .await;
    let error = client(&endless).tags(&at(&endless, "")).await.unwrap_err().to_string();
    assert!(error.contains("more than 100000 tags"), "{error}");
}
