//! The XDP program that steers Shunt's frames to its sockets (`host/bpf`): loaded, given whose frames
//! are whose, attached, and gone with the process.

mod error;
mod link;
mod tables;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use aya::maps::{MapData, PerCpuArray, XskMap};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use shunt_wire::Mac;
use shunt_wire::steering::{self, Outcome};

use crate::netlink::Link;
use crate::xsk::Socket;
pub use error::XdpError;
use link::Way;
use tables::Tables;
pub use tables::Wanted;

/// The program, as `cargo xtask bpf` built it. The loader wants it aligned as an ELF file is.
const OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/shunt.bpf.o");

/// The program in the kernel. Dropping it detaches it everywhere; so does the kernel when the process
/// ends, however it ends.
pub struct Steering {
    /// Holds the maps that nothing below took out.
    ebpf: Ebpf,
    tables: Tables,
    sockets: XskMap<MapData>,
    outcomes: PerCpuArray<MapData, u64>,
    attached: BTreeMap<u32, Attached>,
}

/// How the program runs on an interface.
#[derive(Debug)]
pub enum Mode {
    /// In the driver, before the kernel makes a packet of the frame.
    Native,
    /// In the kernel's general receive path, which costs an allocation per frame: the driver refused,
    /// with this error.
    Generic { refusal: io::Error },
}

/// What the program did with a frame of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRan {
    /// The XDP action: 1 drop, 2 pass, 4 redirect (linux/bpf.h, `enum xdp_action`).
    pub action: u32,
    /// The mean over all repetitions.
    pub nanoseconds: u64,
}

struct Attached {
    first: u32,
    queues: u32,
    /// Detaches when dropped.
    _link: link::Link,
}

