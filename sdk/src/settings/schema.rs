//! The schema of settings, written when the rule is compiled.
//!
//! It is JSON in the custom section `shunt:settings` of the rule, where the host reads it
//! without running the rule. A derive sees only its own struct, so each makes a constant
//! tree, and the compiler writes the tree of the rule's type as bytes.

/// A field of a struct of settings.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// As the operator writes it, in kebab-case. No character of it needs an escape.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether the operator must write it.
    pub required: bool,
    /// Its value when the operator does not write it, as JSON.
    pub default: Option<&'static str>,
    /// Its documentation, as the inside of a JSON string.
    pub doc: &'static str,
}

/// The type of a setting.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number in the range of its Rust type.
    Integer { least: i64, most: u64 },
    /// A number.
    Decimal,
    /// A string.
    Text,
    /// Elements of one type.
    List(&'static Kind),
    /// Values of one type by any name.
    Map(&'static Kind),
    /// A struct.
    Table(&'static [Field]),
}

/// How many bytes the schema of these fields takes.
pub const fn len(fields: &[Field]) -> usize {
    Json::<0> { bytes: [], len: 0 }.root(fields).len
}

/// The schema of these fields; `N` is its [`len`].
pub const fn write<const N: usize>(fields: &[Field]) -> [u8; N] {
    Json { bytes: [0; N], len: 0 }.root(fields).bytes
}

/// Counts the bytes that are written, and keeps the first `N`.
struct Json<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Json<N> {
    const fn root(mut self, fields: &[Field]) -> Self {
        self.put("{");
        self.fields(fields);
        self.put("}");
        self
    }

    const fn fields(&mut self, fields: &[Field]) {
        self.put("\"fields\":[");
        let mut at = 0;
        while at < fields.len() {
            if at > 0 {
                self.put(",");
            }
            self.field(&fields[at]);
            at += 1;
        }
        self.put("]");
    }

    const fn field(&mut self, field: &Field) {
        self.put("{\"name\":\"");
        self.put(field.name);
        self.put("\",");
        self.kind(&field.kind);
        self.put(if field.required { ",\"required\":true" } else { ",\"required\":false" });
        if let Some(default) = field.default {
            self.put(",\"default\":");
            self.put(default);
        }
        if !field.doc.is_empty() {
            self.put(",\"doc\":\"");
            self.put(field.doc);
            self.put("\"");
        }
        self.put("}");
    }

    const fn kind(&mut self, kind: &Kind) {
        match kind {
            Kind::Boolean => self.put("\"type\":\"boolean\""),
            Kind::Integer { least, most } => {
                self.put("\"type\":\"integer\"");
                // A limit beyond what TOML can write need not be stated.
                if *least > i64::MIN {
                    self.put(",\"minimum\":");
                    if *least < 0 {
                        self.put("-");
                    }
                    self.number(least.unsigned_abs());
                }
                if *most < i64::MAX as u64 {
                    self.put(",\"maximum\":");
                    self.number(*most);
                }
            }
            Kind::Decimal => self.put("\"type\":\"decimal\""),
            Kind::Text => self.put("\"type\":\"text\""),
            Kind::List(items) => self.items("\"type\":\"list\",\"items\":{", items),
            Kind::Map(items) => self.items("\"type\":\"table\",\"items\":{", items),
            Kind::Table(fields) => {
                self.put("\"type\":\"table\",");
                self.fields(fields);
            }
        }
    }

    const fn items(&mut self, begin: &str, kind: &Kind) {
        self.put(begin);
        self.kind(kind);
        self.put("}");
    }

    const fn number(&mut self, number: u64) {
        if number > 9 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }

    const fn put(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            self.byte(text[at]);
            at += 1;
        }
    }

    const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }
}
