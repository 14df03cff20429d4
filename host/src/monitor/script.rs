//! A conversation, step by step.

use std::time::Duration;

use shunt_config::monitors::{Script, Step};
use thiserror::Error;
use tokio::time::timeout;

use super::dialogue::{self, Dialogue, shown};
use super::probe::{self, Ask, Good, ProbeTransport, Probing};

/// Why a step failed; steps count from 1.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("step {step}: {why}")]
    Broken { step: usize, why: dialogue::Failure },
    #[error("step {step}: {} within {within:?}, expected {expected:?}", came(.got))]
    TimedOut { step: usize, expected: String, got: String, within: Duration },
}

fn came(text: &str) -> String {
    if text.is_empty() { "nothing came".to_owned() } else { format!("got {text:?}") }
}

impl Ask for Script {
    async fn ask<S: ProbeTransport>(&self, probing: Probing<'_, S>) -> Result<Good, probe::Failure> {
        let whole = probing.timeout;
        let mut dialogue = Dialogue::open(probing).await?;
        let mut last = String::new();
        for (index, step) in self.steps.iter().enumerate() {
            let within = step.timeout.unwrap_or(whole);
            match timeout(within, take(step, &mut dialogue)).await {
                Ok(Ok(said)) => last = said.unwrap_or(last),
                Ok(Err(why)) => return Err(Failure::Broken { step: index + 1, why }.into()),
                Err(_) => {
                    let expected = step.expect.as_ref().map_or("", |it| it.as_str()).to_owned();
                    let got = shown(dialogue.unused());
                    return Err(Failure::TimedOut { step: index + 1, expected, got, within }.into());
                }
            }
        }
        let steps = self.steps.len();
        let steps = if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
        Ok(if last.is_empty() { steps } else { format!("{steps}, last got {last:?}") }.into())
    }
}

/// Takes a step; returns what came, if something was waited for.
async fn take(step: &Step, dialogue: &mut Dialogue) -> Result<Option<String>, dialogue::Failure> {
    if let Some(text) = &step.send {
        dialogue.say(text.as_bytes()).await?;
    }
    let Some(expected) = &step.expect else { return Ok(None) };
    while !expected.is_in(dialogue.unused()) {
        dialogue.more("what the step expects").await?;
    }
    let said = shown(dialogue.unused());
    dialogue.clear();
    Ok(Some(said))
}
