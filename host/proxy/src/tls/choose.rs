//! `on-client-hello`: what becomes of a connection by what its client says first.

use std::sync::Arc;

use shunt_rules::{HelloVerdict, Hook};
use shunt_runtime::rules::chain::{Chain, Decision};
use tokio_rustls::rustls::ServerConfig;

use super::alert::Alert;
use super::hello::Hello;
use crate::connection::Connection;
use crate::route::Route;
use crate::view::VirtualView;

/// What the rules came to.
pub(crate) enum Plan {
    AsConfigured,
    Terminate(Arc<ServerConfig>),
    PassThrough,
    Refuse(Alert),
}

/// Asks the rules in their order, until one decides. Where they send the connection is its route.
pub(crate) fn on_client_hello(connection: &mut Connection, view: &VirtualView, hello: &Hello) -> Plan {
    let (flow, mut route) = (connection.flow, connection.route.clone());
    let asked = &*connection;
    let decision = Chain::new(Hook::OnClientHello, &view.rules).ask(|rule| {
        asked.with_runner(rule, |runner| {
            let verdict = asked.with_vars(|vars| runner.on_client_hello(&flow, &hello.said, vars))?;
            let (target, plan) = match verdict {
                HelloVerdict::Next => return Ok(None),
                HelloVerdict::Reject(alert) => return Ok(Some(Plan::Refuse(alert.into()))),
                HelloVerdict::To(target) => (target, Ok(Plan::AsConfigured)),
                HelloVerdict::PassThrough(target) => (target, Ok(Plan::PassThrough)),
                HelloVerdict::Terminate(terms) => {
                    let config = match &view.virtual_.tls {
                        Some(tls) => tls.on_terms(&terms),
                        None => Err("terminated TLS, which the virtual passes through".to_owned()),
                    };
                    (terms.target, config.map(Plan::Terminate))
                }
            };
            let redirected = plan.and_then(|plan| {
                route.redirect(rule, target, view.pool.as_ref())?;
                Ok(plan)
            });
            redirected.map(Some).map_err(|why| runner.refuse_verdict(Hook::OnClientHello, why))
        })
    });
    match decision {
        None => Plan::AsConfigured,
        Some(Decision::Verdict(plan)) => {
            connection.route = route;
            plan
        }
        Some(Decision::Refuse) => Plan::Refuse(Alert::InternalError),
        Some(Decision::Pool(pool)) => {
            connection.route = Route::to_pool(pool.clone());
            Plan::AsConfigured
        }
    }
}
