//! Who follows requests as they are served. While nobody does, a request costs one relaxed load for it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shunt_api::explain::TracedRequest;
use shunt_engine::network::Prefix;
use tokio::sync::mpsc;

/// Requests that wait for who follows them.
const MOST_WAITING: usize = 256;

/// How many follow.
static FOLLOWERS: AtomicUsize = AtomicUsize::new(0);
static FOLLOWED: Mutex<Vec<Arc<Follower>>> = Mutex::new(Vec::new());

/// Which requests are wanted. What is not said does not matter.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub virtual_: String,
    pub clients: Vec<Prefix>,
    pub methods: Vec<String>,
    /// Each with stars that stand for any text.
    pub paths: Vec<String>,
    /// The same of hosts, in lower case.
    pub hosts: Vec<String>,
}

/// What a request says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub virtual_: &'a str,
    pub client: SocketAddr,
    pub method: &'a str,
    pub path: &'a str,
    pub host: &'a str,
}

/// Somebody who follows.
pub struct Follower {
    wanted: Wanted,
    /// How many more are wanted.
    left: AtomicU32,
    requests: mpsc::Sender<TracedRequest>,
    dropped: AtomicU64,
}

/// The end of who follows; nothing is followed any more once this is dropped.
pub struct Following {
    follower: Arc<Follower>,
    requests: mpsc::Receiver<TracedRequest>,
}

/// Whether anybody follows.
#[inline]
pub fn are_followed() -> bool {
    FOLLOWERS.load(Relaxed) > 0
}

/// Follows requests, `count` at most.
pub fn follow(wanted: Wanted, count: u32) -> Following {
    let (sender, requests) = mpsc::channel(MOST_WAITING);
    let follower = Arc::new(Follower {
        wanted,
        left: AtomicU32::new(count),
        requests: sender,
        dropped: AtomicU64::new(0),
    });
    followed().push(Arc::clone(&follower));
    FOLLOWERS.fetch_add(1, Relaxed);
    Following { follower, requests }
}

/// Those who want this request: each is to be [told](Follower::tell) of it.
pub fn followers(said: &Said<'_>) -> Vec<Arc<Follower>> {
    let followed = followed();
    followed.iter().filter(|it| it.wanted.has(said) && it.takes()).map(Arc::clone).collect()
}

fn followed() -> MutexGuard<'static, Vec<Arc<Follower>>> {
    // Each change is one step: what a panicking thread left is whole.
    FOLLOWED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Follower {
    /// One more that it is told of, unless it has been told of enough.
    fn takes(&self) -> bool {
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Tells of a request; whoever is too slow misses it.
    pub fn tell(&self, request: TracedRequest) {
        if self.requests.try_send(request).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Following {
    /// The next request.
    pub async fn next(&mut self) -> Option<TracedRequest> {
        self.requests.recv().await
    }

    /// How many were missed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.follower.dropped.load(Relaxed)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        followed().retain(|it| !Arc::ptr_eq(it, &self.follower));
        FOLLOWERS.fetch_sub(1, Relaxed);
    }
}

impl Wanted {
    fn has(&self, said: &Said<'_>) -> bool {
        let is_one = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|it| is_like(it.as_bytes(), text.as_bytes()))
        };
        self.virtual_ == said.virtual_
            && (self.clients.is_empty() || self.clients.iter().any(|it| it.contains(said.client.ip().into())))
            && (self.methods.is_empty() || self.methods.iter().any(|it| it == said.method))
            && is_one(&self.paths, said.path)
            && is_one(&self.hosts, &said.host.to_ascii_lowercase())
    }
}

/// Whether a text is like a pattern, of which each `*` stands for any text. Takes time by the product of both lengths.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == text[seen] => (at, seen) = (at + 1, seen + 1),
            // The last star stands for one more byte.
            _ => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    (at, seen) = (place + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn said<'a>(virtual_: &'a str, path: &'a str) -> Said<'a> {
        let client = SocketAddr::from(([192, 0, 2, 7], 1));
        Said { virtual_, client, method: "GET", path, host: "Shop.Example" }
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, is) in [
            ("/x*", "/x", true),
            ("/x*", "/xyz", true),
            ("/x*", "/", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*.js", "/a.js.js", true),
            ("/*/b*d", "/a/b/c/d", true),
            ("/*/b*d", "/a/b/c", false),
            ("**a", "bba", true),
        ] {
            assert_eq!(is_like(pattern.as_bytes(), text.as_bytes()), is, "{pattern} {text}");
        }
    }

    #[test]
    fn who_follows_gets_what_is_wanted_and_no_more() {
        let wanted = Wanted {
            virtual_: "traced".to_owned(),
            paths: vec!["/a*".to_owned()],
            hosts: vec!["*.example".to_owned()],
            clients: vec![Prefix::new(IpAddr::from([192, 0, 2, 0]).into(), 24).unwrap()],
            ..Wanted::default()
        };
        let following = follow(wanted, 2);
        assert!(are_followed());
        assert!(followers(&said("other", "/a")).is_empty() && followers(&said("traced", "/b")).is_empty());
        let first = followers(&said("traced", "/a"));
        first[0].tell(TracedRequest::default());
        assert_eq!(followers(&said("traced", "/ab")).len(), 1);
        assert!(followers(&said("traced", "/a")).is_empty(), "two were enough");
        // It never takes what waits.
        for _ in 0..MOST_WAITING + 4 {
            first[0].tell(TracedRequest::default());
        }
        assert_eq!(following.dropped(), 5);
        drop(following);
        assert!(followers(&said("traced", "/a")).is_empty());
    }
}
