//! The shared memory of the odometers, and its lock.
//!
//! With the library in `shared_preload_libraries` the server sets it aside when it starts, for as many entries as
//! `backup_codes.throttle_entries` says. Without, PostgreSQL 17 and later give a named segment to the first backend that asks,
//! whose size nobody can choose. Elsewhere there is none.

use std::cell::{Cell, UnsafeCell};
use std::ffi::CStr;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use backup_codes_core::code::random_bytes;
use backup_codes_core::throttle::{Counters, Kind, Layout, Table, Tag, View};
use pgrx::{pg_guard, pg_sys};

use crate::pg::error::log;
use crate::settings;
use crate::user_id::UserId;

/// Name and version of the layout in one: another layout gets another name, and is never taken for this one.
const NAME: &CStr = c"backup_codes throttle 1";

/// The head of the segment; the table follows.
#[repr(C, align(64))]
struct Segment {
    /// Of the tags: random, made with the segment.
    key: [u64; 2],
    capacity: u32,
    /// Entries in use; while there is none, nobody needs to look.
    live: AtomicU32,
    tranche: i32,
    lock: UnsafeCell<pg_sys::LWLock>,
}

/// The memory, in a backend that has it mapped.
#[derive(Clone, Copy)]
pub struct Memory(NonNull<Segment>);

#[derive(Clone, Copy)]
enum State {
    /// Nobody has asked yet.
    Unknown,
    Attached(Memory),
    Absent,
}

thread_local! {
    static PRELOADED: Cell<bool> = const { Cell::new(false) };
    static STATE: Cell<State> = const { Cell::new(State::Unknown) };
    static PREVIOUS_REQUEST: Cell<pg_sys::shmem_request_hook_type> = const { Cell::new(None) };
    static PREVIOUS_STARTUP: Cell<pg_sys::shmem_startup_hook_type> = const { Cell::new(None) };
}

/// Where the odometers are, for whoever administers the server.
pub enum Availability {
    /// In shared memory.
    Shared(Counters),
    /// Nowhere: this server gives it to preloaded libraries only.
    NotPreloaded,
    /// Nowhere: the server could not give it.
    Failed,
}

/// Whether there is memory, and how full it is.
pub fn availability() -> Availability {
    match Memory::attached().and_then(|memory| memory.read(|view| view.counters())) {
        Some(counters) => Availability::Shared(counters),
        None if cfg!(any(feature = "pg15", feature = "pg16")) && !PRELOADED.get() => Availability::NotPreloaded,
        None => Availability::Failed,
    }
}

/// Asks for memory when the server starts. To be called when the library is loaded.
pub fn register() {
    // SAFETY: the variables and hooks belong to the postmaster, which loads its libraries before anything else runs.
    unsafe {
        if pg_sys::process_shared_preload_libraries_in_progress {
            PRELOADED.set(true);
            PREVIOUS_REQUEST.set(pg_sys::shmem_request_hook);
            pg_sys::shmem_request_hook = Some(request);
            PREVIOUS_STARTUP.set(pg_sys::shmem_startup_hook);
            pg_sys::shmem_startup_hook = Some(start);
        }
    }
}

const fn bytes(capacity: u32) -> usize {
    size_of::<Segment>() + Layout::new(capacity).bytes()
}

fn configured_capacity() -> u32 {
    settings::throttle_entries().unsigned_abs()
}

#[pg_guard]
unsafe extern "C-unwind" fn request() {
    // SAFETY: called by PostgreSQL when memory may be requested.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST.get() {
            previous();
        }
        pg_sys::RequestAddinShmemSpace(bytes(configured_capacity()));
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start() {
    if let Some(previous) = PREVIOUS_STARTUP.get() {
        // SAFETY: called by PostgreSQL at the same moment as this one.
        unsafe { previous() };
    }
    let capacity = configured_capacity();
    let Ok(key) = random_bytes() else {
        log("backup codes have no shared memory for their throttle: the operating system gave no random bytes");
        return STATE.set(State::Absent);
    };
    // SAFETY: the memory was requested; the postmaster, which makes it, is alone, also after a crash of a backend.
    unsafe {
        let mut found = false;
        let segment = pg_sys::ShmemInitStruct(NAME.as_ptr(), bytes(capacity), &raw mut found);
        if !found {
            Segment::make(segment.cast(), capacity, key);
        }
        STATE.set(NonNull::new(segment.cast()).map_or(State::Absent, |segment| State::Attached(Memory::at(segment))));
    }
}

impl Segment {
    /// Makes an empty one.
    ///
    /// # Safety
    /// The memory is aligned, large enough for this capacity, and nobody else's yet.
    unsafe fn make(segment: *mut Self, capacity: u32, key: [u8; 16]) {
        // SAFETY: as promised by the caller. Zeros are an empty table.
        unsafe {
            segment.cast::<u8>().write_bytes(0, bytes(capacity));
            let key = u128::from_ne_bytes(key);
            (*segment).key = [key as u64, (key >> 64) as u64];
            (*segment).capacity = capacity;
            (*segment).tranche = pg_sys::LWLockNewTrancheId();
            pg_sys::LWLockInitialize((*segment).lock.get(), (*segment).tranche);
        }
    }
}

