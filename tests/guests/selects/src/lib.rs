//! Vetoes members, or sends elsewhere what was to go to them, as its settings say.

use shunt_sdk::prelude::*;

#[derive(Settings)]
struct Selects {
    /// Members that get nothing.
    #[settings(default)]
    veto: Vec<String>,
    /// Members in whose place those of the other pool serve.
    #[settings(default)]
    elsewhere: Vec<String>,
    /// The member at which the rule fails.
    #[settings(default = "none")]
    broken: String,
}

#[rule]
impl Selects {
    fn on_selected(
        &self,
        request: Option<&Request>,
        selection: &selected::Selection,
    ) -> Result<selected::Verdict, FieldError> {
        let member = selection.member.to_string();
        assert!(member != self.broken, "as configured");
        if self.veto.contains(&member) {
            return Ok(veto("it is not wanted"));
        }
        if self.elsewhere.contains(&member) {
            return Ok(to_pool("other"));
        }
        if let Some(request) = request {
            request.set_header("x-member", member)?;
            request.set_header("x-reason", format!("{:?}", selection.reason))?;
        }
        Ok(next())
    }
}
