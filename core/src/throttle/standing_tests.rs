use super::standing::*;
use super::*;

const NOW: Time = 1_000_000_000;
const LIMITS: Limits = Limits { max_failures: 5, disable_after: 20, lockout: 900_000_000 };
const BASE: u64 = 1 << 40;

fn known(failures: i32, mark: Option<u32>) -> Known {
    Known { failures, mark: mark.map(|seen| (BASE + u64::from(seen)) as i64), ..Known::default() }
}

fn reading(count: u32) -> Reading {
    Reading { base: BASE, count, lock_count: 0, lock_until: 0 }
}

fn standing(known: &Known, reading: &Reading) -> Standing {
    Standing::of(known, Some(reading), NOW)
}

#[test]
fn what_the_row_does_not_know_is_added_to_it() {
    let standing = standing(&known(3, Some(3)), &reading(5));
    assert_eq!((standing.failures, standing.unknown), (5, 2));
}

#[test]
fn a_mark_of_another_odometer_knows_of_no_charge() {
    for mark in [None, Some(BASE as i64 - 1), Some(BASE as i64 + 6), Some(0), Some(-1), Some(i64::MIN), Some(i64::MAX)]
    {
        let known = Known { failures: 3, mark, ..Known::default() };
        assert_eq!(standing(&known, &reading(5)).failures, 8, "{mark:?}");
    }
    for seen in 0..=5 {
        assert_eq!(standing(&known(3, Some(seen)), &reading(5)).failures, 8 - seen as i32);
    }
}

#[test]
fn a_lock_that_the_row_does_not_know_is_in_force() {
    let reading = Reading { lock_count: 5, lock_until: NOW + 10, ..reading(5) };
    let unaware = standing(&known(0, None), &reading);
    assert_eq!((unaware.locked(NOW), unaware.failures_at_lock, unaware.unrecorded_lock), (Some(NOW + 10), 5, true));
    let aware = standing(&known(5, Some(5)), &reading);
    assert_eq!((aware.locked(NOW), aware.unrecorded_lock), (None, false), "the row knows better");
    assert_eq!(reading.lock_unknown_to(None, NOW), Some(NOW + 10));
    assert_eq!(reading.lock_unknown_to(Some(BASE as i64 + 4), NOW), Some(NOW + 10));
    assert_eq!(reading.lock_unknown_to(Some(BASE as i64 + 5), NOW), None);
    assert_eq!(reading.lock_unknown_to(None, NOW + 10), None, "it is over");
}

#[test]
fn a_lock_further_away_than_any_can_be_set_does_not_count() {
    assert!(ahead(NOW + HORIZON, NOW));
    for until in [NOW + HORIZON + 1, Time::MAX] {
        let known = Known { locked_until: Some(until), ..Known::default() };
        assert_eq!(Standing::of(&known, None, NOW).locked(NOW), None);
        let reading = Reading { lock_count: 5, lock_until: until, ..reading(5) };
        assert_eq!(reading.lock_unknown_to(None, NOW), None);
        assert_eq!(standing(&Known::default(), &reading).locked(NOW), None);
    }
    for until in [NOW, NOW - 1, Time::MIN] {
        assert!(!ahead(until, NOW));
    }
}

#[test]
fn the_failures_since_the_last_lock_decide_whatever_the_limit_was_before() {
    // Two roles with two limits: 6 failures counted under 7, and then one under 5.
    let standing = Standing::of(&known(6, None), None, NOW);
    let wrong = standing.wrong(&LIMITS, None, NOW);
    assert_eq!(wrong.consequence, Consequence::Lock(NOW + LIMITS.lockout));
    assert_eq!((wrong.failures, wrong.failures_at_lock, wrong.tries_left), (7, 7, 0));
}

#[test]
fn a_failure_counts_down_to_the_next_lock() {
    let mut row = Known::default();
    let mut left = Vec::new();
    for _ in 0..12 {
        let wrong = Standing::of(&row, None, NOW).wrong(&LIMITS, None, NOW);
        left.push(wrong.tries_left);
        row.failures = wrong.failures;
        row.failures_at_lock = wrong.failures_at_lock;
    }
    assert_eq!(left, [4, 3, 2, 1, 0, 4, 3, 2, 1, 0, 4, 3]);
}

#[test]
fn the_last_failure_removes_the_set_instead_of_locking() {
    let wrong = Standing::of(&known(19, None), None, NOW).wrong(&LIMITS, None, NOW);
    assert_eq!(wrong.consequence, Consequence::Removal);
    let rolled_back = standing(&known(0, None), &reading(19)).wrong(&LIMITS, Some(7), NOW);
    assert_eq!((rolled_back.consequence, rolled_back.mark), (Consequence::Removal, Some(7)));
}

#[test]
fn failures_of_strangers_lock_but_remove_no_set_and_are_not_written() {
    let standing = Standing::sharing(&known(2, None), 18, NOW);
    assert_eq!(standing.failures, 20);
    assert!(!standing.exhausted(20));
    let wrong = standing.wrong(&LIMITS, None, NOW);
    assert_eq!((wrong.failures, wrong.consequence), (3, Consequence::Lock(NOW + LIMITS.lockout)));
    assert_eq!(wrong.failures_at_lock, 3);
}

#[test]
fn counts_beyond_all_numbers_do_not_wrap() {
    let standing = standing(&known(i32::MAX, None), &reading(u32::MAX));
    assert_eq!(standing.failures, i32::MAX);
    assert_eq!(standing.wrong(&LIMITS, None, Time::MAX).failures, i32::MAX);
}

#[test]
fn a_tag_tells_databases_kinds_and_users_apart() {
    let tag = |database, kind, user: &str| Tag::new([1, 2], database, kind, user.as_bytes());
    let one = tag(5, Kind::Active, "42");
    assert_eq!(one, tag(5, Kind::Active, "42"));
    for other in [tag(6, Kind::Active, "42"), tag(5, Kind::Pending, "42"), tag(5, Kind::Active, "43")] {
        assert_ne!(one, other);
    }
    assert_ne!(one, Tag::new([1, 3], 5, Kind::Active, b"42"));
}

#[test]
fn a_base_leaves_room_for_every_count_in_a_bigint() {
    for random in [0, 1, 1 << 62, u64::MAX] {
        let base = base(random);
        assert!((1 << 32..1 << 62).contains(&base));
        assert!(i64::try_from(base + u64::from(u32::MAX)).is_ok());
    }
}
