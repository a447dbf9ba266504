//! The odometers of all users, on a region of bytes that is shared by all sessions: a hash table of fixed size, its entries
//! in the order of their last charge, and the overflow cells for those who find it full.
//!
//! Only an entry whose lockout is over is given away. When the oldest is not, the newcomer shares one of 1,024 cells with
//! strangers. A cell counts too many for each of them and never too few, so nobody gains a guess by filling the table.
//!
//! A region of zeros is an empty table: links count from 1, and 0 is none.

// What runs here runs under the lock of the region, where nothing may panic.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytemuck::{Pod, Zeroable};

use super::notes::Note;
use super::standing::{Consequence, Known, Limits, Standing, Wrong, ahead};
use super::{Tag, Time};

/// Cells that newcomers share while every entry is in use.
const CELLS: usize = 1024;

/// The number of an entry, from 1 on; 0 is none.
type Link = u32;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Head {
    evicted: u64,
    overflowed: u64,
    live: u32,
    /// Entries that were ever in use.
    touched: u32,
    free: Link,
    oldest: Link,
    newest: Link,
    padding: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Entry {
    tag: Tag,
    base: u64,
    lock_until: Time,
    last: Time,
    cold_at: Time,
    count: u32,
    lock_count: u32,
    /// In the chain of its bucket, or of free entries.
    next: Link,
    older: Link,
    newer: Link,
    padding: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Cell {
    hot_until: Time,
    count: u32,
    /// How often it was emptied.
    era: u32,
}

/// How the region is divided.
#[derive(Clone, Copy)]
pub struct Layout {
    capacity: u32,
}

impl Layout {
    /// For so many users.
    pub const fn new(capacity: u32) -> Self {
        Self { capacity }
    }

    const fn buckets(self) -> usize {
        (self.capacity as usize * 2).next_power_of_two()
    }

    /// Length of the region, in bytes.
    pub const fn bytes(self) -> usize {
        size_of::<Head>()
            + size_of::<Entry>() * self.capacity as usize
            + size_of::<Cell>() * CELLS
            + size_of::<Link>() * self.buckets()
    }

    /// The lengths of entries and cells; what is left are the buckets.
    const fn lengths(self) -> (usize, usize) {
        (size_of::<Entry>() * self.capacity as usize, size_of::<Cell>() * CELLS)
    }
}

/// A copy of an odometer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Where it began.
    pub base: u64,
    /// Charges since then.
    pub count: u32,
    /// The charge that reached the last lock; 0 when none did.
    pub lock_count: u32,
    /// The end of that lock.
    pub lock_until: Time,
}

impl Reading {
    /// Up to which charge a row with this mark knows. A mark out of range is of another odometer, and knows of none.
    pub(super) fn seen(&self, mark: Option<i64>) -> u32 {
        mark.and_then(|mark| u64::try_from(mark).ok())
            .and_then(|mark| mark.checked_sub(self.base))
            .and_then(|seen| u32::try_from(seen).ok())
            .filter(|seen| *seen <= self.count)
            .unwrap_or_default()
    }

    /// The end of a lock that was judged, and that a row with this mark does not know.
    pub fn lock_unknown_to(&self, mark: Option<i64>, now: Time) -> Option<Time> {
        (self.lock_count > self.seen(mark) && ahead(self.lock_until, now)).then_some(self.lock_until)
    }

    /// Whether it is the same odometer with the same lock.
    pub fn has_lock_of(&self, other: &Self) -> bool {
        self.base == other.base && self.lock_count == other.lock_count
    }
}

/// Whether a guess may be evaluated.
#[derive(Debug)]
pub enum Verdict {
    /// The user is locked.
    Locked {
        /// The end of the lock.
        until: Time,
        /// It begins with this look: nobody judged the failures that led to it.
        late: bool,
    },
    /// There were so many failures that the set must go; nothing is evaluated.
    Exhausted,
    /// It was charged. An error from here on leaves the charge.
    Charged(Charge),
}

/// A guess that was charged.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// Where the user stood before it.
    pub standing: Standing,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Nowhere: there is no memory.
    Unmetered,
    /// The reading after it.
    Odometer {
        tag: Tag,
        base: u64,
        count: u32,
    },
    Cell {
        cell: u32,
        era: u32,
    },
}

