//! Values that the host keeps for a rule.

use std::net::IpAddr;

use crate::text;

/// A value that can be kept in a [`table`](crate::table) or in [`vars`](crate::vars).
///
/// The bytes of a value never change between versions of the SDK: text as UTF-8, integers
/// as 8 bytes, big-endian, a `bool` as one, addresses as 4 or 16 bytes in network order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept by the host",
    label = "must be text, bytes, an address, an integer of 64 bits or a `bool`"
)]
pub trait Value: Sized {
    /// The bytes of the value.
    fn to_bytes(&self) -> Vec<u8>;

    /// The value of these bytes; `None`: another type wrote them.
    fn from_bytes(bytes: Vec<u8>) -> Option<Self>;
}

impl Value for Vec<u8> {
    fn to_bytes(&self) -> Vec<u8> {
        self.clone()
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        Some(bytes)
    }
}

/// Octets that are not UTF-8 become U+FFFD.
impl Value for String {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        Some(text::from_bytes(bytes))
    }
}

impl Value for bool {
    fn to_bytes(&self) -> Vec<u8> {
        vec![u8::from(*self)]
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        match bytes[..] {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Value for $type {
            fn to_bytes(&self) -> Vec<u8> {
                self.to_be_bytes().to_vec()
            }

            fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_be_bytes)
            }
        }
    )*};
}

integers!(i64 u64);

impl Value for IpAddr {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        }
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let v4 = <[u8; 4]>::try_from(&bytes[..]).map(IpAddr::from);
        v4.or_else(|_| <[u8; 16]>::try_from(&bytes[..]).map(IpAddr::from)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    #[track_caller]
    fn comes_back<T: Value + PartialEq + Debug>(value: T, bytes: &[u8]) {
        assert_eq!(value.to_bytes(), bytes);
        assert_eq!(T::from_bytes(bytes.to_vec()), Some(value));
    }

    #[test]
    fn values_come_back() {
        comes_back("é".to_owned(), &[0xc3, 0xa9]);
        comes_back(vec![1_u8, 2], &[1, 2]);
        comes_back(true, &[1]);
        comes_back(258_u64, &[0, 0, 0, 0, 0, 0, 1, 2]);
        comes_back(-1_i64, &[0xff; 8]);
        comes_back(IpAddr::from([192, 0, 2, 7]), &[192, 0, 2, 7]);
        comes_back(
            "2001:db8::1".parse::<IpAddr>().unwrap(),
            &[0x20, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        );
    }

    #[test]
    fn bytes_of_another_type_are_no_value() {
        assert_eq!(u64::from_bytes(vec![1]), None);
        assert_eq!(bool::from_bytes(vec![2]), None);
        assert_eq!(IpAddr::from_bytes(vec![1, 2, 3]), None);
    }
}
