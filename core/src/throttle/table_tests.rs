use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { max_failures: 5, disable_after: i32::MAX, lockout: 900 };

/// A region of memory with the proper alignment.
struct Memory {
    layout: Layout,
    words: Vec<u64>,
    bases: u64,
}

impl Memory {
    fn new(capacity: u32) -> Self {
        let layout = Layout::new(capacity);
        Self { layout, words: vec![0; layout.bytes().div_ceil(8)], bases: 0 }
    }

    fn region(&mut self) -> &mut [u8] {
        let bytes = self.layout.bytes();
        &mut bytemuck::cast_slice_mut(&mut self.words)[..bytes]
    }

    fn table(&mut self) -> Table<'_> {
        let layout = self.layout;
        Table::over(layout, self.region()).unwrap()
    }

    fn counters(&mut self) -> Counters {
        let layout = self.layout;
        View::over(layout, self.region()).unwrap().counters()
    }

    fn attempt(&mut self, user: u32, known: &Known, now: Time) -> Verdict {
        self.bases += 1;
        let base = base(self.bases << 32);
        self.table().attempt(tag(user), base, known, &LIMITS, now)
    }

    fn charge(&mut self, user: u32, known: &Known, now: Time) -> Charge {
        match self.attempt(user, known, now) {
            Verdict::Charged(charge) => charge,
            other => panic!("{user} at {now}: {other:?}"),
        }
    }

    /// A wrong guess whose transaction is rolled back. Whether it was evaluated.
    fn guess_and_roll_back(&mut self, user: u32, now: Time) -> bool {
        let Verdict::Charged(charge) = self.attempt(user, &Known::default(), now) else { return false };
        let wrong = charge.wrong(&LIMITS, now);
        self.table().settle(&charge, Settlement::Wrong(wrong.consequence));
        true
    }
}

fn tag(user: u32) -> Tag {
    Tag::new([7, 11], 1, Kind::Active, &user.to_le_bytes())
}

#[test]
fn a_region_of_another_length_is_no_table() {
    let mut memory = Memory::new(16);
    let region = memory.region();
    assert!(Table::over(Layout::new(17), region).is_none());
    let short = region.len() - 1;
    assert!(View::over(Layout::new(16), &region[..short]).is_none());
    assert!(View::over(Layout::new(16), &[]).is_none());
}

#[test]
fn five_rolled_back_guesses_lock_until_the_lockout_is_over() {
    let mut memory = Memory::new(16);
    for now in 1..=5 {
        assert!(memory.guess_and_roll_back(1, now));
    }
    assert!(!memory.guess_and_roll_back(1, 6));
    assert!(memory.guess_and_roll_back(2, 6), "nobody else is locked");
    assert!(!memory.guess_and_roll_back(1, 904));
    assert!(memory.guess_and_roll_back(1, 905));
}

#[test]
fn charges_without_a_verdict_lock_from_the_last_one_on() {
    let mut memory = Memory::new(16);
    for now in 1..=5 {
        memory.charge(1, &Known::default(), now);
    }
    assert!(matches!(memory.attempt(1, &Known::default(), 6), Verdict::Locked { until: 905, .. }));
    let charge = memory.charge(1, &Known::default(), 905);
    assert_eq!((charge.standing.failures, charge.standing.failures_at_lock), (5, 5));
    assert!(charge.standing.unrecorded_lock);
}

#[test]
fn a_right_guess_leaves_nothing() {
    let mut memory = Memory::new(16);
    let charge = memory.charge(1, &Known::default(), 1);
    assert_eq!(memory.counters().live, 1);
    assert_eq!(memory.table().settle(&charge, Settlement::Right), None);
    assert_eq!(memory.counters().live, 0);
    memory.guess_and_roll_back(1, 2);
    let charge = memory.charge(1, &Known::default(), 3);
    let note = memory.table().settle(&charge, Settlement::Right).unwrap();
    assert_eq!(note.mark(), charge.mark_when_right());
    assert_eq!(memory.charge(1, &Known::default(), 4).standing.failures, 1);
}