impl Charge {
    /// The mark of the row when the guess is wrong: it knows this charge.
    fn mark(&self) -> Option<i64> {
        match self.place {
            Place::Odometer { tag, base, count } => Note::Odometer { tag, base, count }.mark(),
            Place::Unmetered | Place::Cell { .. } => None,
        }
    }

    /// The mark of the row when the guess is right: the charge is taken back before the answer.
    pub fn mark_when_right(&self) -> Option<i64> {
        self.mark().map(|mark| mark - 1)
    }

    /// What the row gets when the guess is wrong, and what that leads to.
    pub fn wrong(&self, limits: &Limits, now: Time) -> Wrong {
        self.standing.wrong(limits, self.mark(), now)
    }
}

/// How a charged guess ended. To be told as the last act before the answer, after everything that can fail.
#[derive(Clone, Copy)]
pub enum Settlement {
    /// Right: the charge is taken back.
    Right,
    /// Wrong, with what it led to.
    Wrong(Consequence),
}

/// What an administrator may know of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Entries there are.
    pub capacity: u32,
    /// Entries in use.
    pub live: u32,
    /// Entries that were given away after their lockout.
    pub evicted: u64,
    /// Charges that found no entry.
    pub overflowed: u64,
}

/// The table, to be read.
#[derive(Clone, Copy)]
pub struct View<'a> {
    head: &'a Head,
    entries: &'a [Entry],
    buckets: &'a [Link],
}

impl<'a> View<'a> {
    /// The table on its region; None when that has another length or alignment.
    pub fn over(layout: Layout, region: &'a [u8]) -> Option<Self> {
        let (entries, cells) = layout.lengths();
        let region = (region.len() == layout.bytes()).then_some(region)?;
        let (head, rest) = region.split_at_checked(size_of::<Head>())?;
        let (entries, rest) = rest.split_at_checked(entries)?;
        let (_, buckets) = rest.split_at_checked(cells)?;
        Some(Self {
            head: bytemuck::try_from_bytes(head).ok()?,
            entries: bytemuck::try_cast_slice(entries).ok()?,
            buckets: bytemuck::try_cast_slice(buckets).ok()?,
        })
    }

    fn entry(&self, link: Link) -> Option<&'a Entry> {
        self.entries.get(link.checked_sub(1)? as usize)
    }

    fn find(&self, tag: Tag) -> Option<(Link, &'a Entry)> {
        let mut link = *self.buckets.get(bucket(tag, self.buckets.len()))?;
        loop {
            let entry = self.entry(link)?;
            if entry.tag == tag {
                return Some((link, entry));
            }
            link = entry.next;
        }
    }

    /// A user's odometer, if they have one.
    pub fn reading(&self, tag: Tag) -> Option<Reading> {
        self.find(tag).map(|(_, entry)| entry.reading())
    }

    /// What a row that is written now may know: the reading, for its mark, and to be freed when the row is committed.
    pub fn note(&self, tag: Tag) -> Option<Note> {
        self.find(tag).map(|(_, entry)| entry.note())
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        let Head { live, evicted, overflowed, .. } = *self.head;
        Counters { capacity: u32::try_from(self.entries.len()).unwrap_or(u32::MAX), live, evicted, overflowed }
    }
}

fn bucket(tag: Tag, buckets: usize) -> usize {
    // The number of buckets is a power of two.
    tag.0[0] as usize & buckets.wrapping_sub(1)
}

impl Entry {
    fn reading(&self) -> Reading {
        Reading { base: self.base, count: self.count, lock_count: self.lock_count, lock_until: self.lock_until }
    }

    fn note(&self) -> Note {
        Note::Odometer { tag: self.tag, base: self.base, count: self.count }
    }

