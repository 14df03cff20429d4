//! "Did you mean": the nearest of the names that would have been right.

/// The candidate that `wrong` is a slip of: at most one edit in three letters, swapped neighbours
/// being one edit. The first of equals wins.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing that we name is longer, and the distance costs the product of the lengths.
    const LONGEST: usize = 64;
    if wrong.len() > LONGEST {
        return None;
    }
    let allowed = (wrong.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(wrong, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two names. Letter case and `_` for `-` are one edit together, however many there are.
pub fn distance(left: &str, right: &str) -> usize {
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let (left_plain, right_plain) = (plain(left), plain(right));
    if left_plain == right_plain {
        return usize::from(left != right);
    }
    strsim::osa_distance(&left_plain, &right_plain).max(1)
}

/// `; did you mean "primary"?`, or `; expected one of …`, or nothing.
pub(crate) fn hint<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = nearest(given, candidates.clone()) {
        return format!("; did you mean {candidate:?}?");
    }
    let all: Vec<_> = candidates.into_iter().map(|candidate| format!("{candidate:?}")).collect();
    if all.is_empty() { String::new() } else { format!("; expected one of {}", all.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let keys = ["listen", "limits", "pool", "persistence", "on-fault"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("limist", keys), Some("limits"));
        assert_eq!(nearest("On_Fault", keys), Some("on-fault"));
        assert_eq!(nearest("presistance", keys), Some("persistence"));
        assert_eq!(nearest("balance", keys), None);
        assert_eq!(nearest(&"x".repeat(100_000), keys), None);
    }

    #[test]
    fn finds_what_was_meant() {
        let names = ["primary", "canary"];
        assert_eq!(nearest("pirmary", names), Some("primary"));
        assert_eq!(nearest("canari", names), Some("canary"));
        assert_eq!(nearest("blue", names), None);
        assert_eq!(hint("primry", names), "; did you mean \"primary\"?");
        assert_eq!(hint("blue", names), "; expected one of \"primary\", \"canary\"");
        assert_eq!(hint("blue", []), "");
    }
}
