//! Packet virtuals in a change: sockets, programs, devices and the next snapshot are made before any worker takes
//! something over, and taken back where the change is not to be.

use std::collections::HashMap;
use std::sync::Arc;

use shunt_engine::datapath::Left;
use shunt_sys::netlink::{Link, Netlink};
use shunt_sys::tun::Tun;
use shunt_sys::xsk::Socket;
use tokio::sync::oneshot;

use super::plane::{Packets, without_ports};
use super::ports::{self, Named, Needed, Needs, Opened, chain};
use super::probe_link::{Places, ProbeLink};
use super::probes::Probes;
use super::snapshot::{Loaded, Parts, Takes, load, pools_of_packets};
use crate::worker::Command;
use crate::worker::rules::NewRules;
use shunt_config::model::Config;
use shunt_runtime::Snapshot;
use shunt_runtime::plane::{Next, Plane, Preparation, Prepared, Step};

/// The plane of packet virtuals.
pub struct PacketPlane {
    most_workers: usize,
    /// Decides which worker owns a flow.
    key: [u64; 2],
    probes: Arc<Probes>,
    /// While there are packet virtuals.
    running: Option<Packets>,
}

/// What a change makes of the interfaces.
pub(crate) struct Interfaces {
    /// Those that virtuals name.
    pub(crate) links: HashMap<String, Named>,
    /// Of new ones, by worker.
    pub(crate) opened: Vec<Opened>,
    /// TUN devices that are new.
    pub(crate) tuns: Vec<Link>,
    /// Those that are not used any more.
    pub(crate) gone: Vec<u32>,
    /// What the probe interface is to have.
    pub(crate) places: Places,
}

/// What workers take over.
pub(crate) struct Workload {
    pub(crate) loaded: Arc<Loaded>,
    /// By worker.
    pub(crate) rules: Vec<NewRules>,
}

/// A change that is ready.
struct Ready<'a> {
    plane: &'a mut PacketPlane,
    /// Workers, where there were none.
    opened: Option<Packets>,
    /// `None`: there are to be no packet virtuals any more.
    change: Option<Change>,
    is_committed: bool,
}

/// What is made of one change.
#[derive(Default)]
struct Change {
    interfaces: Option<Interfaces>,
    /// Interfaces that the program was attached to for it.
    attached: Vec<u32>,
    /// The probe interface, if it is new.
    probe_link: Option<ProbeLink>,
    /// What the probe interface that there is was given for it.
    added: Places,
    workload: Option<Workload>,
    config: Option<Arc<Config>>,
    snapshot: Option<Arc<Snapshot>>,
}

impl PacketPlane {
    pub fn new(most_workers: usize, key: [u64; 2], probes: Arc<Probes>) -> Self {
        PacketPlane { most_workers, key, probes, running: None }
    }

    /// `None`: there are no packet virtuals.
    pub fn running(&self) -> Option<&Packets> {
        self.running.as_ref()
    }

    async fn ready<'a>(&'a mut self, next: Next<'a>) -> Preparation<'a> {
        if !next.config.forwards_packets() {
            if self.running.is_none() {
                return Ok(None);
            }
            return Ok(Some(Box::new(Ready {
                plane: self,
                opened: None,
                change: None,
                is_committed: false,
            })));
        }
        let opened = match &self.running {
            Some(_) => None,
            None => Some(Packets::open(next.config, self.most_workers, self.key, &self.probes)?),
        };
        // From here on everything that is made is in it, and goes with it.
        let change = Change {
            config: Some(Arc::clone(next.config)),
            snapshot: Some(Arc::clone(next.snapshot)),
            ..Change::default()
        };
        let mut ready = Ready { plane: self, opened, change: Some(change), is_committed: false };
        ready.prepare(next).await?;
        Ok(Some(Box::new(ready)))
    }
}

impl Plane for PacketPlane {
    fn prepare<'a>(&'a mut self, next: Next<'a>) -> Step<'a, Preparation<'a>> {
        Box::pin(self.ready(next))
    }

    fn drain(&mut self) -> Step<'_, Vec<oneshot::Receiver<()>>> {
        Box::pin(async {
            if let Some(packets) = &mut self.running {
                packets.close().await;
            }
            // Nobody says of a flow without a connection that it is over: see [`Packets::has_open_flows`].
            Vec::new()
        })
    }
}

