//! What a transaction may free in the memory when it commits. Losing a note costs space for a lockout, never a count.

use super::Tag;

/// What may be freed once the row that knows of it is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// An odometer, if it still shows this reading: else somebody was charged since.
    Odometer {
        /// Whose.
        tag: Tag,
        /// Where it began.
        base: u64,
        /// How far it has come.
        count: u32,
    },
    /// Charges in an overflow cell, if it was not emptied since.
    Cell {
        /// Which.
        cell: u32,
        /// How often it was emptied.
        era: u32,
        /// How many.
        charges: u32,
    },
}

impl Note {
    /// The reading, as the row keeps it. Overflow cells have none.
    pub fn mark(&self) -> Option<i64> {
        match *self {
            Self::Odometer { base, count, .. } => i64::try_from(base.saturating_add(u64::from(count))).ok(),
            Self::Cell { .. } => None,
        }
    }

    /// The two as one, when they are about the same: the later reading, or the sum of the charges.
    fn merged(self, later: Self) -> Option<Self> {
        match (self, later) {
            (Self::Odometer { tag, base, .. }, Self::Odometer { tag: same, base: start, .. })
                if tag == same && base == start =>
            {
                Some(later)
            }
            (Self::Cell { cell, era, charges }, Self::Cell { cell: same, era: time, charges: more })
                if cell == same && era == time =>
            {
                Some(Self::Cell { cell, era, charges: charges.saturating_add(more) })
            }
            _ => None,
        }
    }
}

/// Notes that are kept of one transaction; more are dropped.
const MAX_NOTES: usize = 64;

/// The notes of the present transaction, each with the nesting level of the savepoint that it belongs to.
pub struct Notes {
    notes: [Option<(Note, i32)>; MAX_NOTES],
}

impl Notes {
    /// None.
    pub const fn new() -> Self {
        Self { notes: [None; MAX_NOTES] }
    }

    /// Adds one, unless there are too many.
    pub fn add(&mut self, note: Note, level: i32) {
        for slot in &mut self.notes {
            match slot {
                Some((kept, at)) if *at == level => {
                    if let Some(merged) = kept.merged(note) {
                        *kept = merged;
                        return;
                    }
                }
                Some(_) => {}
                None => {
                    *slot = Some((note, level));
                    return;
                }
            }
        }
    }

    /// A savepoint of this level was released: what it noted belongs to what is around it.
    pub fn release_savepoint(&mut self, level: i32) {
        let parent = level.saturating_sub(1);
        let notes = std::mem::take(self);
        for (note, at) in notes.into_iter() {
            self.add(note, at.min(parent));
        }
    }

    /// A savepoint of this level was rolled back: what it noted never happened to the rows.
    pub fn roll_back_savepoint(&mut self, level: i32) {
        let notes = std::mem::take(self);
        for (note, at) in notes.into_iter().filter(|(_, at)| *at < level) {
            self.add(note, at);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.notes.first().is_none_or(Option::is_none)
    }

    /// The notes, in the order in which they were made.
    fn into_iter(self) -> impl Iterator<Item = (Note, i32)> {
        self.notes.into_iter().flatten()
    }

    /// Takes all of them out.
    pub fn take(&mut self) -> impl Iterator<Item = Note> {
        std::mem::take(self).into_iter().map(|(note, _)| note)
    }
}

impl Default for Notes {
    fn default() -> Self {
        Self::new()
    }
}