impl Steering {
    /// Loads the program; it runs nowhere yet.
    ///
    /// # Errors
    ///
    /// [`XdpError`]: not permitted, the kernel is too old, or it refuses the program.
    pub fn load() -> Result<Self, XdpError> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(XdpError::load)?;
        let program = program(&mut ebpf)?;
        program.load().map_err(XdpError::program)?;
        let tables = Tables::take(&mut ebpf)?;
        let mut take = |name| ebpf.take_map(name).ok_or(XdpError::Object);
        let sockets = take(steering::SOCKETS)?.try_into().map_err(XdpError::Map)?;
        let outcomes = take(steering::OUTCOMES)?.try_into().map_err(XdpError::Map)?;
        Ok(Self { ebpf, tables, sockets, outcomes, attached: BTreeMap::new() })
    }

    /// Tells the program whose frames are whose. What is new is added before what is gone is removed,
    /// so that a frame of both the old and the new never goes elsewhere.
    ///
    /// # Errors
    ///
    /// [`XdpError::Full`], and nothing has changed; [`XdpError::Map`] as the kernel gives it, and a
    /// part may have changed: calling again continues from there.
    pub fn steer(&mut self, wanted: &Wanted) -> Result<(), XdpError> {
        self.tables.steer(wanted)
    }

    /// Is there room for all that [`steer`](Self::steer) would tell it?
    ///
    /// # Errors
    ///
    /// [`XdpError::Full`].
    pub fn admits(&self, wanted: &Wanted) -> Result<(), XdpError> {
        self.tables.admits(wanted)
    }

    /// Attaches the program to an interface, and gives the frames of each queue to that queue's socket.
    /// The sockets are bound to this interface; frames of a queue without one are dropped and counted.
    ///
    /// # Errors
    ///
    /// [`XdpError`]; the interface is then as it was.
    pub fn attach<'a>(
        &mut self,
        interface: &Link,
        sockets: impl IntoIterator<Item = &'a Socket>,
    ) -> Result<Mode, XdpError> {
        if self.attached.contains_key(&interface.index) {
            return Err(XdpError::OtherProgram { interface: interface.name.clone() });
        }
        let sockets: Vec<&Socket> = sockets.into_iter().collect();
        let queues = sockets.iter().map(|socket| socket.queue() + 1).max().unwrap_or(0);
        let first =
            self.room(queues).ok_or(XdpError::Full { what: "sockets", most: steering::MAX_SOCKETS })?;
        match self.bind(interface, first, queues, &sockets) {
            Ok((link, mode)) => {
                self.attached.insert(interface.index, Attached { first, queues, _link: link });
                Ok(mode)
            }
            Err(error) => {
                self.forget(interface.index, first, queues);
                Err(error)
            }
        }
    }

    /// Detaches the program from an interface; nothing where it is not attached.
    pub fn detach(&mut self, interface: u32) {
        if let Some(Attached { first, queues, _link: link }) = self.attached.remove(&interface) {
            // The link first: while the program runs it would drop what has no socket.
            drop(link);
            self.forget(interface, first, queues);
        }
    }

    /// The interface has another MAC now.
    ///
    /// # Errors
    ///
    /// [`XdpError::Map`] as the kernel gives it. An interface without the program is left alone.
    pub fn set_mac(&mut self, interface: u32, mac: Mac) -> Result<(), XdpError> {
        let Some(attached) = self.attached.get(&interface) else { return Ok(()) };
        let entry = steering::Interface::new(attached.first, attached.queues, mac.0);
        self.tables.set_interface(interface, entry)
    }

    /// How often each outcome was, over all CPUs and interfaces since the program was loaded.
    ///
    /// # Errors
    ///
    /// As the kernel gives them.
    pub fn outcomes(&self) -> Result<[(Outcome, u64); Outcome::ALL.len()], XdpError> {
        let mut counts = Outcome::ALL.map(|outcome| (outcome, 0));
        for (outcome, count) in &mut counts {
            let per_cpu = self.outcomes.get(&(*outcome as u32), 0).map_err(XdpError::Map)?;
            *count = per_cpu.iter().sum();
        }
        Ok(counts)
    }

    /// Runs the program on a frame as if it had come in by queue 0 of this network namespace's
    /// loopback interface. A frame is 14 bytes at least (the kernel's bound).
    ///
    /// # Errors
    ///
    /// As the kernel gives them.
    pub fn test_run(&mut self, frame: &[u8], repeat: u32) -> Result<TestRan, XdpError> {
        let program = program(&mut self.ebpf)?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = repeat;
        let result = program.test_run(options).map_err(XdpError::program)?;
        let nanoseconds = u64::try_from(result.duration.as_nanos()).unwrap_or(u64::MAX);
        Ok(TestRan { action: result.return_value, nanoseconds })
    }

    /// Where so many sockets of one interface fit side by side.
    fn room(&self, queues: u32) -> Option<u32> {
        let mut taken: Vec<(u32, u32)> = self.attached.values().map(|it| (it.first, it.queues)).collect();
        taken.sort_unstable();
        let mut first = 0;
        for (start, length) in taken {
            if start - first >= queues {
                break;
            }
            first = start + length;
        }
        (first + queues <= steering::MAX_SOCKETS).then_some(first)
    }

    fn bind(
        &mut self,
        interface: &Link,
        first: u32,
        queues: u32,
        sockets: &[&Socket],
    ) -> Result<(link::Link, Mode), XdpError> {
        for socket in sockets {
            self.sockets.set(first + socket.queue(), *socket, 0).map_err(XdpError::Map)?;
        }
        let entry = steering::Interface::new(first, queues, interface.mac.0);
        self.tables.set_interface(interface.index, entry)?;
        // Last: from here on frames come.
        self.link(interface)
    }

    fn link(&mut self, interface: &Link) -> Result<(link::Link, Mode), XdpError> {
        let program = program(&mut self.ebpf)?;
        let program = program.fd().map_err(XdpError::program)?.as_fd();
        let refusal = match link::Link::create(program, interface.index, Way::Native) {
            Ok(link) => return Ok((link, Mode::Native)),
            Err(refusal) => refusal,
        };
        // Some refusals are of the program or the caller, not of the driver.
        if let Some(error) = XdpError::final_refusal(&refusal, &interface.name) {
            return Err(error);
        }
        let link = link::Link::create(program, interface.index, Way::Generic)
            .map_err(|refusal| XdpError::attach(refusal, interface))?;
        Ok((link, Mode::Generic { refusal }))
    }

    fn forget(&mut self, interface: u32, first: u32, queues: u32) {
        self.tables.remove_interface(interface);
        for place in first..first + queues {
            // A closed socket has left by itself.
            let _ = self.sockets.unset(place);
        }
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, XdpError> {
    let program = ebpf.program_mut(steering::PROGRAM).ok_or(XdpError::Object)?;
    program.try_into().map_err(|_| XdpError::Object)
}
