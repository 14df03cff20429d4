use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use shunt_wire::{Address, Endpoint};

use super::*;

const KEY: Keyed = Keyed::new([1, 2]);

fn endpoint(address: u64, port: u16) -> Endpoint {
    Endpoint { address: Address { hi: 0, lo: 0xffff_0a00_0000 + address }, port }
}

/// The key of client `n` to the virtual, and that of the member's answers.
fn keys(n: u32) -> (FlowKey, FlowKey) {
    let client = endpoint(u64::from(n >> 12), (n & 0xfff) as u16);
    let (vip, member) = (endpoint(0xff_0001, 80), endpoint(0xff_0002, 8080));
    (FlowKey::new(client, vip, 6), FlowKey::new(member, client, 6))
}

fn table(limit: usize) -> Table<u32> {
    Table::new(3, limit, KEY)
}

#[test]
fn a_flow_is_found_by_both_keys() {
    let mut table = table(10);
    let (forward, reverse) = keys(1);
    let expected = table.next_id();
    let id = table.insert(forward, Some(reverse), 77).unwrap();
    assert_eq!((id, id.worker()), (expected, 3));
    assert_eq!(table.find(&forward), Some((id, Direction::ToServer)));
    assert_eq!(table.find(&reverse), Some((id, Direction::ToClient)));
    assert_eq!(table.find(&forward.reversed()), None);
    let found = table.find_mut(&reverse).unwrap();
    assert_eq!((found.id, found.direction, found.flow.value), (id, Direction::ToClient, 77));
    assert_eq!(table.in_slot(id.slot()), Some(id));
    let removed = table.remove(id).unwrap();
    assert_eq!((removed.value, removed.forward(), removed.reverse()), (77, &forward, Some(&reverse)));
    assert_eq!((table.find(&forward), table.find(&reverse)), (None, None));
    assert!(table.remove(id).is_none() && table.is_empty());
}

#[test]
fn a_one_way_flow_has_one_key() {
    let mut table = table(10);
    let (forward, reverse) = keys(1);
    let id = table.insert(forward, None, 5).unwrap();
    assert_eq!(table.find(&forward), Some((id, Direction::ToServer)));
    assert_eq!((table.find(&reverse), table.get(id).unwrap().reverse()), (None, None));
    table.remove(id).unwrap();
    assert_eq!(table.find(&forward), None);
}

#[test]
fn an_id_is_not_used_again() {
    let mut table = table(10);
    let (forward, reverse) = keys(1);
    let first = table.insert(forward, Some(reverse), 1).unwrap();
    table.remove(first).unwrap();
    let second = table.insert(forward, Some(reverse), 2).unwrap();
    assert_eq!(first.slot(), second.slot());
    assert_ne!(first, second);
    assert!(table.get(first).is_none() && table.get_mut(first).is_none() && table.remove(first).is_none());
    assert_eq!(table.get(second).unwrap().value, 2);
    let elsewhere = FlowId::new(4, 2, second.slot());
    assert!(table.get(elsewhere).is_none(), "another worker's");
}

#[test]
fn refusals_leave_everything_as_it_was() {
    let mut table = table(2);
    let ((forward, reverse), (other, other_reverse)) = (keys(1), keys(2));
    let id = table.insert(forward, Some(reverse), 1).unwrap();

    let refused = table.insert(other, Some(reverse), 2).unwrap_err();
    assert_eq!(refused.why, Refusal::Taken { direction: Direction::ToClient, by: id });
    assert_eq!((refused.value, table.find(&other)), (2, None));

    let refused = table.insert(forward, Some(other_reverse), 2).unwrap_err();
    assert_eq!(refused.why, Refusal::Taken { direction: Direction::ToServer, by: id });
    assert_eq!(table.find(&other_reverse), None);

    assert_eq!(table.insert(other, Some(other), 2).unwrap_err().why, Refusal::Mirrored);

    table.insert(other, Some(other_reverse), 2).unwrap();
    let (third, third_reverse) = keys(3);
    assert_eq!(table.insert(third, Some(third_reverse), 3).unwrap_err().why, Refusal::Full);
    assert_eq!(table.len(), 2);
    assert_eq!(table.find(&forward), Some((id, Direction::ToServer)));
    table.remove(id).unwrap();
    table.insert(third, Some(third_reverse), 3).unwrap();
}

#[test]
fn a_table_for_nothing_refuses_everything() {
    let (forward, _) = keys(1);
    assert_eq!(table(0).insert(forward, None, 1).unwrap_err().why, Refusal::Full);
}

