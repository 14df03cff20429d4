//! Numbers with units: durations in milliseconds, sizes in bytes. Read strictly, so that a file
//! says the same to everybody; what was nearly right is understood far enough to say how to write it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::report::{Cause, Refusal};
use super::suggest::quoted;

/// A family of units.
#[derive(Debug)]
pub(super) struct Units {
    /// With its article.
    pub(super) what: &'static str,
    /// What may be written, with its worth; rising.
    pub(super) written: &'static [(&'static str, u64)],
    /// What people also write, in lower case.
    slips: &'static [(&'static str, u64)],
    example: &'static str,
    /// What a number without a unit most often means.
    bare: u64,
}

/// Milliseconds.
pub(super) static DURATION: Units = Units {
    what: "a duration",
    written: &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)],
    slips: &[
        ("msec", 1),
        ("millis", 1),
        ("milliseconds", 1),
        ("sec", 1000),
        ("secs", 1000),
        ("second", 1000),
        ("seconds", 1000),
        ("min", 60_000),
        ("mins", 60_000),
        ("minute", 60_000),
        ("minutes", 60_000),
        ("hr", 3_600_000),
        ("hour", 3_600_000),
        ("hours", 3_600_000),
        ("day", 86_400_000),
        ("days", 86_400_000),
    ],
    example: "10s",
    bare: 1000,
};

/// Bytes.
pub(super) static SIZE: Units = Units {
    what: "a size",
    written: &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
    slips: &[
        ("byte", 1),
        ("bytes", 1),
        ("k", 1 << 10),
        ("kb", 1 << 10),
        ("ki", 1 << 10),
        ("m", 1 << 20),
        ("mb", 1 << 20),
        ("mi", 1 << 20),
        ("g", 1 << 30),
        ("gb", 1 << 30),
        ("gi", 1 << 30),
        ("t", 1 << 40),
        ("tb", 1 << 40),
        ("tib", 1 << 40),
    ],
    example: "64KiB",
    bare: 1,
};

impl Units {
    /// A whole number and one unit, nothing between them.
    pub(super) fn parse(&self, text: &str, range: &RangeInclusive<u64>) -> Result<u64, Refusal> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let worth = self.written.iter().find(|(name, _)| *name == unit).map(|(_, worth)| *worth);
        let Some(worth) = worth.filter(|_| !number.is_empty()) else {
            return Err(self.malformed(text));
        };
        // What does not fit 64 bits is above every range.
        let amount =
            number.parse::<u64>().ok().and_then(|number| number.checked_mul(worth)).unwrap_or(u64::MAX);
        if range.contains(&amount) {
            return Ok(amount);
        }
        let message = format!(
            "{} is not within {} to {}",
            quoted(text),
            self.show(*range.start()),
            self.show(*range.end())
        );
        let bound = if amount < *range.start() { ("least", range.start()) } else { ("most", range.end()) };
        Err(Refusal::new(Cause::OutOfRange, message).help(format!(
            "at {} `{}`",
            bound.0,
            self.show(*bound.1)
        )))
    }

    /// As it is written: in the greatest unit that divides it.
    pub(super) fn show(&self, amount: u64) -> String {
        let dividing = |&&(_, worth): &&(&str, u64)| amount != 0 && amount.is_multiple_of(worth);
        // Nobody writes zero milliseconds.
        let zero = self.written.iter().find(|(_, worth)| *worth == self.bare);
        match self.written.iter().rev().find(dividing).or(zero) {
            Some((name, worth)) => format!("{}{name}", amount / worth),
            None => amount.to_string(),
        }
    }

    /// How to write a number that has no unit. Great ones were likely meant in the smallest unit.
    pub(super) fn with_unit(&self, number: u64) -> String {
        let worth = if number < 1000 { self.bare } else { 1 };
        self.show(number.saturating_mul(worth))
    }

    fn malformed(&self, text: &str) -> Refusal {
        let units: Vec<&str> = self.written.iter().map(|(name, _)| *name).collect();
        let refusal = Refusal::new(Cause::BadValue, format!("{} is not {}", quoted(text), self.what));
        let grammar = format!("a whole number and one of {}", units.join(", "));
        match self.guess(text) {
            Some(amount) => refusal.help(format!("did you mean `{}`? It takes {grammar}", self.show(amount))),
            None => refusal.help(format!("write {grammar}, such as `{}`", self.example)),
        }
    }

    /// What was meant by spaces, fractions, other names of units, sums such as `1h30m`.
    fn guess(&self, text: &str) -> Option<u64> {
        const LONGEST: usize = 32;
        let lower: String =
            text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>().to_lowercase();
        if lower.len() > LONGEST {
            return None;
        }
        let mut rest = lower.as_str();
        let mut sum = 0.0;
        while !rest.is_empty() {
            let (number, tail) =
                rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?);
            let (unit, tail) =
                tail.split_at(tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len()));
            let strict = self.written.iter().find(|(name, _)| name.to_lowercase() == unit);
            let worth = strict.or_else(|| self.slips.iter().find(|(name, _)| *name == unit))?.1;
            sum += number.parse::<f64>().ok()? * worth as f64;
            rest = tail;
        }
        // Within 2^53 whole numbers are exact; a decimal fraction may have missed its own by a hair.
        let whole = (sum - sum.round()).abs() < 1e-6;
        (whole && (1.0..9_007_199_254_740_992.0).contains(&sum)).then_some(sum.round() as u64)
    }
}

