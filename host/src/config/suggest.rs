//! What somebody may have meant, and how their text is shown to them.

/// The candidate that `wrong` is a slip of: at most one edit in three letters, swapped neighbours
/// being one edit. The first of equals wins.
pub(super) fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
pub(super) fn distance(left: &str, right: &str) -> usize {
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let (left_plain, right_plain) = (plain(left), plain(right));
    if left_plain == right_plain {
        return usize::from(left != right);
    }
    strsim::osa_distance(&left_plain, &right_plain).max(1)
}

/// Text of the operator's inside a message: in backticks, on one line, not endless, and with
/// nothing in it that a terminal would act on.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.is_empty() {
        return "`\"\"`".to_string();
    }
    let mut shown = String::new();
    for letter in text.chars().take(SHOWN) {
        // Quotes read better as they are; everything else that does not print is escaped.
        if matches!(letter, '\'' | '"' | '\\') {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_debug());
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// `a`, `b` or `c`.
pub(super) fn or_list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_string(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let keys = ["listen", "limits", "pool", "persistence", "on-fault"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("limist", keys), Some("limits"));
        assert_eq!(nearest("On_Fault", keys), Some("on-fault"));
        assert_eq!(nearest("presistance", keys), Some("persistence"));
        assert_eq!(nearest("balance", keys), None);
        assert_eq!(nearest(&"x".repeat(100_000), keys), None);
    }

    #[test]
    fn quoted_text_stays_on_its_line() {
        assert_eq!(quoted("a\u{1b}[31m\nb"), "`a\\u{1b}[31m\\nb`");
        assert_eq!(quoted("größer"), "`größer`");
        assert!(quoted(&"x".repeat(1000)).chars().count() < 70);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(or_list(&["a"]), "a");
        assert_eq!(or_list(&["a", "b", "c"]), "a, b or c");
    }
}
