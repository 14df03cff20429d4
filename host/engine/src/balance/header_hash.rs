//! By a header field of a request, such as one that says which customer asks.

super::keyed::keyed!(HeaderHash);

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, ends, weighted};
    use super::super::{Balance, Ends, Selector};

    #[test]
    fn equal_keys_go_to_equal_members_and_none_take_turns() {
        let members = [weighted(1), weighted(1), weighted(2)];
        let pick = |selector: &mut Selector, key| {
            selector.pick(&Ends { key, ..ends(1, 1) }, &Pool(&members)).unwrap()
        };
        let mut selectors = [0, 1].map(|ahead| Selector::new(Balance::HeaderHash, ahead));
        for key in 0..100 {
            let [one, other] = selectors.each_mut().map(|selector| pick(selector, Some(key)));
            assert_eq!(one, other);
        }
        let mut taken = [0; 3];
        (0..40).for_each(|_| taken[pick(&mut selectors[0], None)] += 1);
        assert_eq!(taken, [10, 10, 20]);
    }
}
