//! Values that cross between rule and host, in words.

use std::net::{IpAddr, SocketAddr};

use crate::abi::{
    Allowance, Certificate, Claims, Endpoint, FieldError, Flow, Hash, Level, Member, MemberFailure, Pool,
    Queue, Scheme, Scope, SetEntry, TokenError, Version,
};

/// Bytes of a value that are shown.
const MOST_SHOWN: usize = 256;
/// Elements of a list that are shown.
const MOST_ELEMENTS: usize = 16;

/// A value in words.
pub(crate) trait Told {
    /// `None`: there is nothing to tell.
    fn told(&self) -> Option<String>;
}

/// The arguments of a host function.
pub(crate) trait Arguments {
    fn told(&self) -> Vec<String>;
}

macro_rules! arguments {
    ($($name:ident)*) => {
        impl<$($name: Told),*> Arguments for ($($name,)*) {
            #[allow(non_snake_case, reason = "names of types name their values")]
            fn told(&self) -> Vec<String> {
                let ($($name,)*) = self;
                let all: [Option<String>; _] = [$($name.told()),*];
                all.into_iter().flatten().collect()
            }
        }
    };
}

arguments!();
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);

impl Told for () {
    fn told(&self) -> Option<String> {
        None
    }
}

impl Told for [u8] {
    fn told(&self) -> Option<String> {
        let more =
            if self.len() > MOST_SHOWN { format!("… ({} bytes)", self.len()) } else { String::new() };
        let shown = &self[..self.len().min(MOST_SHOWN)];
        // A cut letter is shown as none.
        let text = match str::from_utf8(shown) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() => str::from_utf8(&shown[..error.valid_up_to()]).ok(),
            Err(_) => None,
        };
        Some(match text {
            Some(text) => format!("\"{}\"{more}", text.escape_debug()),
            None => {
                let digits: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("0x{digits}{more}")
            }
        })
    }
}

impl Told for str {
    fn told(&self) -> Option<String> {
        self.as_bytes().told()
    }
}

impl<T: Told + ?Sized> Told for &T {
    fn told(&self) -> Option<String> {
        (**self).told()
    }
}

impl Told for String {
    fn told(&self) -> Option<String> {
        self.as_str().told()
    }
}

impl Told for Vec<u8> {
    fn told(&self) -> Option<String> {
        self.as_slice().told()
    }
}

impl<T: Told> Told for Vec<T> {
    fn told(&self) -> Option<String> {
        let mut all: Vec<String> = self.iter().take(MOST_ELEMENTS).filter_map(T::told).collect();
        if self.len() > MOST_ELEMENTS {
            all.push(format!("… ({} in all)", self.len()));
        }
        Some(format!("[{}]", all.join(", ")))
    }
}

impl<T: Told> Told for Option<T> {
    fn told(&self) -> Option<String> {
        match self {
            Some(value) => value.told(),
            None => Some("none".to_owned()),
        }
    }
}

impl<T: Told, E: Told> Told for Result<T, E> {
    fn told(&self) -> Option<String> {
        match self {
            Ok(value) => value.told(),
            Err(error) => error.told().map(|error| format!("refused: {error}")),
        }
    }
}

macro_rules! by_display {
    ($($ty:ty)*) => {
        $(impl Told for $ty {
            fn told(&self) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}

by_display!(bool u16 u32 u64 i64 IpAddr);

/// As the contract names its cases.
macro_rules! by_case {
    ($($ty:ident { $($case:ident => $name:literal),* })*) => {
        $(impl Told for $ty {
            fn told(&self) -> Option<String> {
                Some(match self { $($ty::$case => $name),* }.to_owned())
            }
        })*
    };
}

by_case! {
    FieldError { Invalid => "invalid", Forbidden => "forbidden", TooLarge => "too-large", NotGranted => "not-granted" }
    Version { Http10 => "HTTP/1.0", Http11 => "HTTP/1.1", Http2 => "HTTP/2", Http3 => "HTTP/3" }
    Scheme { Http => "http", Https => "https" }
    Level { Error => "error", Warn => "warn", Info => "info", Debug => "debug" }
    Scope { Request => "request", Flow => "flow" }
    Hash { Sha256 => "sha256", Sha512 => "sha512" }
    TokenError {
        Malformed => "malformed",
        Algorithm => "algorithm",
        Signature => "signature",
        Expired => "expired",
        NotYetValid => "not-yet-valid"
    }
    MemberFailure {
        NotTrusted => "not-trusted",
        OtherName => "other-name",
        NotInTime => "not-in-time",
        Certificate => "certificate",
        Alert => "alert",
        NoProtocol => "no-protocol",
        NoTls => "no-tls",
        Closed => "closed",
        Other => "other"
    }
}

impl Told for Endpoint {
    fn told(&self) -> Option<String> {
        Some(SocketAddr::from(*self).to_string())
    }
}

impl Told for SocketAddr {
    fn told(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Told for Flow {
    fn told(&self) -> Option<String> {
        let (client, vip) = self.ends();
        Some(format!("{} > {}", SocketAddr::from(client), SocketAddr::from(vip)))
    }
}

impl Told for Allowance {
    fn told(&self) -> Option<String> {
        Some(match self.figures() {
            (true, remaining, _) => format!("allowed, {remaining} left"),
            (false, remaining, u32::MAX) => format!("never allowed, {remaining} left"),
            (false, remaining, ms) => format!("not allowed, {remaining} left, in {ms} ms"),
        })
    }
}

impl Told for Pool {
    fn told(&self) -> Option<String> {
        let (usable, members, active) = self.figures();
        Some(format!("{usable} of {members} usable, {active} in flight"))
    }
}

impl Told for Queue {
    fn told(&self) -> Option<String> {
        let (waiting, oldest_ms) = self.figures();
        Some(format!("{waiting} waiting, the first for {oldest_ms} ms"))
    }
}

impl Told for Member {
    fn told(&self) -> Option<String> {
        let (address, state, weight, active) = self.figures();
        Some(format!("{} {state} weight {weight}, {active} in flight", SocketAddr::from(address)))
    }
}

impl Told for SetEntry {
    fn told(&self) -> Option<String> {
        let (matched, value) = self.parts();
        Some(format!("{} {}", matched.told()?, value.told()?))
    }
}

impl Told for Claims {
    fn told(&self) -> Option<String> {
        self.json().told()
    }
}

impl Told for Certificate {
    fn told(&self) -> Option<String> {
        self.subject().told()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_words() {
        let told = |value: &dyn Told| value.told().unwrap();
        assert_eq!(told(&"a\r\n"), "\"a\\r\\n\"");
        assert_eq!(told(&[0xffu8, 0].as_slice()), "0xff00");
        assert_eq!(told(&Some(vec![1u16, 2])), "[1, 2]");
        assert_eq!(told(&None::<String>), "none");
        assert_eq!(told(&Err::<(), _>(FieldError::NotGranted)), "refused: not-granted");
        assert_eq!(told(&Ok::<_, FieldError>(Some(b"x".to_vec()))), "\"x\"");
        assert_eq!(Ok::<(), FieldError>(()).told(), None);
        let long = "ä".repeat(200);
        assert!(told(&long).ends_with("… (400 bytes)"), "{}", told(&long));
        assert!(told(&vec![String::new(); 20]).ends_with("… (20 in all)]"));
        assert_eq!(("a", 5u32).told(), ["\"a\"", "5"]);
    }
}
