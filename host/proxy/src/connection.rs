//! A client's connection as its rules see it, whatever protocol runs over it.

use std::cell::{OnceCell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use shunt_config::tls::CertificateField;
use shunt_rules::{ClientCertificate, Exchange, Flow, Isolation, Runner, Vars};
use shunt_sys::netlink;

use crate::http::member::Kept;
use crate::member::MemberView;
use crate::proxy_protocol::OfTls;
use crate::route::Route;
use crate::trace::Trace;
use crate::view::{PoolView, RuleView, VirtualView};

/// What everything on one connection shares.
pub(crate) struct Connection {
    pub(crate) flow: Flow,
    pub(crate) tls: bool,
    /// The client's own connection is TLS: this one, or that to a proxy in front.
    pub(crate) https: bool,
    /// A proxy whose word about the client is kept.
    pub(crate) is_trusted: bool,
    /// Where `on-flow` sent the connection; requests go there unless a rule says otherwise.
    pub(crate) route: Route,
    /// What members are to know of the client's certificate; set where it showed one.
    pub(crate) certificate: OnceCell<Vec<(CertificateField, String)>>,
    /// What members may be told of the client's TLS by the PROXY protocol; set where one of them is.
    pub(crate) of_tls: OnceCell<Box<OfTls>>,
    /// The certificate itself, for rules.
    pub(crate) shown: OnceCell<Arc<dyn ClientCertificate>>,
    /// What is said of the client in each request.
    pub(crate) told: crate::http::fields::Told,
    /// What the client calls the session of TLS that is passed through; empty where it has none.
    pub(crate) session: Box<[u8]>,
    /// Variables of scope `flow`.
    vars: RefCell<Vars>,
    /// Instances of rules with isolation `flow`, made when first called.
    runners: RefCell<Vec<(Rc<RuleView>, Runner)>>,
    /// Idle connections to members that begin with who this client is: they are its own, and end with it.
    own: RefCell<Vec<(Rc<MemberView>, Rc<Kept>)>>,
    /// Takes note of what it passes.
    pub(crate) trace: Option<Rc<Trace>>,
    /// What the client connected to, as a member; `None` in it: it cannot be one.
    destination: OnceCell<Option<Rc<MemberView>>>,
}

impl Connection {
    pub(crate) fn new(flow: Flow, tls: bool) -> Self {
        Connection {
            flow,
            tls,
            https: tls,
            is_trusted: false,
            route: Route::default(),
            certificate: OnceCell::new(),
            of_tls: OnceCell::new(),
            shown: OnceCell::new(),
            told: Default::default(),
            session: Box::default(),
            vars: RefCell::default(),
            runners: RefCell::default(),
            own: RefCell::default(),
            trace: None,
            destination: OnceCell::new(),
        }
    }

    /// Where idle connections to a member are that serve this client alone; `None`: the member's serve all clients.
    pub(crate) fn own_kept(&self, member: &Rc<MemberView>) -> Option<Rc<Kept>> {
        if !member.knows_clients() {
            return None;
        }
        let mut own = self.own.borrow_mut();
        if let Some((_, kept)) = own.iter().find(|(of, _)| Rc::ptr_eq(of, member)) {
            return Some(Rc::clone(kept));
        }
        // Those of members that a reload took out are used no more.
        own.retain(|(of, _)| Rc::strong_count(of) > 1);
        let kept = Rc::new(member.kept.alike());
        own.push((Rc::clone(member), Rc::clone(&kept)));
        Some(kept)
    }

    /// What the client connected to, where that is for the virtual to reach. Addresses of this host are not: at them Shunt
    /// itself listens.
    pub(crate) fn destination(&self, view: &VirtualView) -> Option<&Rc<MemberView>> {
        let find = || {
            let to = self.flow.vip;
            let reaches = view.virtual_.settings.transparent && !netlink::is_own(to.ip()).unwrap_or(true);
            reaches.then(|| Rc::new(MemberView::destination(to)))
        };
        self.destination.get_or_init(find).as_ref()
    }

    /// Whether the client is one of the caches of this pool, which asks for what it lacks.
    pub(crate) fn is_of_cache(&self, view: &VirtualView, pool: &PoolView) -> bool {
        let client = self.flow.client.ip();
        view.virtual_.settings.transparent && pool.members.iter().any(|it| it.address.ip() == client)
    }

    /// Calls a rule through the instance that its isolation asks for.
    pub(crate) fn with_runner<T>(&self, rule: &Rc<RuleView>, call: impl FnOnce(&mut Runner) -> T) -> T {
        self.with_runner_of(self.trace.as_deref(), rule, call)
    }

    /// The same for a trace, if there is one.
    pub(crate) fn with_runner_of<T>(
        &self,
        trace: Option<&Trace>,
        rule: &Rc<RuleView>,
        call: impl FnOnce(&mut Runner) -> T,
    ) -> T {
        let Some(trace) = trace else { return self.lend_runner(rule, call) };
        self.lend_runner(rule, |runner| {
            runner.listen();
            let result = call(runner);
            trace.called(runner.heard());
            result
        })
    }

    fn lend_runner<T>(&self, rule: &Rc<RuleView>, call: impl FnOnce(&mut Runner) -> T) -> T {
        if rule.attachment.isolation() != Isolation::Flow {
            return call(&mut rule.runner.borrow_mut());
        }
        let mut runners = self.runners.borrow_mut();
        let index = runners.iter().position(|(of, _)| Arc::ptr_eq(&of.attachment, &rule.attachment));
        let index = index.unwrap_or_else(|| {
            runners.push((Rc::clone(rule), Runner::new(rule.attachment.clone())));
            runners.len() - 1
        });
        call(&mut runners[index].1)
    }

    /// Lends the variables of scope `flow` for one call, which does not wait for anything: streams take turns
    /// with them, and each finds what all others have set.
    pub(crate) fn with_vars<T>(&self, call: impl FnOnce(&mut Vars) -> T) -> T {
        call(&mut self.vars.borrow_mut())
    }

    /// The same to a call about an exchange.
    pub(crate) fn with_vars_in<T>(
        &self,
        exchange: &mut Box<Exchange>,
        call: impl FnOnce(&mut Box<Exchange>) -> T,
    ) -> T {
        self.with_vars(|vars| {
            mem::swap(vars, &mut exchange.flow_vars);
            let result = call(exchange);
            mem::swap(vars, &mut exchange.flow_vars);
            result
        })
    }
}