    fn lock(&mut self, until: Time) {
        self.lock_count = self.count;
        self.lock_until = until;
        self.cold_at = self.cold_at.max(until);
    }
}

/// The table, to be changed: whoever has it holds the lock of the region alone.
pub struct Table<'a> {
    head: &'a mut Head,
    entries: &'a mut [Entry],
    cells: &'a mut [Cell],
    buckets: &'a mut [Link],
}

impl<'a> Table<'a> {
    /// The table on its region; None when that has another length or alignment.
    pub fn over(layout: Layout, region: &'a mut [u8]) -> Option<Self> {
        let (entries, cells) = layout.lengths();
        let region = (region.len() == layout.bytes()).then_some(region)?;
        let (head, rest) = region.split_at_mut_checked(size_of::<Head>())?;
        let (entries, rest) = rest.split_at_mut_checked(entries)?;
        let (cells, buckets) = rest.split_at_mut_checked(cells)?;
        Some(Self {
            head: bytemuck::try_from_bytes_mut(head).ok()?,
            entries: bytemuck::try_cast_slice_mut(entries).ok()?,
            cells: bytemuck::try_cast_slice_mut(cells).ok()?,
            buckets: bytemuck::try_cast_slice_mut(buckets).ok()?,
        })
    }

    /// The table, to be read.
    pub fn view(&self) -> View<'_> {
        View { head: self.head, entries: self.entries, buckets: self.buckets }
    }

    /// Charges a guess at a code of the active set, unless the user is locked. `base` is for a new odometer.
    pub fn attempt(&mut self, tag: Tag, base: u64, known: &Known, limits: &Limits, now: Time) -> Verdict {
        let spot = self.spot(tag, now);
        let mut standing = self.standing(&spot, known, now);
        if let Some(until) = standing.locked(now) {
            return Verdict::Locked { until, late: false };
        }
        if standing.overdue(limits) {
            let until = self.lock_late(&spot, limits);
            if ahead(until, now) {
                return Verdict::Locked { until, late: true };
            }
            standing.failures_at_lock = standing.failures;
            standing.locked_until = None;
            standing.unrecorded_lock = true;
        }
        if standing.exhausted(limits.disable_after) {
            return Verdict::Exhausted;
        }
        Verdict::Charged(Charge { standing, place: self.charge(spot, tag, base, limits, now) })
    }

    /// Charges a proof of a pending set, which `max_failures` wrong ones cancel.
    pub fn proof(&mut self, tag: Tag, base: u64, known: &Known, limits: &Limits, now: Time) -> Verdict {
        let spot = self.spot(tag, now);
        let standing = self.standing(&spot, known, now);
        if standing.exhausted(limits.max_failures) {
            return Verdict::Exhausted;
        }
        if let (Spot::Cell(at), true) = (&spot, standing.failures >= limits.max_failures) {
            let until = self.cells.get(*at).map_or(now, |cell| cell.hot_until);
            return Verdict::Locked { until, late: false };
        }
        Verdict::Charged(Charge { standing, place: self.charge(spot, tag, base, limits, now) })
    }

    /// The last act before the answer: a lock that was judged, or the charge of a right guess taken back. Returns what the
    /// transaction may free when it commits.
    pub fn settle(&mut self, charge: &Charge, settlement: Settlement) -> Option<Note> {
        match charge.place {
            Place::Unmetered => None,
            Place::Odometer { tag, base, count } => {
                let (link, entry) = self.same(tag, base)?;
                match settlement {
                    Settlement::Right => {
                        entry.count = entry.count.saturating_sub(1);
                        if entry.count == 0 {
                            self.remove(link);
                            return None;
                        }
                        return Some(entry.note());
                    }
                    Settlement::Wrong(Consequence::Lock(until)) => entry.lock(until),
                    Settlement::Wrong(_) => {}
                }
                Some(Note::Odometer { tag, base, count })
            }
            Place::Cell { cell, era } => {
                let note = Note::Cell { cell, era, charges: 1 };
                if matches!(settlement, Settlement::Right) {
                    self.release(&note);
                    return None;
                }
                Some(note)
            }
        }
    }

    /// The row that knows of it is committed.
    pub fn release(&mut self, note: &Note) {
        match *note {
            Note::Odometer { tag, base, count } => {
                if let Some((link, entry)) = self.same(tag, base)
                    && entry.count == count
                {
                    self.remove(link);
                }
            }
            Note::Cell { cell, era, charges } => {
                if let Some(cell) = self.cells.get_mut(cell as usize).filter(|cell| cell.era == era) {
                    cell.count = cell.count.saturating_sub(charges);
                }
            }
        }
    }

    /// Where the user's charges are, or would be.
    fn spot(&self, tag: Tag, now: Time) -> Spot {
        if let Some((link, _)) = self.view().find(tag) {
            return Spot::Entry(link);
        }
        let cell = (tag.0[1] % CELLS as u64) as usize;
        match self.cells.get(cell) {
            // Whoever may have charges in a cell stays there until it is cold, or those would be forgotten.
            Some(found) if found.count > 0 && ahead(found.hot_until, now) => Spot::Cell(cell),
            _ if self.has_room(now) => Spot::New,
            _ => Spot::Cell(cell),
        }
    }

    fn standing(&self, spot: &Spot, known: &Known, now: Time) -> Standing {
        match *spot {
            Spot::Entry(link) => Standing::of(known, self.view().entry(link).map(Entry::reading).as_ref(), now),
            Spot::New => Standing::of(known, None, now),
            Spot::Cell(at) => {
                let hot = self.cells.get(at).filter(|cell| ahead(cell.hot_until, now));
                Standing::sharing(known, hot.map_or(0, |cell| cell.count), now)
            }
        }
    }

    /// Locks for failures whose judge died: from the last charge on.
    fn lock_late(&mut self, spot: &Spot, limits: &Limits) -> Time {
        match *spot {
            Spot::Entry(link) => self.entry(link).map_or(0, |entry| {
                let until = entry.last.saturating_add(limits.lockout);
                entry.lock(until);
                until
            }),
            Spot::New => 0,
            Spot::Cell(at) => self.cells.get(at).map_or(0, |cell| cell.hot_until),
        }
    }

    fn charge(&mut self, spot: Spot, tag: Tag, base: u64, limits: &Limits, now: Time) -> Place {
        let cold_at = now.saturating_add(limits.lockout);
        let link = match spot {
            Spot::Entry(link) => Some(link),
            Spot::New => self.admit(tag, base, now),
            Spot::Cell(_) => None,
        };
        if let Some(link) = link {
            self.detach(link);
            self.attach_newest(link);
            if let Some(entry) = self.entry(link) {
                entry.count = entry.count.saturating_add(1);
                entry.last = now;
                entry.cold_at = if ahead(entry.cold_at, now) { entry.cold_at.max(cold_at) } else { cold_at };
                return Place::Odometer { tag, base: entry.base, count: entry.count };
            }
        }
        let at = (tag.0[1] % CELLS as u64) as usize;
        self.head.overflowed = self.head.overflowed.saturating_add(1);
        let Some(cell) = self.cells.get_mut(at) else { return Place::Unmetered };
        if !ahead(cell.hot_until, now) {
            *cell = Cell { hot_until: now, count: 0, era: cell.era.wrapping_add(1) };
        }
        cell.count = cell.count.saturating_add(1);
        cell.hot_until = cell.hot_until.max(cold_at);
        Place::Cell { cell: at as u32, era: cell.era }
    }

    fn entry(&mut self, link: Link) -> Option<&mut Entry> {
        self.entries.get_mut(link.checked_sub(1)? as usize)
    }

    /// The odometer of a charge or a note, unless it was given away meanwhile.
    fn same(&mut self, tag: Tag, base: u64) -> Option<(Link, &mut Entry)> {
        let (link, _) = self.view().find(tag)?;
        self.entry(link).filter(|entry| entry.base == base).map(|entry| (link, entry))
    }

    /// Whether there is an entry for a newcomer: an unused one, or one whose lockout is over.
    fn has_room(&self, now: Time) -> bool {
        (self.head.live as usize) < self.entries.len()
            || self.view().entry(self.head.oldest).is_some_and(|oldest| !ahead(oldest.cold_at, now))
    }

    /// A new entry, in its bucket and not yet in the order of charges.
    fn admit(&mut self, tag: Tag, base: u64, now: Time) -> Option<Link> {
        if self.head.live as usize >= self.entries.len() {
            let oldest = self.head.oldest;
            if self.view().entry(oldest).is_none_or(|entry| ahead(entry.cold_at, now)) {
                return None;
            }
            self.remove(oldest);
            self.head.evicted = self.head.evicted.saturating_add(1);
        }
        let link = if self.head.free == 0 {
            self.head.touched = self.head.touched.saturating_add(1);
            self.head.touched
        } else {
            let free = self.head.free;
            self.head.free = self.view().entry(free)?.next;
            free
        };
        let at = bucket(tag, self.buckets.len());
        let first = self.buckets.get_mut(at)?;
        let next = std::mem::replace(first, link);
        *self.entry(link)? = Entry { tag, base, next, ..Entry::zeroed() };
        self.attach_newest(link);
        self.head.live = self.head.live.saturating_add(1);
        Some(link)
    }

    fn remove(&mut self, link: Link) {
        self.detach(link);
        let Some(Entry { tag, next, .. }) = self.entry(link).map(|entry| *entry) else { return };
        let at = bucket(tag, self.buckets.len());
        let mut before = self.buckets.get(at).copied().unwrap_or_default();
        if before == link {
            if let Some(first) = self.buckets.get_mut(at) {
                *first = next;
            }
        } else {
            while let Some(entry) = self.entry(before) {
                if entry.next == link {
                    entry.next = next;
                    break;
                }
                before = entry.next;
            }
        }
        let free = std::mem::replace(&mut self.head.free, link);
        if let Some(entry) = self.entry(link) {
            *entry = Entry { next: free, ..Entry::zeroed() };
        }
        self.head.live = self.head.live.saturating_sub(1);
    }

    /// Takes an entry out of the order of charges.
    fn detach(&mut self, link: Link) {
        let Some(Entry { older, newer, .. }) = self.entry(link).map(|entry| *entry) else { return };
        match self.entry(older) {
            Some(entry) => entry.newer = newer,
            None => self.head.oldest = newer,
        }
        match self.entry(newer) {
            Some(entry) => entry.older = older,
            None => self.head.newest = older,
        }
    }

    fn attach_newest(&mut self, link: Link) {
        let newest = std::mem::replace(&mut self.head.newest, link);
        match self.entry(newest) {
            Some(entry) => entry.newer = link,
            None => self.head.oldest = link,
        }
        if let Some(entry) = self.entry(link) {
            entry.older = newest;
            entry.newer = 0;
        }
    }
}

/// Where a user's charges go.
enum Spot {
    Entry(Link),
    New,
    Cell(usize),
}

/// What [`Table::attempt`] says where there is no memory: the row alone decides.
pub fn unmetered_attempt(known: &Known, limits: &Limits, now: Time) -> Verdict {
    unmetered(known, now, limits.disable_after)
}

/// What [`Table::proof`] says where there is no memory.
pub fn unmetered_proof(known: &Known, limits: &Limits, now: Time) -> Verdict {
    unmetered(known, now, limits.max_failures)
}

fn unmetered(known: &Known, now: Time, limit: i32) -> Verdict {
    let standing = Standing::of(known, None, now);
    match standing.locked(now) {
        Some(until) => Verdict::Locked { until, late: false },
        None if standing.exhausted(limit) => Verdict::Exhausted,
        None => Verdict::Charged(Charge { standing, place: Place::Unmetered }),
    }
}
