//! Members by name, as a daemon that runs found them.

use shunt_api::status::NameStatus;

use super::Finding;

/// Whether a name of a pool has members.
pub fn resolved(pool: &str, it: &NameStatus) -> Finding {
    let about = format!("name {} of pool {pool}", it.name);
    let members = it.addresses.len();
    let host = it.name.rsplit_once(':').map_or(it.name.as_str(), |(host, _)| host);
    match &it.error {
        Some(error) if members == 0 => Finding::failed(
            about,
            format!("has no members: {error}"),
            format!("ask yourself with `dig {host}`, and see `servers` of `[resolver]`"),
        ),
        Some(error) => Finding::note(
            about,
            format!("{members} members, {} of them by older answers: {error}", it.held),
            "mend the zone or the server before `hold` of `[resolver]` is over",
        ),
        None if it.left_out > 0 => Finding::note(
            about,
            format!("{members} members; {} more addresses are left out", it.left_out),
            "give the service several names, each in a pool of its own",
        ),
        None => Finding::good(about, format!("{members} members")),
    }
}
