//! Numbers, sizes and times, formatted for people.

/// `1 pool`, `2 pools`
pub(super) fn count(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// The two largest units: `3h 12m`, `45s`.
pub(super) fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let at = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let part = |(unit, size): &(&str, u64)| {
        let part = rest / size;
        rest %= size;
        format!("{part}{unit}")
    };
    units[at..].iter().take(2).map(part).collect::<Vec<_>>().join(" ")
}

/// `1.2µs`, `850ns`, `16ms`
pub(super) fn nanoseconds(ns: u64) -> String {
    let (size, unit) = match ns {
        0..1_000 => return format!("{ns}ns"),
        1_000..1_000_000 => (1e3, "µs"),
        _ => (1e6, "ms"),
    };
    let value = ns as f64 / size;
    if value < 10.0 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// `999 B`, `1.5 KiB`, `12 MiB`
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", units[unit]) } else { format!("{value:.0} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_is_said() {
        assert_eq!([0, 1, 2].map(|number| count(number, "pool")), ["0 pools", "1 pool", "2 pools"]);
        assert_eq!([0, 59, 60, 3_725, 90_000].map(span), ["0s", "59s", "1m 0s", "1h 2m", "1d 1h"]);
        let sizes = [0, 1_023, 1_536, 12 << 20, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "12 MiB", "16777216 TiB"]);
        assert_eq!(
            [0, 999, 1_250, 16_000, 16_384_000].map(nanoseconds),
            ["0ns", "999ns", "1.2µs", "16µs", "16ms"]
        );
    }
}
