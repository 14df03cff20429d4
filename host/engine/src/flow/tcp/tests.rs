use super::*;
use proptest::prelude::*;

const IDLE: u64 = 300_000;

/// A segment as a person writes it: direction, flags, sequence number, acknowledgement, payload.
/// `> S 100`, `< SA 500 101`, `> PA 101 501 +20`.
fn segment(text: &str) -> (Direction, TcpSegment) {
    let mut words = text.split_whitespace();
    let direction = match words.next() {
        Some(">") => Direction::ToServer,
        Some("<") => Direction::ToClient,
        other => panic!("a direction, not {other:?}"),
    };
    let flags = words.next().unwrap().chars().map(|flag| match flag {
        'S' => SYN,
        'A' => ACK,
        'F' => FIN,
        'R' => RST,
        'P' => shunt_wire::tcp::PSH,
        other => panic!("a flag, not {other}"),
    });
    let mut segment =
        TcpSegment { flags: flags.fold(0, |all, flag| all | flag), seq: 0, ack: 0, window: 512, payload: 0 };
    segment.seq = words.next().unwrap().parse().unwrap();
    for word in words {
        match word.strip_prefix('+') {
            Some(payload) => segment.payload = payload.parse().unwrap(),
            None => segment.ack = word.parse().unwrap(),
        }
    }
    (direction, segment)
}

/// One tracker: each segment, and the state after it.
struct Story {
    about: &'static str,
    segments: &'static [(&'static str, &'static str)],
    ending: Ending,
    /// The flow lives so long after the last segment.
    lifetime: u64,
}

fn tell(story: &Story, visibility: Visibility) {
    let Story { about, segments, ending, lifetime } = story;
    let (first, state) = segments[0];
    let mut tracker = TcpTracker::begin(&segment(first).1, visibility).expect(about);
    assert_eq!(tracker.state().as_str(), state, "{about}: {first}");
    for (text, state) in &segments[1..] {
        let before = tracker.state();
        let (direction, segment) = segment(text);
        let step = tracker.observe(direction, &segment);
        let expected = if before.as_str() == *state { Step::Unchanged } else { Step::Changed };
        assert_eq!((tracker.state().as_str(), step), (*state, expected), "{about}: {text}");
    }
    assert_eq!(tracker.ending(), *ending, "{about}");
    assert_eq!(tracker.lifetime(IDLE), *lifetime, "{about}");
}

const HANDSHAKE: [&str; 3] = ["> S 100", "< SA 500 101", "> A 101 501"];

