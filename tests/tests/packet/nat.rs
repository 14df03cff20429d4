//! Mode `nat` with real TCP and UDP: through two arms, and on one arm between a router and the members.

use shunt_lab::{Family, Mode, Plan, Shape};
use shunt_tests::packet::PacketSite;

use crate::has_labs;

#[test]
fn traffic_through_two_arms() {
    if has_labs() {
        let plan = Plan::new(Mode::Nat);
        PacketSite::in_both_settings("nat-two-arm", Shape::TwoArm, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
            site.errors_reach_members(&plan, &Family::BOTH);
        });
    }
}

#[test]
fn traffic_on_one_arm() {
    if has_labs() {
        let plan = Plan::new(Mode::Nat);
        PacketSite::in_both_settings("nat-one-arm", Shape::OneArm, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
            site.errors_reach_members(&plan, &Family::BOTH);
        });
    }
}

#[test]
fn workers_share_the_queues() {
    if has_labs() {
        let plan = Plan { workers: 2, ..Plan::new(Mode::Nat) };
        let site = PacketSite::start("nat-workers", Shape::TwoArm, &plan);
        site.many_clients(&plan, &Family::BOTH);
    }
}

#[test]
fn a_member_is_killed_and_recovers() {
    if has_labs() {
        let plan = Plan::watched(Mode::Nat);
        let mut site = PacketSite::start("nat-member", Shape::TwoArm, &plan);
        site.a_member_goes_and_comes_back(&Family::BOTH);
    }
}
