use super::*;

#[test]
fn who_may_use_a_member() {
    let member = MemberState::new();
    let table = [
        (true, Admin::Enabled, true, true),
        (true, Admin::Draining, false, true),
        (true, Admin::Disabled, false, false),
        (false, Admin::Enabled, false, false),
        (false, Admin::Draining, false, false),
        (false, Admin::Disabled, false, false),
    ];
    for (up, admin, new, persistent) in table {
        member.set_up(up);
        member.set_admin(admin);
        assert_eq!((member.is_up(), member.admin()), (up, admin));
        assert_eq!(member.usable_for_new(), new, "new: up {up}, {admin}");
        assert_eq!(member.usable_for_persistent(), persistent, "persistent: up {up}, {admin}");
        assert_eq!(admin.as_str().parse(), Ok(admin));
    }
    assert_eq!("Enabled".parse::<Admin>(), Err(()));
}

#[test]
fn what_is_under_way_gives_itself_back() {
    let member = MemberState::new();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let member = Arc::clone(&member);
            std::thread::Builder::new()
                .spawn(move || {
                    for _ in 0..1_000 {
                        let outer = member.begin();
                        let inner = outer.member().begin();
                        drop(outer);
                        drop(inner);
                    }
                })
                .unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(member.active(), 0);
}

#[test]
fn limits_are_kept_over_threads() {
    let pool = Arc::<PoolState>::default();
    let members = [MemberState::of(&pool), MemberState::of(&pool)];
    members.iter().for_each(|it| it.limit(3, 4));
    let (threads, most) = (4, AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (members, most, pool) = (&members, &most, &pool);
            scope.spawn(move || {
                for turn in 0..2_000 {
                    let taken: Vec<_> =
                        (0..3).filter_map(|at| members[(thread + turn + at) % 2].try_begin()).collect();
                    most.fetch_max(members.iter().map(|it| it.active()).max().unwrap_or(0), Relaxed);
                    assert!(members.iter().all(|it| it.active() <= 3) && pool.active() <= 4);
                    drop(taken);
                }
            });
        }
    });
    assert_eq!(members.each_ref().map(|it| it.active()), [0; 2]);
    assert_eq!((pool.active(), most.into_inner() > 0), (0, true));
    let held = [members[0].try_begin(), members[0].try_begin(), members[0].view().try_begin()];
    assert!(held.iter().all(Option::is_some) && !members[0].has_room());
    assert!(!members[0].usable_for_new() && !members[0].usable_for_persistent());
    assert!(members[0].serves_on(), "what it has continues");
    assert!(members[0].try_begin().is_none() && members[1].has_room());
    let last = members[1].try_begin();
    assert!(last.is_some() && !members[1].has_room(), "the pool is full");
    // A limit that goes lets all in.
    members.iter().for_each(|it| it.limit(0, 0));
    assert!(members[0].try_begin().is_some());
    drop((held, last));
    assert_eq!((members[0].active(), pool.active()), (0, 0));
}

#[test]
fn a_view_is_down_by_itself() {
    let member = MemberState::new();
    let views = [member.view(), member.view().view()];
    views[0].set_up(false);
    assert_eq!([&member, &views[0], &views[1]].map(|it| it.is_up()), [true, false, true]);
    // Nobody looks at the first one by itself any more.
    views[0].follow();
    assert!(views[0].is_up());
    member.set_up(false);
    member.follow();
    assert_eq!([&member, &views[0], &views[1]].map(|it| it.is_up()), [false, false, true]);
    views[1].set_admin(Admin::Draining);
    assert_eq!([&member, &views[0], &views[1]].map(|it| it.admin()), [Admin::Draining; 3]);
    let active = views.each_ref().map(MemberState::begin);
    assert_eq!([&member, &views[0], &views[1]].map(|it| it.active()), [2; 3]);
    drop(active);
    assert_eq!(member.active(), 0);
}

#[test]
fn the_operators_priority_comes_before_the_configured_one() {
    let member = MemberState::new();
    assert!(member.configure_priority(7) && !member.configure_priority(7));
    assert_eq!((member.priority(), member.has_set_priority()), (7, false));
    member.view().set_priority(9);
    assert!(!member.configure_priority(8));
    assert_eq!((member.priority(), member.has_set_priority()), (9, true));
    member.reset_priority(8);
    assert_eq!((member.priority(), member.has_set_priority()), (8, false));
}

#[test]
fn coming_is_counted() {
    let member = MemberState::new();
    let view = member.view();
    let mut seen = (member.came(), view.came());
    let mut came = |both: (bool, bool)| {
        let now = (member.came(), view.came());
        assert_eq!((now.0 != seen.0, now.1 != seen.1), both);
        seen = now;
    };
    member.set_up(true);
    came((false, false));
    member.set_up(false);
    came((false, false));
    member.set_up(true);
    came((true, true));
    view.set_up(false);
    view.set_up(true);
    came((false, true));
    member.set_admin(Admin::Draining);
    member.set_admin(Admin::Enabled);
    came((false, false));
    member.set_admin(Admin::Disabled);
    member.set_admin(Admin::Enabled);
    came((true, true));
}

#[test]
fn probes_of_a_path_come_before_those_of_the_member() {
    let member = MemberState::new();
    let view = member.view();
    assert_eq!((member.probe_time(), view.probe_time()), (0, 0));
    member.record_probe(800);
    assert_eq!((member.probe_time(), view.probe_time()), (800, 800));
    view.record_probe(0);
    assert_eq!((member.probe_time(), view.probe_time()), (800, 1));
    member.record_probe(400);
    assert_eq!(member.probe_time(), 700);
}

#[test]
fn counters_have_a_line_of_their_own() {
    assert_eq!(size_of::<MemberState>(), 256);
    assert_eq!(align_of::<MemberState>(), 128);
}

#[test]
fn an_agent_takes_of_a_member_what_the_operator_leaves() {
    let member = MemberState::new();
    member.set_agent(Admin::Draining);
    assert!(!member.usable_for_new() && member.usable_for_persistent());
    assert_eq!(member.admin(), Admin::Enabled, "the operator's will is another thing");
    member.set_admin(Admin::Disabled);
    member.set_agent(Admin::Enabled);
    assert!(!member.usable_for_persistent());
    let weights = |percent| {
        member.set_share(percent);
        [0, 1, 10, 256].map(|weight| member.weight(weight))
    };
    assert_eq!(weights(100), [0, 1, 10, 256]);
    assert_eq!(weights(50), [0, 1, 5, 128]);
    assert_eq!(weights(1), [0, 1, 1, 2]);
    assert_eq!(weights(0), [0; 4]);
}
