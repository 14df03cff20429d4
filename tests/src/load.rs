//! Traffic that must get through.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use crate::daemon::until;
use crate::raw::Client;

/// Clients that send one request after another, each on a connection that must never end.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    #[must_use]
    pub fn start(address: SocketAddr, clients: usize) -> Load {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let client = |number| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    let answer = if number % 2 == 0 {
                        client.get("/")
                    } else {
                        client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
                    };
                    assert_eq!(answer.status(), 200, "{}", answer.text());
                    done.fetch_add(1, SeqCst);
                }
            })
        };
        let clients = (0..clients).map(client).collect();
        Load { stop, done, clients }
    }

    /// Waits until so many more requests were answered.
    ///
    /// # Panics
    /// They are not.
    #[track_caller]
    pub fn go_on(&self, more: usize) {
        let before = self.done.load(SeqCst);
        let failed = || self.clients.iter().any(JoinHandle::is_finished);
        until("requests are answered", || failed() || self.done.load(SeqCst) >= before + more);
        assert!(!failed(), "a request failed");
    }

    /// How many requests were answered; every one of them well.
    ///
    /// # Panics
    /// One was not.
    #[track_caller]
    #[must_use]
    pub fn end(self) -> usize {
        self.stop.store(true, SeqCst);
        for client in self.clients {
            client.join().expect("a client without a failure");
        }
        self.done.load(SeqCst)
    }
}
