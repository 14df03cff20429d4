//! `shunt doctor`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::format::count;
use super::screen::{Paint, Screen, Tone};
use shunt_api::status::Status;

use crate::control::ApplyError;
use crate::doctor::{self, Facts, Finding, Outcome};

/// Looks for what keeps packet virtuals from working.
///
/// # Errors
/// The configuration or the network cannot be read, or something is wrong.
pub(super) fn doctor(config: &Path, socket: Option<PathBuf>, screen: &Screen) -> Result<(), Failure> {
    let config = shunt_config::load(config)
        .map_err(|report| Failure::not_applied(&ApplyError::Config(report), "nothing was checked"))?;
    let facts = Facts::read(&config).map_err(|error| Failure::failed("system", error))?;
    let mut findings = doctor::examine(&config, &facts);
    findings.extend(running(&Client::new(socket.unwrap_or(config.admin.socket))));
    let failed = findings.iter().filter(|it| it.result == Outcome::Failed).count();
    screen.show(&json!({ "findings": findings, "failed": failed }), |paint| told(&findings, paint));
    if failed == 0 {
        return Ok(());
    }
    let message = format!(
        "{} packet virtuals from working",
        if failed == 1 { "1 problem keeps".to_owned() } else { format!("{failed} problems keep") }
    );
    Err(Failure::new(Exit::Failed, "unhealthy", message))
}

/// What the daemon says, where one runs: how the kernel runs its program, and what names stand for, is not known before.
fn running(client: &Client) -> Vec<Finding> {
    let status = client.get("status").and_then(|answer| client.read::<Status>(&answer));
    let Ok(status) = status else { return Vec::new() };
    let names =
        status.pools.iter().flat_map(|pool| pool.names.iter().map(|it| doctor::resolved(&pool.name, it)));
    let interfaces = status.packets.iter().flat_map(|packets| &packets.interfaces);
    names.chain(interfaces.map(|it| doctor::attached(&it.name, &it.mode))).collect()
}

/// A line for each finding, and one for what to do; what failed comes last, where it is seen.
fn told(findings: &[Finding], paint: Paint) -> String {
    let mut text = String::new();
    for result in [Outcome::Good, Outcome::Note, Outcome::Failed] {
        let (word, tone) = match result {
            Outcome::Good => ("ok  ", Tone::Good),
            Outcome::Note => ("note", Tone::Head),
            Outcome::Failed => ("FAIL", Tone::Bad),
        };
        for Finding { about, found, remedy, .. } in findings.iter().filter(|it| it.result == result) {
            text.push_str(&format!("{}  {about}: {found}\n", paint.on(tone, word)));
            if let Some(remedy) = remedy {
                text.push_str(&format!("      {} {remedy}\n", paint.on(Tone::Faint, "->")));
            }
        }
    }
    let number = |result| findings.iter().filter(|it| it.result == result).count();
    let (good, notes) = (number(Outcome::Good), count(number(Outcome::Note), "note"));
    text.push_str(&format!("\n{good} ok, {notes}, {} failed\n", number(Outcome::Failed)));
    text
}
