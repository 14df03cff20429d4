use std::net::SocketAddr;

use shunt_engine::names::answer::{Answer, read};
use shunt_engine::names::{Bounds, Endpoint, Found, Held, MOST_MEMBERS, Part};
use shunt_wire::dns::{Data, Kind, Message, Name};

const BOUNDS: Bounds = Bounds { min_ttl_ms: 1_000, max_ttl_ms: 60_000, hold_ms: 10_000 };

/// An answer of a server, from its bytes to the members.
pub fn dns(data: &[u8]) {
    let Ok(Some(message)) = Message::read(data) else { return };
    let mut held = Held::default();
    for (kind, now) in [(Kind::A, 0), (Kind::Aaaa, 1), (Kind::Srv, 2)] {
        let host = message.records().find_map(Result::ok).map_or(Name::ROOT, |it| it.name);
        let text = host.to_string();
        if !host.is_root() && !text.contains('\\') {
            assert_eq!(Name::parse(&text), Ok(host));
        }
        let endpoints = match read(&message, &host, kind) {
            Ok(Answer::Found { data, .. }) => {
                assert!(!data.is_empty());
                Some(data.iter().filter_map(endpoint).collect())
            }
            Ok(Answer::Alias { .. } | Answer::Nothing) => Some(Vec::new()),
            Err(_) => None,
        };
        let parts = vec![Part { host, kind, endpoints }];
        held.learn(now, &Found::Parts { parts, ttl: 60 }, BOUNDS);
        assert!(held.members().len() <= MOST_MEMBERS);
        assert!(held.members().iter().all(|it| it.address.port() != 0 && !it.address.ip().is_unspecified()));
        assert!(held.next_ms() > now);
    }
}

fn endpoint(data: &Data) -> Option<Endpoint> {
    let (address, priority, weight) = match data {
        Data::A(v4) => (SocketAddr::from((*v4, 80)), 0, None),
        Data::Aaaa(v6) => (SocketAddr::from((*v6, 80)), 0, None),
        Data::Srv(it) => (SocketAddr::from(([10, 0, 0, 1], it.port)), it.priority, Some(it.weight)),
        Data::Cname(_) | Data::Other => return None,
    };
    Some(Endpoint { address, priority, weight })
}
