//! A client is known by its address, or by a part of it.

use shunt_config::persistence::Source;

use super::{Known, Recognise};
use crate::http::phases::Transaction;
use crate::view::PoolView;

impl Recognise for Source {
    fn recognise(&self, request: &Transaction, _: &PoolView) -> Known<'_> {
        let client = request.stream.connection.flow.client;
        Known::Key(self.key(request.view.binding_prefix, client, request.outlives()))
    }
}
