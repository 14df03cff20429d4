//! "Did you mean": the nearest of the names that would have been right.

/// The candidate that is at most a third of its letters away, if there is one.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "primary"?`, or `; expected one of …`, or nothing.
pub(crate) fn hint<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = nearest(given, candidates.clone()) {
        return format!("; did you mean {candidate:?}?");
    }
    let all: Vec<_> = candidates.into_iter().map(|candidate| format!("{candidate:?}")).collect();
    if all.is_empty() { String::new() } else { format!("; expected one of {}", all.join(", ")) }
}

/// Edits between two words, a swap of neighbours counting as one (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before = vec![0; right.len() + 1];
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (i, l) in left.chars().enumerate() {
        let mut next = vec![i + 1; right.len() + 1];
        for (j, &r) in right.iter().enumerate() {
            next[j + 1] = (row[j] + usize::from(l != r)).min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && previous == Some(r) && right[j - 1] == l {
                next[j + 1] = next[j + 1].min(before[j - 1] + 1);
            }
        }
        (before, row, previous) = (row, next, Some(l));
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["primary", "canary"];
        assert_eq!(nearest("pirmary", names), Some("primary"));
        assert_eq!(nearest("canari", names), Some("canary"));
        assert_eq!(nearest("blue", names), None);
        assert_eq!(hint("primry", names), "; did you mean \"primary\"?");
        assert_eq!(hint("blue", names), "; expected one of \"primary\", \"canary\"");
        assert_eq!(hint("blue", []), "");
        assert_eq!((distance("ab", "ba"), distance("", "abc"), distance("abc", "abc")), (1, 3, 0));
    }
}
