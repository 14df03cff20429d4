//! The interfaces that members are behind, and what the watches over these find together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shunt_config::monitors::Monitor;
use shunt_engine::convergence::{Interface, News};
use shunt_runtime::clock;
use shunt_sys::interfaces::Interfaces;

/// By their names. Those without watches go with the next reload.
#[derive(Debug, Default)]
pub(super) struct Behind {
    known: HashMap<String, Arc<Mutex<Interface>>>,
    routes: Option<Interfaces>,
}

/// One watch among those behind an interface; it leaves them when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    name: String,
    interface: Arc<Mutex<Interface>>,
    watch: u32,
    window: u64,
}

impl Behind {
    /// Asks for the interfaces anew.
    pub(super) fn refresh(&mut self) {
        self.known.retain(|_, interface| Arc::strong_count(interface) > 1);
        self.routes = Interfaces::read().ok();
    }

    /// A place for a watch over a member, of a number that no other has; `None`: the member is on this host, or there is no
    /// route to it.
    pub(super) fn join(&mut self, watch: u32, member: IpAddr, monitor: &Monitor) -> Option<Place> {
        let name = match &monitor.origin.interface {
            Some(name) => name.as_str(),
            None => self.routes.as_ref()?.toward(member)?,
        };
        let interface = Arc::clone(self.known.entry(name.to_owned()).or_default());
        interface.lock().unwrap_or_else(PoisonError::into_inner).join(watch, member);
        // Members are probed one after the other.
        let window = milliseconds(monitor.interval + monitor.timeout);
        Some(Place { name: name.to_owned(), interface, watch, window })
    }
}

impl Place {
    /// Takes the result of a probe. Gives the interface, if silence decides nothing about the member now.
    pub(super) fn observe(&self, silent: bool, convergence: Option<Duration>) -> Option<&str> {
        let now = clock::monotonic_ms();
        let mut interface = self.interface.lock().unwrap_or_else(PoisonError::into_inner);
        match interface.observe(self.watch, silent, self.window, now) {
            Some(News::Silent { silent, of }) => {
                let interface = &self.name;
                tracing::warn!(interface, silent, of, "most members behind an interface fell silent at once");
            }
            Some(News::Answered { after }) => {
                let (interface, lasted) = (&self.name, Duration::from_millis(after));
                tracing::info!(interface, ?lasted, "members behind an interface answer again");
            }
            None => {}
        }
        let holds = |convergence| interface.holds(milliseconds(convergence), now);
        convergence.is_some_and(holds).then_some(self.name.as_str())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.interface.lock().unwrap_or_else(PoisonError::into_inner).leave(self.watch);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
