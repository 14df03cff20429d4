//! What this host is, as far as virtuals depend on it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use shunt_engine::network::Network;
use shunt_sys::netlink::{LocalMarks, Netlink, NetworkState};
use shunt_sys::xsk;

use shunt_config::model::Config;
use shunt_packets::network_of;
use shunt_runtime::tls::{self, Invalid, Revocation, Served, Tls};

/// Read once; what is not known is absent.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The release of the kernel: `6.18.5`.
    pub kernel: String,
    /// The effective capabilities of this process, as a set of bits (capabilities(7)).
    pub capabilities: u64,
    pub cores: usize,
    /// The hard limit of open files (getrlimit(2)); `None`: it is not known.
    pub open_files: Option<u64>,
    pub state: NetworkState,
    pub network: Network,
    /// Marks of packets that come to this host's sockets, whatever their destination is.
    pub local_marks: LocalMarks,
    /// Of the interfaces that the configuration names, and the carriers of VLANs among them, by number.
    pub ports: BTreeMap<u32, PortFacts>,
    /// By their path under `/proc/sys`.
    pub sysctls: BTreeMap<String, String>,
    /// Of each virtual with TLS, by its name: the certificates, or what is wrong with its files.
    pub certificates: BTreeMap<String, Result<Expiring, Vec<String>>>,
    /// The time, in seconds of Unix time.
    pub now: i64,
}

/// What comes to expire of the files of a virtual.
#[derive(Clone, Debug, Default)]
pub struct Expiring {
    pub certificates: Vec<Served>,
    pub revocation: Vec<Revocation>,
}

#[derive(Clone, Debug, Default)]
pub struct PortFacts {
    /// Receive queues.
    pub queues: Option<u32>,
}

impl Facts {
    /// Reads what the configuration makes interesting. Needs no privilege.
    ///
    /// # Errors
    /// The network cannot be read.
    pub fn read(config: &Config) -> io::Result<Facts> {
        let state = Netlink::open()?.state().clone();
        let named: Vec<&String> = config.packet_interfaces().collect();
        let mut ports = BTreeMap::new();
        for link in state.links.values().filter(|link| named.contains(&&link.name)) {
            let carrier = link.vlan.and_then(|vlan| state.links.get(&vlan.parent));
            for port in [Some(link), carrier].into_iter().flatten() {
                ports.insert(port.index, PortFacts { queues: xsk::queues(port).ok() });
            }
        }
        let named_tuns = state.links.values().filter(|link| link.tun && named.contains(&&link.name));
        let tuns = named_tuns.map(|link| link.index).collect();
        let sysctl = |name: String| {
            let text = std::fs::read_to_string(Path::new("/proc/sys").join(&name)).ok()?;
            Some((name, text.trim().to_owned()))
        };
        let of_interfaces = named.iter().map(|name| format!("net/ipv6/conf/{name}/disable_ipv6"));
        let general = [
            "kernel/osrelease",
            "net/core/rmem_max",
            "net/ipv4/ip_forward",
            "net/ipv4/ip_local_port_range",
            "net/ipv6/conf/all/forwarding",
        ]
        .map(str::to_owned);
        let sysctls: BTreeMap<_, _> = general.into_iter().chain(of_interfaces).filter_map(sysctl).collect();
        Ok(Facts {
            kernel: sysctls.get("kernel/osrelease").cloned().unwrap_or_default(),
            capabilities: capabilities(),
            open_files: shunt_sys::files::hard_limit().ok(),
            cores: shunt_sys::cores::usable()?.len(),
            network: network_of(&state, &tuns),
            local_marks: LocalMarks::read()?,
            state,
            ports,
            sysctls,
            certificates: certificates(config),
            now: tls::now(),
        })
    }

    pub(super) fn sysctl(&self, name: &str) -> Option<&str> {
        self.sysctls.get(name).map(String::as_str)
    }
}

fn certificates(config: &Config) -> BTreeMap<String, Result<Expiring, Vec<String>>> {
    let virtuals = config.virtuals.iter().filter_map(|it| Some((it.name.clone(), it.tls.as_ref()?)));
    let read = |settings| match Tls::load(settings, None, Invalid::Served) {
        Ok(tls) => {
            Ok(Expiring { certificates: tls.certificates.clone(), revocation: tls.revocation.clone() })
        }
        Err(problems) => Err(problems.into_iter().map(|it| it.error.to_string()).collect()),
    };
    virtuals.map(|(name, settings)| (name, read(settings))).collect()
}

fn capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default()
}
