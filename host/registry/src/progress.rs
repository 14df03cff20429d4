//! How far a pull or a push is.

/// Is told of bytes as they move.
pub trait Progress: Sync {
    /// So many more bytes will move.
    fn more(&self, bytes: u64);
    /// So many moved, or are known to be there.
    fn moved(&self, bytes: u64);
}

/// Tells nobody.
impl Progress for () {
    fn more(&self, _: u64) {}
    fn moved(&self, _: u64) {}
}