#[test]
fn a_committed_row_frees_what_it_knows_of_and_nothing_else() {
    let mut memory = Memory::new(16);
    let charge = memory.charge(1, &Known::default(), 1);
    let note = memory.table().settle(&charge, Settlement::Wrong(Consequence::None)).unwrap();
    memory.guess_and_roll_back(1, 2);
    memory.table().release(&note);
    assert_eq!(memory.counters().live, 1, "somebody was charged meanwhile");
    let note = memory.table().view().note(tag(1)).unwrap();
    let Note::Odometer { tag: whose, base, count } = note else { panic!() };
    memory.table().release(&Note::Odometer { tag: whose, base: base + 1, count });
    assert_eq!(memory.counters().live, 1, "another odometer");
    memory.table().release(&note);
    assert_eq!(memory.counters().live, 0);
}

#[test]
fn a_new_odometer_starts_out_of_the_range_of_every_mark_before() {
    let mut memory = Memory::new(16);
    let first = memory.charge(1, &Known::default(), 1);
    let wrong = first.wrong(&LIMITS, 1);
    let note = memory.table().settle(&first, Settlement::Wrong(wrong.consequence)).unwrap();
    memory.table().release(&note);
    let row = Known { failures: 1, mark: wrong.mark, ..Known::default() };
    memory.charge(1, &row, 2);
    assert_eq!(memory.charge(1, &row, 3).standing.failures, 2);
}

#[test]
fn an_odometer_is_given_away_when_its_lockout_is_over_and_not_before() {
    let mut memory = Memory::new(16);
    for user in 0..16 {
        assert!(memory.guess_and_roll_back(user, 1));
    }
    assert!(memory.guess_and_roll_back(16, 900), "shares a cell");
    assert_eq!(memory.counters(), Counters { capacity: 16, live: 16, evicted: 0, overflowed: 1 });
    memory.guess_and_roll_back(17, 901);
    assert_eq!(memory.counters(), Counters { capacity: 16, live: 16, evicted: 1, overflowed: 1 });
}

#[test]
fn the_odometer_of_a_locked_user_is_kept_as_long_as_the_lock() {
    let mut memory = Memory::new(16);
    let longer = Limits { lockout: 5000, ..LIMITS };
    for _ in 0..5 {
        memory.charge(0, &Known::default(), 1);
    }
    assert!(matches!(
        memory.table().attempt(tag(0), 1, &Known::default(), &longer, 2),
        Verdict::Locked { until: 5001, .. }
    ));
    for user in 1..40 {
        memory.guess_and_roll_back(user, 2000);
    }
    assert!(!memory.guess_and_roll_back(0, 2000));
}

#[test]
fn whoever_has_charges_in_a_cell_stays_there_until_it_is_cold() {
    let mut memory = Memory::new(16);
    for user in 0..16 {
        memory.guess_and_roll_back(user, 1);
    }
    for now in [100, 200] {
        assert!(memory.guess_and_roll_back(99, now));
    }
    // The table has room again, and the user's two charges must not be forgotten for it.
    for now in [1000, 1001, 1002] {
        assert!(memory.guess_and_roll_back(99, now));
    }
    assert!(!memory.guess_and_roll_back(99, 1003));
    assert!(memory.guess_and_roll_back(99, 1902), "cold");
}

#[test]
fn a_cell_that_was_emptied_meanwhile_keeps_the_charges_of_others() {
    let mut memory = Memory::new(0);
    let first = memory.charge(1, &Known::default(), 1);
    let note = memory.table().settle(&first, Settlement::Wrong(Consequence::None)).unwrap();
    for now in 2000..2004 {
        memory.charge(1, &Known::default(), now);
    }
    memory.table().release(&note);
    assert_eq!(memory.charge(1, &Known::default(), 2004).standing.failures, 4);
}