#[rustfmt::skip]
const BOTH_WAYS: &[Story] = &[
    Story {
        about: "nobody answers",
        segments: &[("> S 100", "syn-sent"), ("> S 100", "syn-sent"), ("> S 100", "syn-sent")],
        ending: Ending::SynUnanswered, lifetime: SYN_SENT,
    },
    Story {
        about: "the client begins anew with another number",
        segments: &[("> S 100", "syn-sent"), ("> S 9100", "syn-sent"), ("< SA 500 9101", "syn-received"), ("> A 9101 501", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
    Story {
        about: "the client does not acknowledge",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("< SA 500 101", "syn-received"), ("> A 101 500", "syn-received")],
        ending: Ending::Idle, lifetime: SYN_RECEIVED,
    },
    Story {
        about: "refused",
        segments: &[("> S 100", "syn-sent"), ("< RA 0 101", "server-reset")],
        ending: Ending::ServerReset, lifetime: RESET,
    },
    Story {
        about: "a refusal that acknowledges nothing of ours is not believed",
        segments: &[("> S 100", "syn-sent"), ("< RA 0 900", "syn-sent"), ("< R 0", "syn-sent"), ("< RA 0 102", "syn-sent")],
        ending: Ending::SynUnanswered, lifetime: SYN_SENT,
    },
    Story {
        about: "data in the SYN (RFC 7413), of which the server takes a part",
        segments: &[("> S 100 +40", "syn-sent"), ("< SA 500 121", "syn-received"), ("> A 121 501 +20", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
    Story {
        about: "an old connection answers the SYN with what it expects, and the client resets that (RFC 9293 section 3.5.2)",
        segments: &[("> S 100", "syn-sent"), ("< A 70000 40000", "syn-sent"), ("> R 40000", "syn-sent"), ("> S 100", "syn-sent"), ("< SA 500 101", "syn-received")],
        ending: Ending::Idle, lifetime: SYN_RECEIVED,
    },
    Story {
        about: "an attacker acknowledges a SYN that nobody answered",
        segments: &[("> S 100", "syn-sent"), ("> A 101 501", "syn-sent")],
        ending: Ending::SynUnanswered, lifetime: SYN_SENT,
    },
    Story {
        about: "open and silent",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"), ("> PA 101 501 +20", "established"), ("< A 501 121 +1000", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
    Story {
        about: "the client closes first",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"),
            ("> FA 101 501", "client-closed"), ("< A 501 102", "client-closed"), ("< A 501 102 +10", "client-closed"), ("> A 102 511", "client-closed"),
            ("< FA 511 102", "closing"), ("> A 102 512", "closed")],
        ending: Ending::ClientClosed, lifetime: CLOSED_BY_CLIENT,
    },
    Story {
        about: "the server closes first",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"),
            ("< FA 501 101", "server-closed"), ("> FA 101 502", "closing"), ("< A 502 102", "closed"), ("> FA 101 502", "closed")],
        ending: Ending::ServerClosed, lifetime: CLOSED,
    },
    Story {
        about: "both close at once: the server's FIN does not acknowledge the client's",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"),
            ("> FA 101 501", "client-closed"), ("< FA 501 101", "closing"), ("> A 102 502", "closing"), ("< A 502 102", "closed")],
        ending: Ending::Unknown, lifetime: CLOSED,
    },
    Story {
        about: "the client closed first, and its last acknowledgement is missing",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"),
            ("> FA 101 501", "client-closed"), ("< FA 501 102", "closing"), ("< FA 501 102", "closing")],
        ending: Ending::Unknown, lifetime: CLOSING,
    },
    Story {
        about: "half closed and forgotten",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> FA 101 501", "client-closed"), ("< A 501 102", "client-closed")],
        ending: Ending::Idle, lifetime: HALF_CLOSED,
    },
    Story {
        about: "the server resets an open connection",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501 +20", "established"), ("< R 501", "server-reset")],
        ending: Ending::ServerReset, lifetime: RESET,
    },
    Story {
        about: "the client resets an open connection, with data on the way",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501 +20", "established"), ("> R 121 501", "client-reset"), ("< A 501 121 +99", "client-reset")],
        ending: Ending::ClientReset, lifetime: RESET,
    },
    Story {
        about: "resets that no endpoint would believe (RFC 5961 section 3.2)",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501 +20", "established"), ("< A 501 121", "established"),
            ("> R 120", "established"), ("> R 122", "established"), ("< R 500", "established"), ("< R 502", "established"), ("< R 2000000000", "established"), ("> R 4000000000", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
    Story {
        about: "data far ahead, which an attacker may have sent, makes no more resets believable",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"), ("> A 1000000000 501 +1", "established"), ("> R 900000000", "established"), ("> R 101", "client-reset")],
        ending: Ending::ClientReset, lifetime: RESET,
    },
    Story {
        about: "a reset that was not the client's: it has more to say",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"), ("> R 101", "client-reset"),
            ("< A 501 101 +10", "client-reset"), ("> A 101 501", "client-reset"), ("> A 101 511", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
    Story {
        about: "after the server's FIN a client's reset may leave it in TIME_WAIT",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"), ("< FA 501 101", "server-closed"), ("> R 101", "client-reset")],
        ending: Ending::ServerClosed, lifetime: RESET,
    },
    Story {
        about: "after the client's FIN the server resets",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"), ("> FA 101 501", "client-closed"), ("< R 501", "server-reset")],
        ending: Ending::ServerReset, lifetime: RESET,
    },
    Story {
        about: "a reset after the end changes nothing",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 101 501", "established"),
            ("< FA 501 101", "server-closed"), ("> FA 101 502", "closing"), ("< A 502 102", "closed"), ("> R 102", "closed"), ("< R 502", "closed")],
        ending: Ending::ServerClosed, lifetime: CLOSED,
    },
    Story {
        about: "picked up in the middle: both must speak",
        segments: &[("> A 7000 9000 +10", "picked-up"), ("> A 7010 9000 +10", "picked-up"), ("< A 9000 7020", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
    Story {
        about: "picked up, and the server knows nothing of it",
        segments: &[("> A 7000 9000 +10", "picked-up"), ("< R 8999", "picked-up"), ("< R 9000", "server-reset")],
        ending: Ending::ServerReset, lifetime: RESET,
    },
    Story {
        about: "picked up at its end",
        segments: &[("> FA 7000 9000", "picked-up"), ("< FA 9000 7001", "closing"), ("> A 7001 9001", "closed")],
        ending: Ending::ClientClosed, lifetime: CLOSED_BY_CLIENT,
    },
    Story {
        about: "numbers that go around",
        segments: &[("> S 4294967295", "syn-sent"), ("< SA 4294967290 0", "syn-received"), ("> A 0 4294967291", "established"), ("< A 4294967291 0 +10", "established"),
            ("> FA 0 5", "client-closed"), ("< FA 5 1", "closing"), ("> A 1 6", "closed")],
        ending: Ending::ClientClosed, lifetime: CLOSED_BY_CLIENT,
    },
    Story {
        about: "segments out of order, and the FIN before the data in front of it",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> A 201 501 +100", "established"), ("> A 101 501 +100", "established"),
            ("> FA 401 501", "client-closed"), ("> A 301 501 +100", "client-closed"), ("< A 501 402", "client-closed"), ("< FA 501 402", "closing"), ("> A 402 502", "closed")],
        ending: Ending::ClientClosed, lifetime: CLOSED_BY_CLIENT,
    },
    Story {
        about: "flags that say nothing",
        segments: &[("> S 100", "syn-sent"), ("< SA 500 101", "syn-received"), ("> P 101 501 +10", "syn-received"), ("> A 101 501", "established"), ("< P 501 +10", "established"), ("< S 501", "established"), ("> SA 1 1", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
];

#[rustfmt::skip]
const TO_SERVER_ONLY: &[Story] = &[
    Story {
        about: "a SYN, and then nothing",
        segments: &[("> S 100", "syn-sent"), ("> S 100", "syn-sent")],
        ending: Ending::SynUnanswered, lifetime: SYN_SENT,
    },
    Story {
        about: "the client acknowledges what is not seen",
        segments: &[("> S 100", "syn-sent"), ("> A 101 501", "established"), ("> A 101 501 +20", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
    Story {
        about: "the client closes; the server may have or not",
        segments: &[("> S 100", "syn-sent"), ("> A 101 501", "established"), ("> FA 101 501", "client-closed"), ("> A 102 502", "client-closed")],
        ending: Ending::Unknown, lifetime: HALF_CLOSED,
    },
    Story {
        about: "the client resets",
        segments: &[("> S 100", "syn-sent"), ("> A 101 501 +20", "established"), ("> R 122", "established"), ("> R 121", "client-reset")],
        ending: Ending::ClientReset, lifetime: RESET,
    },
    Story {
        about: "a reset that was not the client's",
        segments: &[("> S 100", "syn-sent"), ("> A 101 501 +20", "established"), ("> R 101", "client-reset"), ("> A 121 501 +5", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
    Story {
        about: "picked up in the middle: one segment is not enough",
        segments: &[("> A 7000 9000", "picked-up"), ("> A 7000 9000 +10", "established")],
        ending: Ending::Idle, lifetime: IDLE,
    },
];

#[test]
fn connections_seen_both_ways() {
    BOTH_WAYS.iter().for_each(|story| tell(story, Visibility::Both));
}

#[test]
fn connections_of_which_the_client_is_seen() {
    TO_SERVER_ONLY.iter().for_each(|story| tell(story, Visibility::ToServer));
}

#[test]
fn what_begins_nothing() {
    for text in ["> R 1", "> RA 1 1", "> SA 1 1", "> SF 1", "> SR 1", "> P 1", "> F 1"] {
        assert_eq!(TcpTracker::begin(&segment(text).1, Visibility::Both), None, "{text}");
    }
}

#[test]
fn a_syn_after_the_end_begins_another_connection() {
    let closed: &[&str] = &["> FA 101 501", "< FA 501 102", "> A 102 502"];
    let table: [(Visibility, &[&str], bool); 6] = [
        (Visibility::Both, closed, true),
        (Visibility::Both, &["< R 501"], true),
        (Visibility::Both, &["> FA 101 501"], false),
        (Visibility::Both, &[], false),
        (Visibility::ToServer, &["> FA 101 501"], true),
        (Visibility::ToServer, &[], false),
    ];
    for (visibility, then, another) in table {
        let mut tracker = TcpTracker::begin(&segment(HANDSHAKE[0]).1, visibility).unwrap();
        for text in HANDSHAKE[1..].iter().chain(then) {
            let (direction, segment) = segment(text);
            if visibility == Visibility::Both || direction == Direction::ToServer {
                let _ = tracker.observe(direction, &segment);
            }
        }
        let before = tracker;
        let step = tracker.observe(Direction::ToServer, &segment("> S 90000").1);
        assert_eq!(step == Step::NewConnection, another, "{visibility:?} {then:?}");
        assert!(!another || tracker == before, "the old one is left as it was");
    }
}

/// The resets that Shunt itself sends to both ends of an idle flow.
#[test]
fn what_each_side_expects() {
    let mut tracker = TcpTracker::begin(&segment("> S 100").1, Visibility::Both).unwrap();
    assert_eq!(tracker.expected(Direction::ToServer), None);
    for text in ["< SA 500 101", "> A 101 501", "> A 101 501 +20", "< A 501 121 +7", "> A 121 508"] {
        let (direction, segment) = segment(text);
        let _ = tracker.observe(direction, &segment);
    }
    assert_eq!(tracker.expected(Direction::ToServer), Some(121));
    assert_eq!(tracker.expected(Direction::ToClient), Some(508));
    for direction in Direction::BOTH {
        let seq = tracker.expected(direction).unwrap();
        let mut copy = tracker;
        let reset = TcpSegment { flags: RST, seq, ack: 0, window: 0, payload: 0 };
        assert_eq!(copy.observe(direction, &reset), Step::Changed, "it is one that is believed");
    }
}

#[test]
fn a_short_idle_time_bounds_what_depends_on_it() {
    let mut tracker = TcpTracker::begin(&segment("> S 100").1, Visibility::ToServer).unwrap();
    assert_eq!(tracker.lifetime(5_000), SYN_SENT);
    let _ = tracker.observe(Direction::ToServer, &segment("> A 101 501").1);
    assert_eq!(tracker.lifetime(5_000), 5_000);
    let _ = tracker.observe(Direction::ToServer, &segment("> FA 101 501").1);
    assert_eq!(tracker.lifetime(5_000), 5_000);
}

fn any_segment() -> impl Strategy<Value = (bool, TcpSegment)> {
    // Few numbers, so that segments have to do with each other.
    let number = prop_oneof![0u32..8, (u32::MAX - 4)..=u32::MAX, any::<u32>()];
    (any::<bool>(), any::<u8>(), number.clone(), number, 0u16..4).prop_map(
        |(to_server, flags, seq, ack, payload)| {
            (to_server, TcpSegment { flags: flags & 0x17, seq, ack, window: 0, payload })
        },
    )
}

proptest! {
    /// Whatever comes: a step is reported if and only if the state changed, and what is over does not come
    /// alive by the segments of the side that did not end it.
    #[test]
    fn any_segments(
        both in any::<bool>(),
        first in any_segment(),
        rest in proptest::collection::vec(any_segment(), 0..60),
    ) {
        let visibility = if both { Visibility::Both } else { Visibility::ToServer };
        if let Some(mut tracker) = TcpTracker::begin(&first.1, visibility) {
            for (to_server, segment) in rest {
                let direction = if to_server || !both { Direction::ToServer } else { Direction::ToClient };
                let before = tracker;
                match tracker.observe(direction, &segment) {
                    Step::Unchanged => prop_assert_eq!(tracker.state(), before.state()),
                    Step::Changed => prop_assert_ne!(tracker.state(), before.state()),
                    Step::NewConnection => prop_assert_eq!(tracker, before),
                }
                match before.state() {
                    State::Closed => prop_assert_eq!(tracker.state(), State::Closed),
                    State::Reset(by) if by != direction => prop_assert_eq!(tracker.state(), before.state()),
                    _ => {}
                }
                prop_assert!(tracker.lifetime(IDLE) <= IDLE);
            }
        }
    }
}
