use std::task::Waker;

use super::*;

/// Takes so many bytes and then waits; notes what each write brought.
#[derive(Default)]
struct Client {
    room: usize,
    writes: Vec<usize>,
    all: Vec<u8>,
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = self.room.min(buf.len());
        if count == 0 {
            return Poll::Pending;
        }
        self.room -= count;
        self.writes.push(count);
        self.all.extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|bytes| bytes.to_vec()).collect();
        self.poll_write(cx, &all)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn wire(room: usize) -> (Wire<Client>, Rc<Watch>) {
    let watch = Watch::new(1 << 10);
    let stream = Client { room, ..Client::default() };
    (Wire { stream, gathered: Vec::new(), watch: Rc::clone(&watch) }, watch)
}

/// Offers a frame as the crate does, its header apart, until all of it is taken or the client waits.
fn send(wire: &mut Wire<Client>, header: &[u8], payload: &[u8]) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = 0;
    while taken < header.len() + payload.len() {
        let of_header = &header[taken.min(header.len())..];
        let of_payload = &payload[taken.saturating_sub(header.len())..];
        match wire.poll_gather(&mut cx, &[IoSlice::new(of_header), IoSlice::new(of_payload)]) {
            Poll::Ready(count) => taken += count.unwrap(),
            Poll::Pending => break,
        }
    }
    taken
}

fn flush(wire: &mut Wire<Client>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    wire.poll_flush(&mut cx).is_ready()
}

#[test]
fn answers_of_many_streams_are_one_write() {
    let (mut wire, watch) = wire(usize::MAX);
    for stream in 0..12 {
        send(&mut wire, &[stream; 9], &[stream; 1024]);
    }
    assert!(wire.stream.writes.is_empty());
    assert!(flush(&mut wire) && !watch.unwritten());
    assert_eq!(wire.stream.writes, [12 * 1033]);
    wire.rest();
    assert_eq!(wire.gathered.capacity(), 0);
}

#[test]
fn long_bodies_are_whole_records() {
    let (mut wire, _) = wire(usize::MAX);
    for _ in 0..8 {
        send(&mut wire, &[0; 9], &[1; 16 << 10]);
    }
    assert_eq!(wire.stream.writes, [MOST_GATHERED; 8]);
    assert!(flush(&mut wire));
    assert_eq!(wire.stream.writes.last(), Some(&(8 * 9)));
}

#[test]
fn all_goes_out_in_order_however_the_client_reads() {
    let (mut wire, watch) = wire(0);
    let (mut sent, mut held_up) = (Vec::new(), false);
    for number in 0..2_000_usize {
        let (header, payload) = ([number as u8; 9], vec![(number / 3) as u8; number * 37 % 40_000]);
        let mut frame = header.to_vec();
        frame.extend_from_slice(&payload);
        let mut taken = 0;
        while taken < frame.len() {
            let (header, payload) = frame[taken..].split_at(9.min(frame.len() - taken));
            taken += send(&mut wire, header, payload);
            if taken < frame.len() {
                held_up = true;
                assert!(watch.unwritten(), "the client is waited for");
                wire.stream.room += number * 131 % 50_000 + 1;
            }
        }
        assert!(wire.gathered.len() <= MOST_GATHERED);
        sent.extend(frame);
    }
    while !flush(&mut wire) {
        assert!(watch.unwritten());
        wire.stream.room += 10_000;
    }
    assert!(held_up && watch.moved() && !watch.unwritten());
    assert!(wire.stream.all == sent, "what went out is not what was written");
}
