//! A client is known by its address.

use shunt_config::persistence::Source;
use shunt_engine::persistence::Key;

use super::{Known, Recognise};
use crate::http::phases::Transaction;
use crate::view::PoolView;

impl Recognise for Source {
    fn recognise(&self, request: &Transaction, _: &PoolView) -> Known<'_> {
        let client = request.stream.connection.flow.client.ip();
        Known::ByKey(Key::of_client(request.view.binding_prefix, client, request.outlives()))
    }
}
