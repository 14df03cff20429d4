use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::join;

use super::*;

impl Wire for DuplexStream {}

const IDLE: Duration = Duration::from_secs(60);

/// A relay between two streams that hold 1 KiB each way, and their far ends.
fn between() -> ((DuplexStream, DuplexStream), DuplexStream, DuplexStream) {
    let (client, near_client) = duplex(1024);
    let (server, near_server) = duplex(1024);
    ((near_client, near_server), client, server)
}

async fn run(ends: (DuplexStream, DuplexStream), early: Early, counters: &MemberCounters) -> End {
    let (mut client, mut server) = ends;
    relay(&mut client, &mut server, early, IDLE, counters, &Moved::default()).await
}

fn bytes(count: usize, first: usize) -> Vec<u8> {
    (first..first + count).map(|at| at as u8).collect()
}

#[tokio::test]
async fn bytes_come_over_whole_and_are_counted() {
    let (ends, client, server) = between();
    let counters = MemberCounters::default();
    let (up, down) = (bytes(300_000, 3), bytes(200_000, 7));
    let early = Early { to_server: Bytes::from_static(b"early"), to_client: Bytes::from_static(b"hi") };
    let side = async |stream: DuplexStream, send: &[u8]| {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let mut got = Vec::new();
        let sending = async {
            writing.write_all(send).await.unwrap();
            writing.shutdown().await.unwrap();
        };
        join!(sending, reading.read_to_end(&mut got)).1.unwrap();
        got
    };
    let (end, at_client, at_server) =
        join!(run(ends, early, &counters), side(client, &up), side(server, &down));
    assert!(matches!(end, End::Complete), "{end:?}");
    assert!(at_server == [b"early", &up[..]].concat() && at_client == [b"hi", &down[..]].concat());
    assert_eq!((counters.bytes_to_server.get(), counters.bytes_to_client.get()), (300_005, 200_002));
}

#[tokio::test]
async fn the_end_of_one_side_is_passed_on_and_the_other_goes_on() {
    let (ends, mut client, mut server) = between();
    let counters = MemberCounters::default();
    let talk = async {
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"question");
        server.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    };
    let (end, ()) = join!(run(ends, Early::default(), &counters), talk);
    assert!(matches!(end, End::Complete), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_and_whatever_moves_does_not() {
    let (ends, mut client, mut server) = between();
    let counters = MemberCounters::default();
    let began = Instant::now();
    let talk = async {
        for _ in 0..3 {
            tokio::time::sleep(IDLE * 2 / 3).await;
            server.write_all(b".").await.unwrap();
            client.read_u8().await.unwrap();
        }
    };
    let (end, ()) = join!(run(ends, Early::default(), &counters), talk);
    assert!(matches!(end, End::Idle), "{end:?}");
    assert_eq!(began.elapsed().as_secs(), 3 * 40 + 60);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_takes_nothing_stops_the_other() {
    let (ends, mut client, mut server) = between();
    let counters = MemberCounters::default();
    let talk = async {
        let mut sent = 0;
        let piece = [7; 4096];
        // Nothing of it is read: what is written is in the pipes and the relay.
        while let Ok(count) =
            tokio::time::timeout(Duration::from_millis(50), client.write(&piece)).await.map(Result::unwrap)
        {
            sent += count;
        }
        assert!(sent <= PIECE + 2 * 1024 + 4096, "{sent}");
        drop(client);
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), sent);
        server.shutdown().await.unwrap();
    };
    join!(run(ends, Early::default(), &counters), talk);
}

#[tokio::test]
async fn a_side_that_is_gone_breaks_it() {
    let (ends, mut client, server) = between();
    drop(server);
    let counters = MemberCounters::default();
    let talk = async {
        client.write_all(b"question").await.unwrap();
        client
    };
    let (end, client) = join!(run(ends, Early::default(), &counters), talk);
    assert!(matches!(end, End::Broken(Side::Server, _)), "{end:?}");
    drop(client);
}