impl Ready<'_> {
    /// Makes what workers take over, where a change concerns them.
    async fn prepare(&mut self, next: Next<'_>) -> Result<(), Vec<String>> {
        let Ready { plane, opened, change: Some(change), .. } = self else { return Ok(()) };
        let is_new = opened.is_some();
        let Some(packets) = opened.as_mut().or(plane.running.as_mut()) else { return Ok(()) };
        let same_config = packets.config.as_ref().is_some_and(|config| Arc::ptr_eq(config, next.config));
        // Of rules alone a load changes nothing else, whatever has become of the interfaces meanwhile.
        if !same_config {
            prepare_interfaces(packets, next.config, change)?;
        }
        let stays = change.interfaces.as_ref().is_none_or(|interfaces| {
            interfaces.opened.iter().all(Opened::is_empty)
                && interfaces.gone.is_empty()
                && interfaces.links == packets.links
                && interfaces.places == *packets.places()
        });
        let leases = |config: &Arc<Config>| config.snat_pools == next.config.snat_pools;
        let same_leases = packets.config.as_ref().is_some_and(leases);
        if !is_new && stays && same_leases && !concerns(next.before, next.snapshot) {
            change.interfaces = None;
            return Ok(());
        }
        warn_of_flows(packets, next.config);
        let released = packets.released().await?;
        let links = change.interfaces.as_ref().map_or(&packets.links, |it| &it.links);
        let probes = change.probe_link.as_ref().or(packets.probe_link.as_ref()).map(ProbeLink::index);
        let parts = Parts {
            snapshot: next.snapshot,
            snat_pools: &next.config.snat_pools,
            links,
            probes: probes.filter(|_| !Places::of(next.config).is_empty()),
            takes: Takes::NewFlows,
        };
        let workload = packets.workload(&parts, &released).await?;
        packets.steered().admits(workload.loaded.wanted()).map_err(|error| vec![chain(&error)])?;
        change.workload = Some(workload);
        Ok(())
    }
}

impl Prepared for Ready<'_> {
    fn commit<'a>(mut self: Box<Self>) -> Step<'a, ()>
    where
        Self: 'a,
    {
        Box::pin(async move {
            self.is_committed = true;
            let Some(change) = self.change.take() else {
                self.plane.running = None;
                return;
            };
            if let Some(opened) = self.opened.take() {
                self.plane.running = Some(opened);
            }
            let Some(packets) = &mut self.plane.running else { return };
            let Change { interfaces, probe_link, workload, config, snapshot, .. } = change;
            (packets.config, packets.snapshot) = (config, snapshot);
            if let Some(probe_link) = probe_link {
                packets.probe_link = Some(probe_link);
            }
            if let Some(workload) = workload {
                packets.apply(interfaces, workload).await;
            }
        })
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        let Some(change) = self.change.take().filter(|_| !self.is_committed) else { return };
        // Workers that were started for it take all they had with them.
        let Some(packets) = self.plane.running.as_mut().filter(|_| self.opened.is_none()) else { return };
        let own = packets.probe_link.as_ref().map(ProbeLink::index);
        if let Some(link) = &mut packets.probe_link {
            link.remove(&change.added);
        }
        let mut steered = packets.steered();
        change.attached.iter().for_each(|interface| steered.detach(*interface));
        steered.set_probe_link(own);
    }
}

/// Opens the interfaces that a configuration needs and that are not open yet: sockets, the program on them, and the
/// probe interface.
fn prepare_interfaces(
    packets: &mut Packets,
    config: &Config,
    change: &mut Change,
) -> Result<(), Vec<String>> {
    let netlink = Netlink::open().map_err(|error| vec![format!("packet virtuals: {error}")])?;
    let mut state = netlink.state().clone();
    // What the probe interface has was given to it here.
    let own = packets.probe_link.as_ref().map(ProbeLink::index);
    state.addresses.retain(|address| Some(address.interface) != own);
    let Needed { links, ports, tuns } = ports::find(config, &state)?;
    let workers = packets.workers.len();
    let mut problems: Vec<String> =
        config.snat_pools.iter().filter_map(|pool| without_ports(pool, workers)).collect();
    let open = packets.steered().ports().clone();
    let is_needed =
        |index: &u32| ports.iter().map(|needs| &needs.link).chain(&tuns).any(|link| link.index == *index);
    let mut gone: Vec<u32> = open.keys().copied().filter(|index| !is_needed(index)).collect();
    let new: Vec<&Needs> = ports.iter().filter(|needs| !open.contains_key(&needs.link.index)).collect();
    let new_tuns: Vec<Link> = tuns.iter().filter(|link| !open.contains_key(&link.index)).cloned().collect();
    let mut shares: Vec<Opened> = (0..workers).map(|_| Opened::default()).collect();
    match (open_sockets(packets, &new, change), open_tuns(&new_tuns)) {
        (Ok(sockets), Ok(tuns)) => {
            for socket in sockets {
                let worker = socket.queue() as usize % workers;
                shares[worker].sockets.push(socket);
            }
            tuns.into_iter().for_each(|tun| share_tun(&mut shares, tun));
        }
        (sockets, tuns) => {
            problems.extend(sockets.err().into_iter().chain(tuns.err()).flatten());
        }
    }
    let places = Places::of(config);
    // Somebody may have taken the device away.
    let has_own = own.is_some_and(|own| state.links.contains_key(&own));
    match prepare_probe_link(packets, &places, has_own, change) {
        Ok(Some(tun)) => share_tun(&mut shares, tun),
        Ok(None) => {}
        Err(problem) => problems.push(problem),
    }
    gone.extend(own.filter(|_| places.is_empty() || !has_own));
    if !problems.is_empty() {
        return Err(problems);
    }
    change.interfaces = Some(Interfaces { links, opened: shares, tuns: new_tuns, gone, places });
    Ok(())
}

