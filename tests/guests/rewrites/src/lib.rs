//! Reads and replaces bodies of responses, as `X-Do` of the request says.

use shunt_sdk::prelude::*;

#[derive(Settings)]
struct Rewrites {
    /// How many bytes it asks for.
    #[settings(default = 100)]
    most: u32,
    /// What it puts in their place.
    #[settings(default = "other")]
    text: String,
}

#[rule]
impl Rewrites {
    fn on_response(&self, request: &Request, response: &Response) -> response::Verdict {
        if request.header("x-do").is_some() {
            response.need_body(self.most);
        }
        next()
    }

    fn on_response_body(
        &self,
        request: &Request,
        response: &Response,
        body: &response_body::Body,
    ) -> Result<response_body::Verdict, FieldError> {
        response.set_header("x-seen", format!("{} {}", body.bytes.len(), body.complete))?;
        Ok(match request.header("x-do").as_deref() {
            Some("replace") => replace_body(self.text.as_str()),
            Some("respond") => respond(418).text("instead"),
            Some("panic") => panic!("as asked"),
            _ => next(),
        })
    }
}