#[test]
fn a_clock_that_ran_ahead_keeps_no_entry_and_no_cell() {
    let ahead = 10 * HORIZON;
    let mut memory = Memory::new(16);
    for user in 0..40 {
        for _ in 0..5 {
            memory.guess_and_roll_back(user, ahead);
        }
    }
    for user in 0..40 {
        assert!(memory.guess_and_roll_back(user, 1), "{user}");
    }
}

#[test]
fn proofs_are_charged_too_and_never_locked() {
    let mut memory = Memory::new(16);
    let proof = |memory: &mut Memory, now| memory.table().proof(tag(1), 1 << 40, &Known::default(), &LIMITS, now);
    for now in 1..=5 {
        let Verdict::Charged(charge) = proof(&mut memory, now) else { panic!() };
        memory.table().settle(&charge, Settlement::Wrong(Consequence::None));
    }
    assert!(matches!(proof(&mut memory, 6), Verdict::Exhausted));
    assert!(matches!(proof(&mut memory, 6000), Verdict::Exhausted));
}

#[test]
fn without_memory_the_row_alone_decides() {
    let row = Known { failures: 4, ..Known::default() };
    let Verdict::Charged(charge) = unmetered_attempt(&row, &LIMITS, 1) else { panic!() };
    assert_eq!(charge.wrong(&LIMITS, 1).consequence, Consequence::Lock(901));
    assert_eq!(charge.mark_when_right(), None);
    let locked = Known { locked_until: Some(901), ..row };
    assert!(matches!(unmetered_attempt(&locked, &LIMITS, 900), Verdict::Locked { until: 901, .. }));
    assert!(matches!(unmetered_proof(&Known { failures: 5, ..row }, &LIMITS, 1), Verdict::Exhausted));
}

#[test]
fn a_spray_over_more_users_than_entries_gains_no_guess() {
    let mut memory = Memory::new(16);
    let mut evaluated = vec![Vec::new(); 40];
    for round in 0..4000 {
        let user = round % 40;
        let now = 1 + i64::from(round);
        if memory.guess_and_roll_back(user, now) {
            evaluated[user as usize].push(now);
        }
    }
    for (user, times) in evaluated.iter().enumerate() {
        for six in times.windows(6) {
            assert!(six.windows(2).any(|pair| pair[1] - pair[0] >= LIMITS.lockout), "{user}: {six:?}");
        }
    }
    let most = evaluated.iter().map(Vec::len).max();
    assert!(most >= Some(20), "an odometer holds five a lockout: {most:?}");
}

/// One version of a user's row, and which of their evaluations were made before it was reset.
#[derive(Clone, Copy, Default)]
struct Row {
    known: Known,
    reset_after: usize,
}

#[derive(Clone, Debug)]
enum Act {
    Wrong,
    Right,
    /// Charged, and an error before the verdict is written: the savepoint or transaction is rolled back.
    Fail,
    Reset,
    Savepoint,
    RollBackSavepoint,
    ReleaseSavepoint,
    Commit,
    RollBack,
    Wait(Time),
}

fn acts() -> impl Strategy<Value = Vec<(u32, Act)>> {
    let act = prop_oneof![
        8 => Just(Act::Wrong),
        1 => Just(Act::Right),
        2 => Just(Act::Fail),
        1 => Just(Act::Reset),
        2 => Just(Act::Savepoint),
        1 => Just(Act::RollBackSavepoint),
        1 => Just(Act::ReleaseSavepoint),
        3 => Just(Act::Commit),
        3 => Just(Act::RollBack),
        1 => (1..1200_i64).prop_map(Act::Wait),
    ];
    proptest::collection::vec((0..40_u32, act), 1..400)
}

/// What really happened, whatever was rolled back: wrong guesses that were evaluated, and the last lock that was due.
#[derive(Clone, Copy, Default, Debug)]
struct Truth {
    evaluated: usize,
    locked_at: usize,
    locked_until: Time,
    last: Time,
    /// A guess was evaluated while a lock was due.
    too_early: bool,
}