/// Opens the sockets of new interfaces, and attaches the program to them.
fn open_sockets(packets: &Packets, new: &[&Needs], change: &mut Change) -> Result<Vec<Socket>, Vec<String>> {
    let (mut opened, mut problems) = (Vec::new(), Vec::new());
    for needs in new {
        match ports::open(needs) {
            Ok(sockets) => opened.push((needs, sockets)),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut steered = packets.steered();
    for (needs, sockets) in &opened {
        match steered.attach(needs, sockets) {
            Ok(()) => change.attached.push(needs.link.index),
            Err(error) => problems.push(chain(&error)),
        }
    }
    if problems.is_empty() {
        Ok(opened.into_iter().flat_map(|(_, sockets)| sockets).collect())
    } else {
        Err(problems)
    }
}

fn open_tuns(new: &[Link]) -> Result<Vec<Tun>, Vec<String>> {
    let (mut opened, mut problems) = (Vec::new(), Vec::new());
    for link in new {
        match Tun::open(link) {
            Ok(tun) => opened.push(tun),
            Err(error) => problems.push(error.to_string()),
        }
    }
    if problems.is_empty() { Ok(opened) } else { Err(problems) }
}

/// A device has one queue; the first worker reads it, and all write.
fn share_tun(shares: &mut [Opened], tun: Tun) {
    let Some((first, others)) = shares.split_first_mut() else { return };
    others.iter_mut().for_each(|share| share.writers.push(tun.writer()));
    first.tuns.push(tun);
}

/// Gives the probe interface what it is to have beside what it has, and makes it where there is none.
fn prepare_probe_link(
    packets: &mut Packets,
    places: &Places,
    has_own: bool,
    change: &mut Change,
) -> Result<Option<Tun>, String> {
    if places.is_empty() {
        return Ok(None);
    }
    if let Some(link) = packets.probe_link.as_mut().filter(|_| has_own) {
        change.added = link.add(places)?;
        return Ok(None);
    }
    let (mut link, tun) = ProbeLink::open()?;
    packets.steered().set_probe_link(Some(link.index()));
    let added = link.add(places);
    change.probe_link = Some(link);
    added.map(|_| Some(tun))
}

/// Does a change concern what packets are done with?
pub(crate) fn concerns(before: &Snapshot, after: &Snapshot) -> bool {
    let of = |snapshot: &Snapshot| {
        let virtuals = snapshot.packet_virtuals.iter().map(|it| Arc::as_ptr(it).cast::<()>());
        let translators = snapshot.translators.iter().map(|it| Arc::as_ptr(it).cast::<()>());
        let pools = pools_of_packets(snapshot);
        let pools: Vec<_> = pools.iter().map(|it| Arc::as_ptr(it).cast::<()>()).collect();
        (virtuals.collect::<Vec<_>>(), translators.collect::<Vec<_>>(), pools)
    };
    of(before) != of(after)
}

/// The tables are as large as they were made.
fn warn_of_flows(packets: &Packets, config: &Config) {
    let (wanted, most) = (super::plane::flows_of(config), packets.most_flows);
    if wanted > most {
        tracing::warn!(
            "the packet virtuals' limits.flows add up to {wanted}; the flow tables were made for {most} flows, and grow only at \
             the next start: restart Shunt"
        );
    }
}

impl Packets {
    /// What flows need no more of that which left the configuration.
    async fn released(&self) -> Result<Left, Vec<String>> {
        let mut left = self.loaded.as_ref().map(|loaded| loaded.engine.left()).unwrap_or_default();
        if self.loaded.is_none() {
            return Ok(left);
        }
        for worker in &self.workers {
            let (reply, answer) = oneshot::channel();
            worker.handle().send(Command::Released { left, reply });
            left = answer.await.map_err(|_| vec!["a packet worker has ended; restart Shunt".to_owned()])?;
        }
        Ok(left)
    }

    /// What workers take over. Rules that are new get their instances here, aside from everything else.
    pub(crate) async fn workload(&self, parts: &Parts<'_>, released: &Left) -> Result<Workload, Vec<String>> {
        let before = self.loaded.clone();
        let loaded = load(parts, before.as_deref().map(|before| (before, released)))
            .map_err(|conflict| vec![format!("packet virtuals contradict each other: {conflict:?}")])?;
        let (loaded, workers) = (Arc::new(loaded), self.workers.len());
        let of_workers = Arc::clone(&loaded);
        let rules = tokio::task::spawn_blocking(move || {
            (0..workers).map(|_| NewRules::prepare(&of_workers, before.as_deref())).collect()
        });
        let rules = rules.await.map_err(|error| vec![format!("packet virtuals: {error}")])?;
        Ok(Workload { loaded, rules })
    }
}
