//! Times in certificates.

use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::time::ASN1Time;

/// Seconds of Unix time.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Seconds of Unix time as people and programs read it: `2026-11-29T22:20:00Z`.
pub fn rfc3339(seconds: i64) -> String {
    match ASN1Time::from_timestamp(seconds) {
        Err(_) => format!("{seconds} s of Unix time"),
        Ok(time) => {
            let it = time.to_datetime();
            let (year, month, day) = (it.year(), u8::from(it.month()), it.day());
            let (hour, minute, second) = (it.hour(), it.minute(), it.second());
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told() {
        for (seconds, told) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_990_865, "2026-11-29T22:21:05Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), told);
        }
    }
}
