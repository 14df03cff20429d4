//! The fields of a head. The contract's two resources have the same methods for them.

/// The methods, in the `impl` block of a head that wraps its resource.
macro_rules! fields {
    () => {
        /// The first value of a field as text. Octets that are not UTF-8 become U+FFFD;
        /// [`header_bytes`](Self::header_bytes) returns them unchanged.
        pub fn header(&self, name: &str) -> Option<String> {
            self.header_bytes(name).map($crate::text::from_bytes)
        }

        /// The first value of a field, as sent.
        pub fn header_bytes(&self, name: &str) -> Option<Vec<u8>> {
            self.0.header(name).unwrap_or_default()
        }

        /// Whether the first value of a field is exactly this.
        pub fn header_is(&self, name: &str, value: impl AsRef<[u8]>) -> bool {
            self.header_bytes(name).is_some_and(|own| own == value.as_ref())
        }

        /// Every value of a field, in order; text as in [`header`](Self::header).
        pub fn headers(&self, name: &str) -> Vec<String> {
            self.headers_bytes(name).into_iter().map($crate::text::from_bytes).collect()
        }

        /// Every value of a field, in order, as sent.
        pub fn headers_bytes(&self, name: &str) -> Vec<Vec<u8>> {
            self.0.headers(name).unwrap_or_default()
        }

        /// The names of the fields that the rule can read, each once, in lower case.
        pub fn header_names(&self) -> Vec<String> {
            self.0.header_names()
        }

        /// Replaces all values of a field by one.
        pub fn set_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
            Ok(self.0.set_header(name, value.as_ref())?)
        }

        /// Adds a value after the existing ones.
        pub fn add_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
            Ok(self.0.add_header(name, value.as_ref())?)
        }

        /// Removes all values of a field. Removing a missing field is no error.
        pub fn remove_header(&self, name: &str) -> Result<(), FieldError> {
            Ok(self.0.remove_header(name)?)
        }
    };
}

pub(crate) use fields;