#[tokio::test]
async fn the_side_that_is_gone_is_named_and_what_went_before_is_known() {
    let (ends, client, mut server) = between();
    let counters = MemberCounters::default();
    let ((mut near_client, mut near_server), moved) = (ends, Moved::default());
    let relayed = relay(&mut near_client, &mut near_server, Early::default(), IDLE, &counters, &moved);
    let talk = async {
        server.write_all(b"answer").await.unwrap();
        while moved.to_client.get() < 6 {
            tokio::task::yield_now().await;
        }
        drop(client);
        server.write_all(b"more").await.unwrap();
        server
    };
    let (end, _server) = join!(relayed, talk);
    assert!(matches!(end, End::Broken(Side::Client, _)), "{end:?}");
    assert_eq!((moved.to_server.get(), moved.to_client.get()), (0, 6));
}

/// Waits for a line, and lets it go; behind `!` nothing more is seen, and `?` is refused.
#[derive(Default)]
struct Lines {
    held: Vec<u8>,
    more: bool,
    until: Option<Instant>,
}

impl Tap for Lines {
    fn room(&self) -> usize {
        8 - self.held.len()
    }

    fn came(&mut self, piece: &[u8]) -> Tapped {
        self.held.extend_from_slice(piece);
        if let Some(at) = self.held.iter().position(|byte| *byte == b';') {
            // One at a time.
            let rest = self.held.split_off(at + 1);
            self.more = !rest.is_empty();
            return Tapped::Pass(std::mem::replace(&mut self.held, rest).into());
        }
        match self.held.last() {
            None => Tapped::Pass(Bytes::new()),
            Some(b'?') => Tapped::Refuse,
            Some(b'!') => Tapped::Release(std::mem::take(&mut self.held).into()),
            Some(b'.') => {
                self.until = None;
                Tapped::Pass(std::mem::take(&mut self.held).into())
            }
            _ if piece.is_empty() || self.held.len() == 8 => self.late(),
            _ => {
                self.until.get_or_insert_with(|| Instant::now() + IDLE / 2);
                Tapped::Pass(Bytes::new())
            }
        }
    }

    fn again(&mut self) -> Option<Tapped> {
        std::mem::take(&mut self.more).then(|| self.came(b""))
    }

    fn until(&self) -> Option<Instant> {
        self.until
    }

    fn late(&mut self) -> Tapped {
        self.until = None;
        Tapped::Pass([b"<", &std::mem::take(&mut self.held)[..], b">"].concat().into())
    }
}

