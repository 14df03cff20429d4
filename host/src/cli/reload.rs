//! `shunt reload`

use http::Method;
use serde_json::json;

use super::args::Allowing;
use super::client::{Body, Client};
use super::failure::Failure;
use super::screen::Screen;
use shunt_api::status::ReloadSummary;

/// Has the daemon read its configuration again.
///
/// # Errors
/// No daemon answers, or the configuration is refused.
pub(super) fn reload(allowed: Allowing, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let Allowing { allow_downgrade, accept_grants } = allowed;
    let body = json!({ "allow-downgrade": allow_downgrade, "accept-grants": accept_grants });
    let body = if allow_downgrade || accept_grants { Body::Json(body) } else { Body::None };
    let answer = client.ask(Method::POST, &["reload"], body)?;
    let summary: ReloadSummary = client.read(&answer)?;
    screen.show(&answer, |_| told(&summary));
    Ok(())
}

fn told(summary: &ReloadSummary) -> String {
    let ReloadSummary { epoch, added, changed, removed, unchanged, warnings, grants } = summary;
    let mut text = format!("reloaded: epoch {epoch}, {unchanged} unchanged\n");
    for (what, names) in [("added", added), ("changed", changed), ("removed", removed)] {
        for name in names {
            text.push_str(&format!("  {what:<8}{name}\n"));
        }
    }
    for grant in grants {
        text.push_str(&format!("  may now {grant}\n"));
    }
    for warning in warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told() {
        let summary = ReloadSummary {
            epoch: 3,
            added: vec!["virtual shop".to_owned()],
            changed: vec!["pool web".to_owned()],
            removed: vec!["pool old".to_owned()],
            unchanged: 2,
            warnings: vec!["shunt.toml:3:1: nothing uses pool `web`".to_owned()],
            grants: vec!["shop/canary: get random numbers".to_owned()],
        };
        let expected = "reloaded: epoch 3, 2 unchanged\n  added   virtual shop\n  changed pool web\n  removed pool old\n  may now shop/canary: get random numbers\nwarning: shunt.toml:3:1: nothing uses pool `web`\n";
        assert_eq!(told(&summary), expected);
    }
}