/// Milliseconds of a duration that was read here, or stands in our own tables.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANY: RangeInclusive<u64> = 0..=u64::MAX - 1;

    fn refused(units: &Units, text: &str) -> (Cause, String) {
        let refusal = units.parse(text, &ANY).unwrap_err();
        (refusal.cause, refusal.help.unwrap())
    }

    #[test]
    fn units_are_worth_what_they_say() {
        for (text, amount) in
            [("10ms", 10), ("5s", 5000), ("1m", 60_000), ("1h", 3_600_000), ("1d", 86_400_000), ("0s", 0)]
        {
            assert_eq!(DURATION.parse(text, &ANY).unwrap(), amount, "{text}");
        }
        for (text, amount) in [("1B", 1), ("64KiB", 65_536), ("8MiB", 8 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(SIZE.parse(text, &ANY).unwrap(), amount, "{text}");
        }
    }

    #[test]
    fn what_is_nearly_right_is_understood() {
        let meant = [
            ("10 s", "10s"),
            ("10S", "10s"),
            ("1.5s", "1500ms"),
            ("1h30m", "90m"),
            ("2 minutes", "2m"),
            ("5sec", "5s"),
        ];
        for (text, meant) in meant {
            let (cause, help) = refused(&DURATION, text);
            assert_eq!(cause, Cause::BadValue);
            assert!(help.starts_with(&format!("did you mean `{meant}`?")), "{text}: {help}");
        }
        for (text, meant) in [
            ("64k", "64KiB"),
            ("64KB", "64KiB"),
            ("64kib", "64KiB"),
            ("1.5MiB", "1536KiB"),
            ("1TB", "1024GiB"),
        ] {
            let (_, help) = refused(&SIZE, text);
            assert!(help.starts_with(&format!("did you mean `{meant}`?")), "{text}: {help}");
        }
    }

    #[test]
    fn what_means_nothing_gets_the_grammar() {
        for text in ["", "s", "10", "ten seconds", "-5s", "1..5s", "10us", "5s5", "٣s", "..s"] {
            let (cause, help) = refused(&DURATION, text);
            assert_eq!(cause, Cause::BadValue, "{text}");
            assert!(help.starts_with("write a whole number and one of ms, s, m, h, d"), "{text}: {help}");
        }
    }

    #[test]
    fn ranges_hold_at_both_ends_and_beyond_64_bits() {
        let range = 1..=1000;
        assert!(DURATION.parse("1ms", &range).is_ok() && DURATION.parse("1s", &range).is_ok());
        for text in ["0ms", "1001ms", "99999999999999999999999d"] {
            let refusal = DURATION.parse(text, &range).unwrap_err();
            assert_eq!(refusal.cause, Cause::OutOfRange, "{text}");
            assert!(refusal.message.ends_with("is not within 1ms to 1s"), "{}", refusal.message);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(amount in 0..=u64::MAX - 1) {
            prop_assert_eq!(DURATION.parse(&DURATION.show(amount), &ANY).unwrap(), amount);
            prop_assert_eq!(SIZE.parse(&SIZE.show(amount), &ANY).unwrap(), amount);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = DURATION.parse(&text, &ANY);
            let _ = SIZE.parse(&text, &ANY);
        }
    }
}