impl Memory {
    /// # Safety
    /// The segment was made, and is mapped for as long as this process lives.
    unsafe fn at(segment: NonNull<Segment>) -> Self {
        let memory = Self(segment);
        // SAFETY: names the lock in this process, for pg_stat_activity.
        unsafe { pg_sys::LWLockRegisterTranche(memory.head().tranche, c"backup_codes_throttle".as_ptr()) };
        memory
    }

    fn head(&self) -> &Segment {
        // SAFETY: the segment was made, and stays mapped. What changes in its head is an atomic and a lock.
        unsafe { self.0.as_ref() }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.head().capacity)
    }

    /// The table.
    fn region(&self) -> *mut u8 {
        // SAFETY: it begins behind the head, within the same memory.
        unsafe { self.0.add(1).as_ptr().cast() }
    }

    /// The memory; the first call of a backend may have to fetch it.
    pub fn attached() -> Option<Self> {
        // SAFETY: reads the state of the transaction, which can have no savepoint while it runs in parallel.
        if matches!(STATE.get(), State::Unknown) && !unsafe { pg_sys::IsInParallelMode() } {
            STATE.set(attach().map_or(State::Absent, State::Attached));
        }
        Self::known()
    }

    /// The memory, if this backend has fetched it.
    pub fn known() -> Option<Self> {
        match STATE.get() {
            State::Attached(memory) => Some(memory),
            State::Unknown | State::Absent => None,
        }
    }

    /// Whether anybody has an entry.
    pub fn in_use(self) -> bool {
        self.head().live.load(Ordering::Acquire) > 0
    }

    /// What stands for the user.
    pub fn tag(self, kind: Kind, user_id: &UserId) -> Tag {
        // SAFETY: reads a variable.
        let database = unsafe { pg_sys::MyDatabaseId };
        Tag::new(self.head().key, database.to_u32(), kind, &user_id.stored)
    }

    /// Reads the table.
    pub fn read<T>(self, body: impl FnOnce(View<'_>) -> T) -> Option<T> {
        let layout = self.layout();
        self.locked(pg_sys::LWLockMode::LW_SHARED, || {
            // SAFETY: the region has this length, and nobody changes it while the lock is held.
            let region = unsafe { std::slice::from_raw_parts(self.region(), layout.bytes()) };
            View::over(layout, region).map(body)
        })
    }

    /// Changes the table.
    pub fn change<T>(self, body: impl FnOnce(&mut Table<'_>) -> T) -> Option<T> {
        let layout = self.layout();
        self.locked(pg_sys::LWLockMode::LW_EXCLUSIVE, || {
            // SAFETY: the region has this length, and the lock keeps everybody else out.
            let region = unsafe { std::slice::from_raw_parts_mut(self.region(), layout.bytes()) };
            let mut table = Table::over(layout, region)?;
            let result = body(&mut table);
            self.head().live.store(table.view().counters().live, Ordering::Release);
            Some(result)
        })
    }

    fn locked<T>(self, mode: pg_sys::LWLockMode::Type, body: impl FnOnce() -> T) -> T {
        let lock = self.head().lock.get();
        // SAFETY: the lock was initialized with the segment; acquired and released in pairs, and nothing in between can fail.
        unsafe {
            pg_sys::LWLockAcquire(lock, mode);
            let result = body();
            pg_sys::LWLockRelease(lock);
            result
        }
    }
}

/// Without preloading there is no memory before PostgreSQL 17.
#[cfg(any(feature = "pg15", feature = "pg16"))]
fn attach() -> Option<Memory> {
    None
}

/// Fetches the named segment, or makes it. In a savepoint of its own: an error leaves the lock of PostgreSQL's registry held.
#[cfg(not(any(feature = "pg15", feature = "pg16")))]
fn attach() -> Option<Memory> {
    use pgrx::PgTryBuilder;

    /// As many entries as the setting's default: the size must be everybody's.
    const CAPACITY: u32 = settings::DEFAULT_THROTTLE_ENTRIES.unsigned_abs();

    thread_local! {
        static KEY: Cell<[u8; 16]> = const { Cell::new([0; 16]) };
    }

    #[pg_guard]
    unsafe extern "C-unwind" fn make(segment: *mut std::ffi::c_void) {
        // SAFETY: PostgreSQL made the segment, and nobody else has it yet.
        unsafe { Segment::make(segment.cast(), CAPACITY, KEY.get()) };
    }

    // The key comes ready-made: what makes the segment must not fail.
    KEY.set(random_bytes().ok()?);
    // SAFETY: the savepoint is ended on either way, and memory context and resource owner are put back, as PL/pgSQL does it.
    // The segment stays mapped as long as the backend lives.
    let segment = unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        let segment = PgTryBuilder::new(|| {
            let mut found = false;
            let segment = pg_sys::GetNamedDSMSegment(NAME.as_ptr(), bytes(CAPACITY), Some(make), &raw mut found);
            NonNull::new(segment.cast::<Segment>())
        })
        .catch_others(|_| None)
        .execute();
        if segment.is_some() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        segment
    };
    if segment.is_none() {
        log(
            "backup codes have no shared memory for their throttle in this session: guesses that are rolled back are not counted",
        );
    }
    // SAFETY: as above.
    segment.map(|segment| unsafe { Memory::at(segment) })
}
