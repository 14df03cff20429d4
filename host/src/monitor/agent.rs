//! An agent of the member says how it is, in the words of HAProxy's `agent-check`.

use std::net::SocketAddr;

use shunt_config::monitors::Agent;
use shunt_engine::member::Admin;
use thiserror::Error;

use super::dialogue::{self, Dialogue, MARGIN, shown};
use super::probe::{self, Ask, Good, ProbeTransport, Probing};

/// Why there is no answer, or not a good one.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// The member says so.
    #[error("the agent says {0:?}")]
    Down(String),
    #[error("the agent does not answer: {0}")]
    Silent(Box<probe::Failure>),
    #[error("the agent says {0:?}, which means nothing here")]
    Foreign(String),
}

/// What an agent says of its member. What it leaves out stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Of new clients, and of those that are bound to it.
    pub(super) admin: Option<Admin>,
    /// Of its weight.
    pub(super) percent: Option<u8>,
    pub(super) up: Option<bool>,
}

impl Ask for Agent {
    async fn ask<S: ProbeTransport>(&self, mut probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        probing.to = SocketAddr::new(probing.to.ip(), self.port);
        // It is no server of the pool's protocol.
        (probing.tls, probing.proxy_protocol) = (None, None);
        let whole = probing.timeout;
        // Before the probe as a whole is late: that would speak against the member.
        let answer = tokio::time::timeout(whole.saturating_sub(MARGIN), line(self, probing)).await;
        let line = answer.unwrap_or(Err(probe::Failure::TimedOut(whole)));
        let line = line.map_err(|failure| Failure::Silent(Box::new(failure)))?;
        let Some(said) = understood(&line) else {
            return Err(Failure::Foreign(shown(line.as_bytes())).into());
        };
        let text = shown(line.as_bytes());
        if said.up == Some(false) {
            return Err(Failure::Down(text).into());
        }
        Ok(Good { said: format!("the agent says {text:?}").into(), warning: None, agent: Some(said) })
    }
}

/// The first line, or all that comes.
async fn line<S: ProbeTransport>(agent: &Agent, probing: Probing<'_, S>) -> Result<String, probe::Failure> {
    let mut dialogue = Dialogue::open(probing).await?;
    if let Some(text) = &agent.send {
        dialogue.say(text.as_bytes()).await?;
    }
    match dialogue.line("the answer").await {
        Err(dialogue::Failure::Closed(_)) if !dialogue.unused().is_empty() => {
            Ok(String::from_utf8_lossy(dialogue.unused()).into_owned())
        }
        line => Ok(line?),
    }
}

/// Words, apart by spaces, tabs or commas, up to a `#`; `None`: none of them is known.
fn understood(line: &str) -> Option<Said> {
    let words = line.split('#').next().unwrap_or_default().split([' ', '\t', ',', '\r']);
    let mut said = Said::default();
    for word in words {
        match word.to_ascii_lowercase().as_str() {
            "up" => said.up = Some(true),
            "down" | "failed" | "stopped" | "fail" => said.up = Some(false),
            "ready" => said.admin = Some(Admin::Enabled),
            "drain" => said.admin = Some(Admin::Draining),
            "maint" => said.admin = Some(Admin::Disabled),
            word => {
                let percent = word.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
                said.percent = percent.and_then(|it| u8::try_from(it.min(100)).ok()).or(said.percent);
            }
        }
    }
    (said != Said::default()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_says_is_understood() {
        let said = |up, admin, percent| Some(Said { up, admin, percent });
        assert_eq!(understood("up"), said(Some(true), None, None));
        assert_eq!(understood("75%"), said(None, None, Some(75)));
        assert_eq!(understood("UP, ready 150%"), said(Some(true), Some(Admin::Enabled), Some(100)));
        assert_eq!(understood("drain"), said(None, Some(Admin::Draining), None));
        assert_eq!(understood("maint # until noon"), said(None, Some(Admin::Disabled), None));
        assert_eq!(understood("down#disk full, not up"), said(Some(false), None, None));
        assert_eq!(understood("ready up 0% maxconn:30"), said(Some(true), Some(Admin::Enabled), Some(0)));
        for foreign in ["", "hello", "%", "# up"] {
            assert_eq!(understood(foreign), None, "{foreign}");
        }
    }
}
