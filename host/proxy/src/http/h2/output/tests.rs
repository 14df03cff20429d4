use std::task::Waker;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

/// Takes so many bytes and then waits; notes what each write brought.
#[derive(Default)]
struct Client {
    room: usize,
    writes: Vec<usize>,
    all: Vec<u8>,
}

impl AsyncRead for Client {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
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
        assert!(bufs.iter().all(|bytes| !bytes.is_empty()));
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

impl Wire for Client {}

fn write(output: &mut Output, client: &mut Client) -> bool {
    let mut wrote = 0;
    let before = client.all.len();
    let written = output.poll_write(client, &mut Context::from_waker(Waker::noop()), &mut wrote);
    assert_eq!(wrote, client.all.len() - before);
    assert_eq!(written.is_ready(), output.is_empty());
    written.is_ready()
}

#[test]
fn answers_of_many_streams_are_one_write() {
    let mut client = Client { room: usize::MAX, ..Client::default() };
    let mut output = Output::default();
    for stream in 0..12 {
        output.bytes().extend([stream; 9]);
        output.push(vec![stream; 1024].into());
    }
    assert!(write(&mut output, &mut client));
    assert_eq!(client.writes, [12 * 1033]);
    output.rest();
    assert_eq!((output.bytes.capacity(), output.large.capacity()), (0, 0));
}

#[test]
fn long_pieces_are_not_copied() {
    let mut client = Client { room: usize::MAX, ..Client::default() };
    let mut output = Output::default();
    for _ in 0..4 {
        output.bytes().extend([0; 9]);
        output.push(vec![1; 16 << 10].into());
    }
    assert_eq!((output.bytes.len(), output.len()), (4 * 9, 4 * (9 + (16 << 10))));
    assert!(write(&mut output, &mut client));
    assert_eq!(client.writes, [4 * (9 + (16 << 10))]);
}

#[test]
fn all_goes_out_in_order_however_the_client_reads() {
    let (mut output, mut client) = (Output::default(), Client::default());
    let mut sent = Vec::new();
    for number in 0..2_000_usize {
        let (header, payload) = ([number as u8; 9], vec![(number / 3) as u8; number * 37 % 20_000]);
        sent.extend_from_slice(&header);
        sent.extend_from_slice(&payload);
        output.bytes().extend(header);
        output.push(payload.into());
        client.room += number * 131 % 11_000;
        write(&mut output, &mut client);
    }
    while !write(&mut output, &mut client) {
        client.room += 10_000;
    }
    assert!(client.all == sent, "what went out is not what was written");
}
