//! How a packet would be handled, asked of the worker that has its flow.

use shunt_engine::datapath::{Asked, Datapath, Explanation, Question, Unasked, Verdict};
use tokio::sync::oneshot;

use crate::Packets;
use crate::worker::Command;
use crate::worker::driver::WorkerDriver;

/// A packet, and where it comes in.
#[derive(Clone, Debug)]
pub struct Query {
    /// The name of the interface; `None`: the one by which packets go back to its source.
    pub interface: Option<String>,
    pub asked: Asked,
}

/// How it would be handled.
#[derive(Clone, Debug)]
pub struct Answer {
    pub explanation: Explanation,
    /// What each rule that was called decided, in their order.
    pub traces: Vec<RuleTrace>,
}

/// What a rule that was called decided.
#[derive(Clone, Debug)]
pub struct RuleTrace {
    /// `virtual/rule`.
    pub rule: String,
    pub said: String,
}

impl Packets {
    /// Asks the worker that owns the flow of a packet how it would be handled. `None`: there is no worker.
    ///
    /// # Errors
    /// Why there is no such packet.
    pub async fn explain(&self, query: &Query) -> Option<Result<Answer, Unasked>> {
        let first = self.explain_by(0, query).await?;
        match first.as_ref().map(|told| told.explanation.verdict) {
            Ok(Verdict::HandOver { worker }) => self.explain_by(worker, query).await,
            _ => Some(first),
        }
    }

    async fn explain_by(&self, worker: usize, query: &Query) -> Option<Result<Answer, Unasked>> {
        let (reply, answer) = oneshot::channel();
        self.workers.get(worker)?.handle().send(Command::Explain { query: query.clone(), reply });
        answer.await.ok()
    }
}

/// A worker's answer.
///
/// # Errors
/// Why there is no such packet.
pub(crate) fn answer(
    now: u64,
    query: Query,
    datapath: &mut Datapath,
    driver: &mut WorkerDriver<'_, '_>,
) -> Result<Answer, Unasked> {
    let Query { interface, asked } = query;
    let link = match interface {
        Some(name) => {
            let mut links = driver.io.network.interfaces();
            Some(links.find(|link| *link.name == *name).ok_or(Unasked::UnknownLink)?.index)
        }
        None => None,
    };
    driver.rules.listen();
    let explained = datapath.explain(now, &Question { link, asked }, driver);
    let traces = driver.rules.traces();
    // Its variables go: it became no flow.
    driver.rules.decided(false);
    Ok(Answer { explanation: explained?, traces })
}