/// One session that does all this, with the memory it shares with itself.
struct World {
    memory: Memory,
    committed: Vec<Row>,
    transaction: Vec<Row>,
    savepoint: Option<Vec<Row>>,
    notes: Notes,
    truths: Vec<Truth>,
    /// When guesses of each user were evaluated since they were reset.
    times: Vec<Vec<Time>>,
    now: Time,
}

impl World {
    fn new(capacity: u32) -> Self {
        Self {
            memory: Memory::new(capacity),
            committed: vec![Row::default(); 40],
            transaction: vec![Row::default(); 40],
            savepoint: None,
            notes: Notes::new(),
            truths: vec![Truth::default(); 40],
            times: vec![Vec::new(); 40],
            now: 1,
        }
    }

    fn rows(&mut self) -> &mut Vec<Row> {
        self.savepoint.as_mut().unwrap_or(&mut self.transaction)
    }

    fn level(&self) -> i32 {
        1 + i32::from(self.savepoint.is_some())
    }

    fn note(&mut self, note: Option<Note>) {
        if let Some(note) = note {
            self.notes.add(note, self.level());
        }
    }

    /// Somebody holds the row, and evaluates a guess or does not.
    fn judge(&mut self, user: usize, row: &Row, evaluated: bool) {
        let truth = &mut self.truths[user];
        // A reset that was rolled back leaves a limit that was reached meanwhile, and that nobody judged.
        if truth.evaluated - truth.locked_at.max(row.reset_after) >= 5 {
            truth.locked_at = truth.evaluated;
            truth.locked_until = truth.last + LIMITS.lockout;
        }
        let due = truth.locked_until > self.now && truth.locked_at > row.reset_after;
        truth.too_early |= due && evaluated;
    }

    /// It was wrong, or is without a verdict.
    fn fail(&mut self, user: usize, row: &Row) {
        self.times[user].push(self.now);
        let truth = &mut self.truths[user];
        truth.last = self.now;
        truth.evaluated += 1;
        if truth.evaluated - truth.locked_at.max(row.reset_after) >= 5 {
            truth.locked_at = truth.evaluated;
            truth.locked_until = self.now + LIMITS.lockout;
        }
    }

    fn guess(&mut self, user: u32, act: &Act) {
        let at = user as usize;
        let row = self.rows()[at];
        let verdict = self.memory.attempt(user, &row.known, self.now);
        self.judge(at, &row, matches!(verdict, Verdict::Charged(_)));
        let Verdict::Charged(charge) = verdict else { return };
        match act {
            Act::Right => {
                let known = Known { mark: charge.mark_when_right(), ..Known::default() };
                self.rows()[at] = Row { known, reset_after: self.truths[at].evaluated };
                let note = self.memory.table().settle(&charge, Settlement::Right);
                self.note(note);
            }
            Act::Wrong => {
                self.fail(at, &row);
                let wrong = charge.wrong(&LIMITS, self.now);
                let known = Known {
                    failures: wrong.failures,
                    failures_at_lock: wrong.failures_at_lock,
                    locked_until: wrong.locked_until,
                    mark: wrong.mark,
                };
                self.rows()[at].known = known;
                let note = self.memory.table().settle(&charge, Settlement::Wrong(wrong.consequence));
                self.note(note);
            }
            _ => {
                self.fail(at, &row);
                self.roll_back();
            }
        }
    }

    fn roll_back(&mut self) {
        if self.savepoint.take().is_some() {
            self.notes.roll_back_savepoint(2);
        } else {
            self.transaction = self.committed.clone();
            self.notes.take().for_each(drop);
        }
    }

    fn release(&mut self) {
        if let Some(rows) = self.savepoint.take() {
            self.transaction = rows;
            self.notes.release_savepoint(2);
        }
    }