#[test]
fn a_walk_in_steps_meets_each_flow_that_stays_once() {
    let mut table = table(100);
    let ids: Vec<_> = (0..50).map(|n| table.insert(keys(n).0, Some(keys(n).1), n).unwrap()).collect();
    let (mut met, mut cursor) = (Vec::new(), Some(Cursor::default()));
    let mut step = 0;
    while let Some(from) = cursor {
        cursor = table.walk(from, 7, |id, flow| met.push((id, flow.value)));
        // Meanwhile others go and come.
        table.remove(ids[step * 2 + 1]);
        let n = 60 + step as u32;
        table.insert(keys(n).0, Some(keys(n).1), n).unwrap();
        step += 1;
    }
    assert_eq!(step, 8, "seven slots at a time");
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
        assert_eq!(met.iter().filter(|&&at| at == (*id, n as u32)).count(), 1);
    }
    assert_eq!(table.walk(Cursor(4_000), 9, |_, _| panic!("nothing is there")), None);
}

/// As many flows as one worker is to hold, and as many again that come and go. What it costs with a value as large as
/// the datapath's is in the output of the bench.
#[test]
fn a_million_flows() {
    const FLOWS: u32 = 1_000_000;
    let mut table = table(FLOWS as usize);
    let mut ids = Vec::new();
    for n in 0..FLOWS {
        ids.push(table.insert(keys(n).0, Some(keys(n).1), n).unwrap());
    }
    assert_eq!(table.insert(keys(FLOWS).0, None, 0).unwrap_err().why, Refusal::Full);
    for n in FLOWS..2 * FLOWS {
        let place = (n.wrapping_mul(2_654_435_761) >> 8) as usize % ids.len();
        assert!(table.remove(ids[place]).is_some());
        ids[place] = table.insert(keys(n).0, Some(keys(n).1), n).unwrap();
    }
    assert_eq!((table.len(), table.slots()), (FLOWS as usize, FLOWS as usize));
    for id in ids {
        let flow = table.get(id).unwrap();
        assert_eq!(*flow.forward(), keys(flow.value).0);
        assert_eq!(table.find(flow.reverse().unwrap()), Some((id, Direction::ToClient)));
    }
    let each = table.memory() / FLOWS as usize;
    assert!((120..170).contains(&each), "{each} bytes per flow: two cache lines and the directory");
}

#[derive(Clone, Debug)]
enum Step {
    Insert { forward: u32, reverse: Option<u32> },
    Remove(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0u32..12;
    prop_oneof![
        3 => (n.clone(), proptest::option::of(n.clone()))
            .prop_map(|(forward, reverse)| Step::Insert { forward, reverse }),
        2 => n.prop_map(Step::Remove),
    ]
}

proptest! {
    /// The model: a map from key to flow, and a list of flows.
    #[test]
    fn equals_a_map(steps in proptest::collection::vec(step(), 1..150)) {
        let mut table = table(6);
        let mut by_key = HashMap::<FlowKey, (FlowId, Direction), Keyed>::with_hasher(KEY);
        let mut flows = BTreeMap::<FlowId, (FlowKey, Option<FlowKey>, u32)>::new();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert { forward, reverse } => {
                    // Keys of all kinds may meet: the reverse of one is the forward of another.
                    let (forward, reverse) = (keys(forward).0, reverse.map(|n| {
                        if n % 3 == 0 { keys(n).0 } else { keys(n).1 }
                    }));
                    let taken = by_key.contains_key(&forward)
                        || reverse.is_some_and(|reverse| by_key.contains_key(&reverse) || reverse == forward);
                    let expected = table.next_id();
                    let inserted = table.insert(forward, reverse, at as u32);
                    prop_assert_eq!(inserted.is_ok(), !taken && flows.len() < 6);
                    if let Ok(id) = inserted {
                        prop_assert_eq!(id, expected);
                        prop_assert!(flows.insert(id, (forward, reverse, at as u32)).is_none(), "a new id");
                        by_key.insert(forward, (id, Direction::ToServer));
                        by_key.extend(reverse.map(|reverse| (reverse, (id, Direction::ToClient))));
                    }
                }
                Step::Remove(nth) => {
                    let Some((&id, &(forward, reverse, value))) = flows.iter().nth(nth as usize) else { continue };
                    prop_assert_eq!(table.remove(id).map(|flow| flow.value), Some(value));
                    flows.remove(&id);
                    by_key.remove(&forward);
                    reverse.map(|reverse| by_key.remove(&reverse));
                }
            }
            prop_assert_eq!(table.len(), flows.len());
            for n in 0..12 {
                for key in [keys(n).0, keys(n).1] {
                    prop_assert_eq!(table.find(&key), by_key.get(&key).copied());
                }
            }
            let mut walked = BTreeMap::new();
            table.walk(Cursor::default(), 100, |id, flow| {
                walked.insert(id, (*flow.forward(), flow.reverse().copied(), flow.value));
            });
            prop_assert_eq!(&walked, &flows);
        }
    }
}
