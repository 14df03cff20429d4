//! `pages`: what clients get where Shunt answers in a member's place.

use super::super::model::Pages;
use super::super::shape::file;
use super::super::walk::Table;

/// The statuses of which Shunt makes answers, and when.
const STATUSES: [(u16, &str, &str); 12] = [
    (400, "400", "The page for requests that are not HTTP, or that can be read in two ways."),
    (403, "403", "The page for requests that a rule refuses."),
    (404, "404", "The page for requests that no pool is for."),
    (405, "405", "The page for methods that are not served."),
    (408, "408", "The page for requests that stop in the middle."),
    (413, "413", "The page for bodies larger than `limits.body`."),
    (414, "414", "The page for targets that are too long."),
    (431, "431", "The page for heads larger than `limits.head`, or with more than `limits.fields` fields."),
    (500, "500", "The page where a rule fails."),
    (502, "502", "The page where no member accepts a connection, or the member sends no valid response."),
    (503, "503", "The page where no member of the pool is up."),
    (504, "504", "The page where the member does not respond in time."),
];

pub(super) fn pages(table: &mut Table<'_>) -> Option<Pages> {
    let what = "the path of an HTML, text or JSON file of at most 64 KiB";
    let by_status = STATUSES
        .into_iter()
        .filter_map(|(status, name, doc)| Some((status, table.optional(name, doc, file(what))?)))
        .collect();
    let sorry = table.optional(
        "sorry",
        "The page where no member of the pool is up, with status 503. It precedes the page of `503`.",
        file(what),
    );
    Some(Pages { by_status, sorry })
}