    fn act(&mut self, user: u32, act: &Act) {
        self.now += 1;
        match act {
            Act::Wrong | Act::Right | Act::Fail => self.guess(user, act),
            Act::Reset => {
                let note = self.memory.table().view().note(tag(user));
                let reset_after = self.truths[user as usize].evaluated;
                let known = Known { mark: note.and_then(|note| note.mark()), ..Known::default() };
                self.rows()[user as usize] = Row { known, reset_after };
                self.note(note);
            }
            Act::Savepoint => {
                if self.savepoint.is_none() {
                    self.savepoint = Some(self.transaction.clone());
                }
            }
            Act::RollBackSavepoint => {
                if self.savepoint.is_some() {
                    self.roll_back();
                }
            }
            Act::ReleaseSavepoint => self.release(),
            Act::Commit => {
                self.release();
                self.committed = self.transaction.clone();
                let notes: Vec<_> = self.notes.take().collect();
                for note in notes {
                    self.memory.table().release(&note);
                }
            }
            Act::RollBack => {
                self.savepoint = None;
                self.notes.roll_back_savepoint(2);
                self.roll_back();
            }
            Act::Wait(time) => self.now += time,
        }
        self.check_links();
    }

    /// Every entry in use is in the order of charges once, and the other way round.
    fn check_links(&mut self) {
        let live = self.memory.counters().live;
        let found: BTreeSet<_> =
            (0..40).filter(|user| self.memory.table().view().reading(tag(*user)).is_some()).collect();
        assert_eq!(found.len(), live as usize);
    }
}

/// Half of the guesses are about few users, so that they reach the limit.
fn few(user: u32) -> u32 {
    if user.is_multiple_of(2) { user % 4 } else { user }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_evaluated_while_a_lock_is_due_whatever_is_rolled_back(acts in acts()) {
        let mut world = World::new(40);
        for (user, act) in &acts {
            // What is tried after a reset of the same transaction counts from there on, for that transaction alone.
            let at = few(*user) as usize;
            let guess = matches!(act, Act::Wrong | Act::Right | Act::Fail);
            if guess && world.rows()[at].reset_after > world.committed[at].reset_after {
                world.act(few(*user), &Act::RollBack);
            }
            world.act(few(*user), act);
            prop_assert!(!world.truths[few(*user) as usize].too_early);
        }
    }

    /// An odometer that was given away, or a cell that was emptied, has forgotten what is older than a lockout.
    #[test]
    fn nobody_is_evaluated_more_often_than_the_limit_in_a_lockout_however_full_the_table_is(
        capacity in 0..40_u32,
        acts in acts(),
    ) {
        let mut world = World::new(capacity);
        for (user, act) in &acts {
            let user = few(*user);
            world.act(user, act);
            if matches!(act, Act::Right | Act::Reset) {
                world.act(user, &Act::Commit);
                if world.committed[user as usize].known.failures == 0 {
                    world.times[user as usize].clear();
                }
            }
        }
        for times in &world.times {
            for six in times.windows(6) {
                prop_assert!(six.windows(2).any(|pair| pair[1] - pair[0] >= LIMITS.lockout), "{:?}", six);
            }
        }
    }

    #[test]
    fn whoever_commits_is_judged_by_the_row_alone(acts in acts()) {
        let mut world = World::new(40);
        for (user, act) in &acts {
            match act {
                Act::Fail | Act::RollBack | Act::RollBackSavepoint => continue,
                Act::Wrong | Act::Right => {
                    let known = world.rows()[*user as usize].known;
                    let reading = world.memory.table().view().reading(tag(*user));
                    prop_assert_eq!(Standing::of(&known, reading.as_ref(), world.now).unknown, 0);
                }
                _ => {}
            }
            world.act(*user, act);
        }
        world.act(0, &Act::Commit);
        prop_assert_eq!(world.memory.counters().live, 0);
    }
}