/// What comes over of pieces that a client sends, the next when the member has got as many as are said; and how it
/// ends.
async fn tapped(pieces: &[(&str, usize)]) -> (End, String) {
    let ((near_client, near_server), client, mut server) = between();
    let counters = MemberCounters::default();
    let taps = Taps { to_server: Some(Box::<Lines>::default()), to_client: None };
    let moved = Moved::default();
    // The near ends are closed with it.
    let relayed = async {
        let (mut client, mut server) = (near_client, near_server);
        relay_tapped(&mut client, &mut server, Early::default(), taps, IDLE, &counters, &moved).await
    };
    let talk = async {
        let (mut client, mut got) = (client, Vec::new());
        for (piece, count) in pieces {
            client.write_all(piece.as_bytes()).await.unwrap();
            while got.len() < *count && server.read_buf(&mut got).await.unwrap_or(0) > 0 {}
        }
        client.shutdown().await.unwrap();
        let _ = server.shutdown().await;
        let _ = server.read_to_end(&mut got).await;
        String::from_utf8(got).unwrap()
    };
    tokio::select! {
        both = async { join!(relayed, talk) } => both,
        () = tokio::time::sleep(IDLE * 4) => panic!("it does not end"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_tap_sees_what_goes_one_way_and_says_what_goes_on() {
    let (end, got) = tapped(&[("a", 0), ("b.", 3), ("c.", 5), ("d", 0)]).await;
    assert!(matches!(end, End::Complete), "{end:?}");
    assert_eq!(got, "ab.c.<d>");
    let (end, got) = tapped(&[("a!", 2), ("b", 3), ("c?", 5)]).await;
    assert!(matches!(end, End::Complete), "{end:?}");
    assert_eq!(got, "a!bc?");
}

#[tokio::test(start_paused = true)]
async fn a_tap_is_told_when_nothing_comes_and_holds_no_more_than_it_has_room_for() {
    let began = Instant::now();
    let (_, got) = tapped(&[("late", 6), ("b.", 8)]).await;
    assert_eq!(got, "<late>b.");
    assert_eq!(began.elapsed(), IDLE / 2);
    let (_, got) = tapped(&[("0123456789", 0), (".", 0)]).await;
    assert_eq!(got, "<01234567>89.");
}

#[tokio::test(start_paused = true)]
async fn a_tap_sees_to_what_came_piece_by_piece_also_at_the_end() {
    let (end, got) = tapped(&[("a;b;c;", 6), (";;d;.", 0)]).await;
    assert!(matches!(end, End::Complete), "{end:?}");
    assert_eq!(got, "a;b;c;;;d;.");
}

#[tokio::test(start_paused = true)]
async fn what_a_tap_refuses_ends_it() {
    let (end, got) = tapped(&[("a.", 2), ("b?", 0)]).await;
    assert!(matches!(end, End::Refused), "{end:?}");
    assert_eq!(got, "a.");
}

/// A connection of TCP.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (far, near) = join!(TcpStream::connect(address), listener.accept());
    (far.unwrap(), near.unwrap().0)
}

#[tokio::test]
async fn long_transfers_go_through_pipes_which_are_given_back() {
    let ((client, mut near_client), (server, mut near_server)) = join!(connected(), connected());
    let (counters, moved) = (MemberCounters::default(), Moved::default());
    let relayed = async {
        let ends = (&mut near_client, &mut near_server);
        let end = relay(ends.0, ends.1, Early::default(), IDLE, &counters, &moved).await;
        // What ended last is told by that.
        drop((near_client, near_server));
        end
    };
    let (up, down) = (bytes(9_000_001, 3), bytes(7_000_003, 7));
    let side = async |stream: TcpStream, send: &[u8], slow: bool| {
        let (mut reading, mut writing) = stream.into_split();
        let mut got = Vec::new();
        let sending = async {
            writing.write_all(send).await.unwrap();
            writing.shutdown().await.unwrap();
        };
        let receiving = async {
            // What the other side does not take waits in a pipe.
            for _ in 0..if slow { 2_000 } else { 0 } {
                tokio::task::yield_now().await;
            }
            reading.read_to_end(&mut got).await.unwrap();
        };
        join!(sending, receiving);
        got
    };
    let (end, at_client, at_server) = join!(relayed, side(client, &up, true), side(server, &down, false));
    assert!(matches!(end, End::Complete), "{end:?}");
    assert!(at_server == up && at_client == down);
    assert_eq!((moved.to_server.get(), moved.to_client.get()), (9_000_001, 7_000_003));
    assert!(splice::spare() > 0, "no pipe was used");
}

#[tokio::test]
async fn what_came_before_a_reset_goes_on() {
    let ((mut client, mut near_client), (mut server, mut near_server)) = join!(connected(), connected());
    let (counters, moved) = (MemberCounters::default(), Moved::default());
    client.write_all(b"the last").await.unwrap();
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let end = relay(&mut near_client, &mut near_server, Early::default(), IDLE, &counters, &moved).await;
    assert!(matches!(end, End::Broken(Side::Client, _)), "{end:?}");
    let mut got = [0; 8];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!((&got, moved.to_server.get()), (b"the last", 8));
}

#[tokio::test]
async fn a_reset_behind_what_waits_in_a_pipe_breaks_it() {
    let ((client, mut near_client), (mut server, mut near_server)) = join!(connected(), connected());
    let (counters, moved) = (MemberCounters::default(), Moved::default());
    let relayed = relay(&mut near_client, &mut near_server, Early::default(), IDLE, &counters, &moved);
    let talk = async {
        let sent = tokio::time::timeout(Duration::from_millis(300), async {
            while server.write_all(&[7; 1 << 16]).await.is_ok() {}
        });
        assert!(sent.await.is_err(), "the client takes nothing");
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        server
    };
    let (end, _server) = join!(relayed, talk);
    assert!(matches!(end, End::Broken(Side::Client, _)), "{end:?}");
}
